package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestStoreTLS: a certificate that is not right, on either side, is an outage whose cause the log tells; nobody is signed out by it, nothing is said in
// the clear, and certificates that were put right on disk are used without a restart (F18).
func TestStoreTLS(t *testing.T) {
	const password = "store-password-canary-3kd8"
	a, stranger := storetest.NewAuthority(t), storetest.NewAuthority(t)
	a.Issue("client", time.Hour)
	server := storetest.StartRedisTLS(t, a)
	server.Do(append([]any{"ACL", "SETUSER", "authsvc", "on", ">" + password, "~authsvc:*"}, documentedRights(t)...)...)
	s := newStack(t, options{replicas: 1, settings: map[string]string{"store.password": password}, store: func(*testing.T) (keeper, string) {
		return server, strings.Replace(server.TLSURL, "//", "//authsvc@", 1) + a.Query("client")
	}})
	alice := s.visitor("alice")
	alice.signIn()
	one := s.replicas[0]

	shown := func(certificate string) { // by the server, to connections from now on, which are all
		server.Do("CONFIG", "SET", "tls-cert-file", a.File(certificate+".pem"), "tls-key-file", a.File(certificate+".key"))
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	a.Issue("ended", -time.Minute, "127.0.0.1")
	a.Issue("elsewhere", time.Hour, "redis.example")
	for _, row := range []struct {
		name, says  string
		spoil, mend func()
	}{
		{"the server's has expired", "certificate has expired", func() { shown("ended") }, func() { shown("server") }},
		{"the server's names another host", "doesn't contain any IP SANs", func() { shown("elsewhere") }, func() { shown("server") }},
		{"ours has expired", "expired certificate", func() { a.Issue("client", -time.Minute); shown("server") }, func() { a.Issue("client", time.Hour) }},
		{"the authority is unknown, until the new one is on disk", "certificate signed by unknown authority", func() {
			other, err := os.ReadFile(stranger.File("ca.pem"))
			check(t, err)
			replace(t, a.File("ca.pem"), string(other))
			shown("server")
		}, func() {
			a.Renew()
			a.Issue("server", time.Hour, "127.0.0.1")
			a.Issue("client", time.Hour)
			server.Do("CONFIG", "SET", "tls-cert-file", a.File("server.pem"), "tls-key-file", a.File("server.key"), "tls-ca-cert-file", a.File("ca.pem"))
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			before := len(one.log.String())
			row.spoil()
			storetest.WaitFor(t, "the outage, and its cause in the log", func() error {
				answer, err := one.authCookie(alice.cookie(sessionCookie))
				check(t, err)
				if answer.status == http.StatusUnauthorized || answer.took > patient {
					t.Fatalf("a verdict of %d after %v", answer.status, answer.took)
				}
				if text := one.log.String()[before:]; answer.status != http.StatusServiceUnavailable || !strings.Contains(text, row.says) {
					return fmt.Errorf("a verdict of %d, and the log says %s", answer.status, text[max(0, len(text)-500):])
				}
				return nil
			})
			row.mend()
			storetest.WaitFor(t, "alice to pass again", func() error { return s.signedInAs("alice", alice.cookie(sessionCookie)) })
		})
	}
	if text := one.log.String(); strings.Contains(text, password) || strings.Contains(text, "PRIVATE KEY") {
		t.Error("the log holds a secret")
	}
}

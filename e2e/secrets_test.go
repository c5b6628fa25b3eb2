package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// replace puts a new text in the place of a file in one step, as those do who rotate secrets.
func replace(t *testing.T, file, text string) {
	t.Helper()
	check(t, os.WriteFile(file+".new", []byte(text), 0o600))
	check(t, os.Rename(file+".new", file))
}

// awaitSecrets waits until every replica has taken new secrets for the nth time.
func (s *stack) awaitSecrets(n int) {
	s.t.Helper()
	for i, r := range s.replicas {
		storetest.WaitFor(s.t, "a replica to take the new secrets", func() error {
			if got := strings.Count(r.log.String(), `"secrets replaced"`); got != n {
				return fmt.Errorf("replica %d has %d times, want %d", i, got, n)
			}
			return nil
		})
	}
}

// TestCookieSecretRotates: a new key is put first into the file. Nobody is signed out, and who signs in from then on gets a cookie of the new
// key. Logins that are under way end well.
func TestCookieSecretRotates(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	file := filepath.Join(t.TempDir(), "secrets")
	older, newer := s.settings["cookie.secret"], newSecret()
	check(t, os.WriteFile(file, []byte(older+"\n"), 0o600))
	delete(s.settings, "cookie.secret")
	s.settings["cookie.secret_file"] = file
	s.startReplicas(2)
	alice, bob := s.visitor("alice"), s.visitor("bob")
	alice.signIn()
	underWay, err := bob.toCallback("/landed")
	check(t, err)

	replace(t, file, newer+"\n"+older+"\n")
	s.awaitSecrets(1)
	s.awaitSigner(newer)
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
	answer, err := bob.open(underWay)
	check(t, err)
	_, err = bob.arrived(answer, "/landed")
	check(t, err)
	carol := s.visitor("carol")
	carol.signIn()
	for person, test := range map[string]struct {
		cookie, secret string
	}{
		"alice": {alice.cookie(sessionCookie), older},
		"bob":   {bob.cookie(sessionCookie), newer},
		"carol": {carol.cookie(sessionCookie), newer},
	} {
		check(t, s.signedInAs(person, test.cookie))
		if _, err := keyring(t, test.secret).ParseToken(session.PurposeSession, "main", test.cookie); err != nil {
			t.Errorf("%s's cookie is signed with another key: %v", person, err)
		}
	}
	if n := s.records(); n != 3 {
		t.Errorf("%d session records", n)
	}

	// What is bad changes nothing, and is told.
	replace(t, file, "nonsense\n")
	for _, r := range s.replicas {
		storetest.WaitFor(t, "a replica to complain", func() error {
			if !strings.Contains(r.log.String(), "cookie.secret: ") {
				return fmt.Errorf("it has not")
			}
			return nil
		})
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))

	// The old key cannot be taken away from alice.
	replace(t, file, newer+"\n")
	for _, r := range s.replicas {
		r.awaitLog("cookie.secret: key 2 of those in use", 1)
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))

	// Nor by a restart, unless it is meant.
	fresh := s.replicas[0]
	fresh.becomes("")
	fresh.awaitState("held back", func(state readiness) bool { return strings.Contains(state.Failing["drift"], "cookie.secret") })
	check(t, s.replicas[1].passes("alice", alice.cookie(sessionCookie)))
	for _, r := range s.replicas {
		r.settings["config_generation"] = "1"
		r.becomes("")
		r.awaitReady()
	}
	check(t, s.refused(alice.cookie(sessionCookie)))
	check(t, s.signedInAs("bob", bob.cookie(sessionCookie)))
}

// TestClientSecretRotates: the provider has a new secret for us; as soon as it is in the file, people sign in again.
func TestClientSecretRotates(t *testing.T) {
	const another = "another-client-secret"
	s := newStack(t, options{noReplica: true})
	file := filepath.Join(t.TempDir(), "secret")
	check(t, os.WriteFile(file, []byte(clientSecret), 0o600))
	delete(s.settings, "oidc.client_secret")
	s.settings["oidc.client_secret_file"] = file
	s.startReplicas(2)
	alice := s.visitor("alice")
	alice.signIn()

	var refused atomic.Int32
	s.provider.Intercept(idptest.Token, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if _, secret, _ := r.BasicAuth(); secret != another {
			refused.Add(1)
			idptest.Answer(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`)(w, r, next)
			return
		}
		r.SetBasicAuth(clientID, clientSecret) // the one that the provider knows in truth
		next.ServeHTTP(w, r)
	})
	late := s.visitor("bob")
	answer, err := late.open("/page")
	if err != nil || answer.status != http.StatusBadGateway || late.cookie(sessionCookie) != "" || refused.Load() == 0 {
		t.Errorf("a login with the old secret: %v, %v", answer, err)
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))

	replace(t, file, another+"\n")
	s.awaitSecrets(1)
	late.signIn()
	check(t, s.signedInAs("bob", late.cookie(sessionCookie)))
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
}

package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// TestSecurityInputLogins floods the login through the gateway, where one address may begin five a minute: what a client says of its address neither frees it nor
// harms anybody else.
func TestSecurityInputLogins(t *testing.T) {
	s := newStack(t, options{replicas: 1, settings: map[string]string{"limits.logins_per_minute": "5", "trusted_proxies": "127.0.0.1"}})
	const attacker, other = "127.0.0.2", "127.0.0.3"
	at := func(t *testing.T, from, path string, header http.Header) reply {
		t.Helper()
		transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext, DisableKeepAlives: true}
		client := &http.Client{Transport: transport, Timeout: patience, CheckRedirect: follow(0)}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
		check(t, err)
		for name, values := range header {
			request.Header[name] = values
		}
		answer, err := exchange(client, request)
		check(t, err)
		return answer
	}
	t.Run("F51_logins_per_address", func(t *testing.T) {
		let := 0
		for i := range 60 {
			// Each time another address, and the victim's too.
			forged := []string{fmt.Sprintf("203.0.113.%d", i), other, "127.0.0.1", "unknown", "::1, " + other}[i%5]
			answer := at(t, attacker, "/start?rd=%2Fdeep", http.Header{"X-Forwarded-For": {forged}, "X-Real-Ip": {forged}, "Forwarded": {"for=" + forged}, "Accept-Language": {"fr"}})
			switch {
			case answer.status == http.StatusFound:
				let++
			case answer.status != http.StatusTooManyRequests || answer.header.Get("Retry-After") == "" || answer.header.Get("Content-Language") != "fr":
				t.Fatalf("start %d: %s, %v", i, answer, answer.header)
			}
		}
		// A slow machine gives some of the next minute's away.
		if let < 5 || let > 50 {
			t.Errorf("%d of 60 logins begin", let)
		}
		if n := s.replicas[0].metric("authsvc_logins_limited_total"); n != fmt.Sprint(60-let) {
			t.Errorf("%s were refused, want %d", n, 60-let)
		}
	})
	t.Run("F51_others_are_not_limited", func(t *testing.T) {
		if answer := at(t, other, "/start", nil); answer.status != http.StatusFound {
			t.Errorf("somebody else: %s", answer)
		}
		v := s.visitor("alice") // at 127.0.0.1, where nobody knocked
		v.signIn()
		for range 20 {
			check(t, s.replicas[0].passes("alice", v.cookie(sessionCookie)))
			if answer := at(t, attacker, "/anything", http.Header{"Cookie": {sessionCookie + "=" + v.cookie(sessionCookie)}}); answer.status != http.StatusOK && answer.status != http.StatusServiceUnavailable {
				t.Errorf("a verdict for the attacker's address: %s", answer)
			}
		}
	})
	t.Run("F51_the_log_is_not_flooded", func(t *testing.T) {
		if log := s.replicas[0].log.String(); strings.Count(log, "more logins than") < 1 || strings.Count(log, "more logins than") > 5 || strings.Contains(log, other) {
			t.Errorf("the log:\n%s", log)
		}
	})
}

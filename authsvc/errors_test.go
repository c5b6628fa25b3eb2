package authsvc

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestErrorsAreCounted: each answer that blames nobody who asked is counted by its cause, whichever endpoint gives it; verdicts are counted as such, and refusals are no errors.
func TestErrorsAreCounted(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	b := r.browser()
	b.signIn()
	cookie := b.sessionCookie()
	r.replicas = append(r.replicas, r.another(config, r.store)) // which has not found the provider
	r.store.down.Store(true)
	for _, c := range []struct {
		replica        int
		method, path   string
		status         int
		counted, cause string // where and why; "": it is not counted
	}{
		{0, http.MethodGet, "/session", http.StatusServiceUnavailable, "/session", "store"},
		{0, http.MethodGet, "/userinfo", http.StatusServiceUnavailable, "/userinfo", "store"},
		{0, http.MethodGet, "/sessions", http.StatusServiceUnavailable, "/sessions", "store_unavailable"},
		{1, http.MethodGet, "/start", http.StatusServiceUnavailable, "/start", "provider_unavailable"},
		{0, http.MethodGet, "/auth", http.StatusServiceUnavailable, "", ""},
		{0, http.MethodGet, "/callback", http.StatusBadRequest, "", ""},
		{0, http.MethodGet, "/nothing/" + strings.Repeat("a", 100), http.StatusNotFound, "", ""},
		{0, http.MethodPost, "/logout", http.StatusServiceUnavailable, "/logout", "store_unavailable"}, // the last: this replica then refuses the session
	} {
		before := r.errors(c.replica)
		answer := ask(r.replicas[c.replica], c.method, c.path, trustedPeer, http.Header{"Cookie": {"authsvc=" + cookie}})
		if answer.Code != c.status {
			t.Errorf("%s answers %d, want %d", c.path, answer.Code, c.status)
		}
		want := before
		if c.counted != "" {
			want = append(want, fmt.Sprintf(`authsvc_errors_total{endpoint=%q,reason=%q} 1`, c.counted, c.cause))
		}
		if got := r.errors(c.replica); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("after %s there are %q, want %q", c.path, got, want)
		}
	}
	checkBackchannel(t, r.backchannel(1, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusServiceUnavailable)
	r.shows(1, `authsvc_errors_total{endpoint="/backchannel-logout",reason="unavailable"} 1`)
}

// errors are the lines in which a replica's metrics tell of errors.
func (r *rig) errors(replica int) (lines []string) {
	for line := range strings.Lines(askAdmin(r.replicas[replica], http.MethodGet, "/metrics").Body.String()) {
		if strings.HasPrefix(line, "authsvc_errors_total{") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

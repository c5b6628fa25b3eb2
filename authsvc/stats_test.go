package authsvc

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

var sessionMetric = regexp.MustCompile(`(?m)^(authsvc_sessions|authsvc_session_bytes) (\S+)$`)

// TestStats signs people in and out and reads how many there are, as a page and as metrics; while the store cannot tell, nobody says that
// there are none.
func TestStats(t *testing.T) {
	r := newRig(t, 2, nil)
	fresh := func() { // as a second later
		for _, s := range r.replicas {
			s.stock.mu.Lock()
			s.stock.asked = time.Time{}
			s.stock.mu.Unlock()
		}
	}
	check := func(when string, sessions, users int64) {
		t.Helper()
		fresh()
		for _, s := range r.replicas {
			answer := askAdmin(s, http.MethodGet, "/stats")
			var got Stats
			decoder := json.NewDecoder(answer.Body)
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&got); err != nil || answer.Code != http.StatusOK || answer.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%s: %d, %v", when, answer.Code, err)
			}
			if got.Sessions != sessions || got.Users != users || (got.Bytes > 0) != (sessions > 0) {
				t.Errorf("%s: %+v, want %d sessions of %d users", when, got, sessions, users)
			}
			metrics := sessionMetric.FindAllStringSubmatch(askAdmin(s, http.MethodGet, "/metrics").Body.String(), -1)
			if len(metrics) != 2 || (metrics[0][2] == "0") != (sessions == 0) {
				t.Errorf("%s: the metrics are %q", when, metrics)
			}
		}
	}
	check("at first", 0, 0)
	first := signedIn(r, "alice")
	signedIn(r, "alice")
	signedIn(r, "bob")
	check("with three sessions", 3, 2)
	if answer := ask(r.replicas[0], http.MethodPost, "/logout", trustedPeer, first); answer.Code != http.StatusSeeOther {
		t.Fatalf("logout: %d", answer.Code)
	}
	check("after a logout", 2, 2)

	before := r.store.commands.Load()
	for range 20 {
		askAdmin(r.replicas[0], http.MethodGet, "/metrics")
		askAdmin(r.replicas[0], http.MethodGet, "/stats")
	}
	if asked := r.store.commands.Load() - before; asked > 5 {
		t.Errorf("who asks often made %d operations of the store", asked)
	}

	r.store.refuse("count")
	fresh()
	answer := askAdmin(r.replicas[0], http.MethodGet, "/stats")
	if answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), `"error":"`) {
		t.Errorf("while the store cannot tell: %d %s", answer.Code, answer.Body)
	}
	if text := askAdmin(r.replicas[0], http.MethodGet, "/metrics").Body.String(); sessionMetric.MatchString(text) || !strings.Contains(text, "authsvc_logins_total") {
		t.Error("while the store cannot tell, the metrics tell a number of sessions, or nothing at all")
	}
	r.store.refuse()
	r.advance(13 * time.Hour)
	check("when all have expired", 0, 0)
}

package authsvc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// shows fails the test unless the metrics of a replica have these lines.
func (r *rig) shows(replica int, lines ...string) {
	r.t.Helper()
	metrics := askAdmin(r.replicas[replica], http.MethodGet, "/metrics").Body.String()
	for _, line := range lines {
		if !strings.Contains(metrics, "\n"+line+"\n") {
			r.t.Errorf("the metrics lack %s", line)
		}
	}
}

// TestCache asks replicas that keep sessions: the store is asked once, and a logout at one holds on all.
func TestCache(t *testing.T) {
	r := newRig(t, 3, func(c *Config) { c.Session.CacheTTL = time.Minute })
	b, other := r.browser(), r.browser()
	b.signIn()
	other.signIn()
	cookie, stays := b.sessionCookie(), other.sessionCookie()
	r.everywhere(cookie, http.StatusOK)
	r.everywhere(stays, http.StatusOK)
	commands := r.store.commands.Load()
	for range 10 {
		r.everywhere(cookie, http.StatusOK)
	}
	if asked := r.store.commands.Load() - commands; asked != 0 {
		t.Errorf("the store was asked %d times", asked)
	}
	r.logout(1, cookie)
	r.everywhere(cookie, http.StatusUnauthorized)
	r.everywhere(stays, http.StatusOK)
	r.shows(0, `authsvc_cache_total{result="hit"} 11`, `authsvc_cache_total{result="bypass"} 0`)
}

// TestCacheForged changes each character of the cookie of a session that a replica has in memory, and brings it beside others.
func TestCacheForged(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Session.CacheTTL = time.Hour })
	one, other := r.browser(), r.browser()
	one.signIn()
	other.signIn()
	cookie, second := one.sessionCookie(), other.sessionCookie()
	r.everywhere(cookie, http.StatusOK)
	r.everywhere(second, http.StatusOK)
	for i := range cookie {
		c := "A"
		if cookie[i] == 'A' {
			c = "B"
		}
		forged := cookie[:i] + c + cookie[i+1:]
		r.everywhere(forged, http.StatusUnauthorized)
		if i%8 == 0 {
			r.everywhere(forged+"; authsvc="+cookie, http.StatusOK) // junk beside it does not matter
		}
	}
	r.everywhere(cookie+"; authsvc="+cookie, http.StatusOK)
	r.everywhere(cookie+"; authsvc="+second, http.StatusUnauthorized)
	r.everywhere(second+"; authsvc="+cookie, http.StatusUnauthorized)
	r.shows(0, `authsvc_decisions_total{outcome="login",reason="cookie_doubled"} 2`)
}

// TestServeStale takes the store away: who was known passes for as long as the setting says, and nobody else.
func TestServeStale(t *testing.T) {
	r := newRig(t, 2, func(c *Config) { c.Session.CacheTTL, c.Session.ServeStale = time.Second, time.Hour })
	known, ended, unknown := r.browser(), r.browser(), r.browser()
	for _, b := range []*browser{known, ended, unknown} {
		b.signIn()
	}
	for _, replica := range r.replicas {
		replica.cache.Lost(time.Now())
		replica.cache.Armed() // it has forgotten everybody
	}
	r.everywhere(known.sessionCookie(), http.StatusOK)
	r.everywhere(ended.sessionCookie(), http.StatusOK)
	r.store.down.Store(true)
	for _, replica := range r.replicas {
		replica.cache.Lost(time.Now())
	}
	r.everywhere(known.sessionCookie(), http.StatusOK)
	r.everywhere(unknown.sessionCookie(), http.StatusServiceUnavailable)
	if answer := r.logout(0, ended.sessionCookie()); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("the logout answers %d", answer.Code)
	}
	endedHere := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {"authsvc=" + ended.sessionCookie()}})
	if endedHere.Code != http.StatusUnauthorized {
		t.Errorf("the replica that ended it answers %d", endedHere.Code)
	}
	r.shows(0, `authsvc_decisions_total{outcome="allow",reason="session_stale"} 1`)

	// After that time nobody passes.
	for _, replica := range r.replicas {
		replica.cache.Armed()
		replica.cache.Lost(time.Now())
	}
	r.everywhere(known.sessionCookie(), http.StatusServiceUnavailable)
	r.store.down.Store(false)
	r.everywhere(known.sessionCookie(), http.StatusOK)
	token, err := r.replicas[0].sites.Load().main.keyring.ParseToken(session.PurposeSession, mainSite, ended.sessionCookie())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the session that was ended in the outage is gone", func() bool { return !r.replicas[0].endings.Has(token.ID()) })
	r.everywhere(ended.sessionCookie(), http.StatusUnauthorized)
}

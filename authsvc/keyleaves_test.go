package authsvc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"authsvc/session"
)

// TestLoginWhileAKeyLeaves begins a login at a replica that still has the key of the browser's login cookie, and ends it at one that has it no longer:
// the login begins again, with a cookie that both can read.
func TestLoginWhileAKeyLeaves(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { c.Cookie.Secret, config = []Secret{cookieSecret(1), cookieSecret(2)}, c })
	behind := r.replicas[0]
	old := behind.sites.Load().main
	signing, err := newSites(old.config, old.keyring.SignWith(1), behind)
	if err != nil {
		t.Fatal(err)
	}
	behind.sites.Store(signing)
	without := *config
	without.Cookie.Secret = []Secret{cookieSecret(2)}
	ahead := r.another(&without, r.store)
	run(t, ahead)

	shown := old.keyring.NewToken(session.PurposeLogin, mainSite).Reveal()
	start := func(target string) (cookie, state string) {
		t.Helper()
		answer := ask(behind, http.MethodGet, target, trustedPeer, http.Header{"Cookie": {"authsvc_login=" + shown}})
		location, err := url.Parse(answer.Header().Get("Location"))
		if err != nil || len(answer.Result().Cookies()) != 1 {
			t.Fatalf("%d %v", answer.Code, answer.Header())
		}
		return answer.Result().Cookies()[0].Value, location.Query().Get("state")
	}
	cookie, state := start("/start?rd=%2Flanded")
	if cookie != shown {
		t.Error("the attempts under way in other tabs are lost")
	}
	answer := ask(ahead, http.MethodGet, "/callback?code=any&state="+state, trustedPeer, http.Header{"Cookie": {"authsvc_login=" + shown}})
	again := strings.TrimPrefix(answer.Header().Get("Location"), r.url)
	if answer.Code != http.StatusFound || !strings.HasPrefix(again, "/start?") {
		t.Fatalf("%d %v", answer.Code, answer.Header())
	}
	cookie, _ = start(again)
	if _, err := ahead.sites.Load().main.keyring.ParseToken(session.PurposeLogin, mainSite, cookie); err != nil {
		t.Errorf("the replica that has the key no longer cannot read the cookie: %v", err)
	}
}

package authsvc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

// TestSitesSignIn goes through a login and a logout at every site: each ends where it began, and the session passes there and nowhere else.
func TestSitesSignIn(t *testing.T) {
	s := newSiteRig(t, 2, nil)
	for name, site := range s.sites {
		b := s.browser(name)
		if reply := b.signIn(); reply.Header.Get("Location") != "/landed?a=b&c=d" && !strings.HasSuffix(reply.Request.URL.String(), "/landed?a=b&c=d") {
			t.Fatalf("%s: the login ended with %s at %s", name, reply.Status, reply.Request.URL)
		}
		cookie := "authsvc=" + b.sessionCookie()
		for other, at := range s.sites {
			want := http.StatusUnauthorized
			if other == name {
				want = http.StatusOK
			}
			reply := s.asked(at.host, cookie)
			if reply.StatusCode != want {
				t.Errorf("the session of %s at %s: %s", name, other, reply.Status)
			}
			if login := reply.Header.Get("X-Auth-Login-Url"); want != http.StatusOK && !strings.HasPrefix(login, at.url+"/start?rd=") {
				t.Errorf("%s: the login is at %s", other, login)
			}
		}
		end := b.do(http.MethodPost, site.url+"/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
		if !strings.HasPrefix(end.Request.URL.String(), site.url+"/signed_out") {
			t.Errorf("%s: the logout ended at %s", name, end.Request.URL)
		}
		if reply := s.asked(site.host, cookie); reply.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: after the logout %s", name, reply.Status)
		}
	}
}

// TestNothingCrosses tries what one site gave out at each other one: sessions, logins under way, logouts.
func TestNothingCrosses(t *testing.T) {
	s := newSiteRig(t, 1, nil)
	for name, from := range s.sites {
		owner := s.browser(name)
		owner.signIn()
		cookie := "authsvc=" + owner.sessionCookie()
		lives := func(after string) {
			t.Helper()
			if reply := s.asked(from.host, cookie); reply.StatusCode != http.StatusOK {
				t.Errorf("the session of %s after %s: %s", name, after, reply.Status)
			}
		}
		waiting := s.browser(name)
		callback, err := url.Parse(waiting.toCallback())
		if err != nil {
			t.Fatal(err)
		}
		bound := "authsvc_login=" + waiting.loginCookie().Value
		id, err := s.replicas[0].siteNamed(t, from.url).keyring.ParseToken(session.PurposeSession, s.replicas[0].siteNamed(t, from.url).name, owner.sessionCookie())
		if err != nil {
			t.Fatal(err)
		}
		for other, to := range s.sites {
			if other == name {
				continue
			}
			where := name + " at " + other
			commands, exchanges := s.store.commands.Load(), to.provider.Count(idptest.Token)
			if reply := s.asked(to.host, cookie); reply.StatusCode != http.StatusUnauthorized {
				t.Errorf("a session of %s: %s", where, reply.Status)
			}
			for _, path := range []string{"/session", "/userinfo"} {
				if reply := s.at(http.MethodGet, to.url+path, "", http.Header{"Cookie": {cookie}}); reply.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s of %s: %s", path, where, reply.Status)
				}
			}
			if reply := s.at(http.MethodGet, to.url+"/sessions", "", http.Header{"Cookie": {cookie}}); reply.StatusCode != http.StatusFound {
				t.Errorf("the list of %s: %s", where, reply.Status)
			}
			if asked := s.store.commands.Load() - commands; asked != 0 {
				t.Errorf("a foreign cookie of %s cost %d store operations", where, asked)
			}

			crossed := to.url + "/callback?" + callback.RawQuery
			if reply := s.at(http.MethodGet, crossed, "", http.Header{"Cookie": {bound}}); reply.StatusCode != http.StatusBadRequest || len(reply.Cookies()) > 0 {
				t.Errorf("the callback of %s: %s", where, reply.Status)
			}
			own := s.browser(other)
			ownCallback := own.toCallback()
			if reply := s.at(http.MethodGet, ownCallback, "", http.Header{"Cookie": {bound}}); reply.StatusCode != http.StatusFound || sessionCookieOf(reply) != nil {
				t.Errorf("a login cookie of %s: %s", where, reply.Status)
			}
			if n := to.provider.Count(idptest.Token) - exchanges; n != 0 {
				t.Errorf("logins of %s cost %d exchanges", where, n)
			}

			s.at(http.MethodPost, to.url+"/logout", "", http.Header{"Cookie": {cookie}, "Sec-Fetch-Site": {"same-origin"}})
			lives("a logout of it at " + other)
			thief := s.browser(other)
			thief.signIn()
			for _, form := range []url.Values{{"session": {id.ID().String()}}, {"others": {"1"}}} {
				s.at(http.MethodPost, to.url+"/sessions", form.Encode(), http.Header{
					"Cookie": {"authsvc=" + thief.sessionCookie()}, "Sec-Fetch-Site": {"same-origin"}, "Content-Type": {formType},
				})
				lives("the same person ended " + form.Encode() + " at " + other)
			}
			token := from.provider.LogoutToken("app", "alice", "", nil)
			reply := s.at(http.MethodPost, to.url+"/backchannel-logout", url.Values{"logout_token": {token}}.Encode(), http.Header{"Content-Type": {formType}})
			if want := map[bool]int{true: http.StatusOK, false: http.StatusBadRequest}[from.provider == to.provider]; reply.StatusCode != want {
				t.Errorf("a logout token of %s: %s, want %d", where, reply.Status, want)
			}
			lives("a logout token at " + other)
			s.advance(time.Second) // logins that began before a logout are over, and clocks are not exact
		}
		token := from.provider.LogoutToken("app", "alice", "", nil)
		reply := s.at(http.MethodPost, from.url+"/backchannel-logout", url.Values{"logout_token": {token}}.Encode(), http.Header{"Content-Type": {formType}})
		if reply.StatusCode != http.StatusOK || s.asked(from.host, cookie).StatusCode != http.StatusUnauthorized {
			t.Errorf("the provider's logout at %s itself: %s", name, reply.Status)
		}
		s.advance(time.Second)
		// What was in the way of nobody else's login still brings in who began it.
		if reply := waiting.open(callback.String()); reply.StatusCode != http.StatusFound || sessionCookieOf(reply) == nil {
			t.Errorf("the login of %s at its own site: %s", name, reply.Status)
		}
	}
}

// siteNamed returns the site with this public_url.
func (s *Service) siteNamed(t *testing.T, publicURL string) *site {
	t.Helper()
	for _, site := range s.sites.Load().all {
		if site.publicURL == publicURL {
			return site
		}
	}
	t.Fatalf("no site %s", publicURL)
	return nil
}

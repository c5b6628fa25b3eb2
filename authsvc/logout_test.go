package authsvc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

func TestLogout(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	old := b.sessionCookie()
	if reply := b.get("/logout"); reply.StatusCode != http.StatusOK || b.auth("").StatusCode != http.StatusOK {
		t.Fatalf("GET /logout: %s, and it must not sign out", reply.Status)
	}
	if reply := b.do(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"cross-site"}}); reply.StatusCode != http.StatusForbidden {
		t.Fatalf("cross-site POST /logout: %s", reply.Status)
	}
	r.everywhere(old, http.StatusOK)
	reply := b.do(http.MethodPost, "/logout", nil)
	if reply.StatusCode != http.StatusOK || reply.Request.URL.Path != "/signed_out" {
		t.Fatalf("POST /logout ended with %s at %s", reply.Status, reply.Request.URL.Path)
	}
	if n := r.provider.Count(idptest.EndSession); n != 1 {
		t.Errorf("the provider saw %d logouts", n)
	}
	r.everywhere(old, http.StatusUnauthorized)
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.keepsSecrets(old)
}

// logout posts a browser's logout to one replica.
func (r *rig) logout(replica int, cookies ...string) *httptest.ResponseRecorder {
	header := http.Header{}
	for _, cookie := range cookies {
		header.Add("Cookie", "authsvc="+cookie)
	}
	request := httptest.NewRequest(http.MethodPost, "/logout", nil)
	request.Host = "127.0.0.1" // a name would have the variants for its domains expired too
	return askWith(r.replicas[replica], request, header)
}

// checkSignedOut fails the test unless the answer takes the cookie and leads to the provider or to our own page.
func (r *rig) checkSignedOut(answer *httptest.ResponseRecorder, atProvider bool) {
	r.t.Helper()
	location := answer.Header().Get("Location")
	if answer.Code != http.StatusSeeOther || strings.HasPrefix(location, r.provider.URL(idptest.EndSession)+"?") != atProvider || !atProvider && location != r.url+"/signed_out" {
		r.t.Errorf("the logout: %d to %.60q", answer.Code, location)
	}
	expired := 0
	for _, c := range answer.Result().Cookies() {
		if c.Name == "authsvc" && c.Value == "" && c.MaxAge < 0 {
			expired++
		}
	}
	if expired != 1 {
		r.t.Errorf("the cookie was expired %d times", expired)
	}
}

// tokens remembers what the provider gives.
type tokens struct {
	mu           sync.Mutex
	id, refresh  string // the last
	everyRefresh []string
}

func (r *rig) rememberTokens() *tokens {
	given := new(tokens)
	r.provider.EditTokenResponse(func(answer map[string]any) {
		given.mu.Lock()
		defer given.mu.Unlock()
		given.id, _ = answer["id_token"].(string)
		given.refresh, _ = answer["refresh_token"].(string)
		given.everyRefresh = append(given.everyRefresh, given.refresh)
	})
	return given
}

// TestLogoutHint holds the address of the provider's logout against OpenID Connect RP-Initiated Logout 1.0, section 2 (Q28).
func TestLogoutHint(t *testing.T) {
	r := newRig(t, 2, nil)
	given := r.rememberTokens()
	b := r.browser()
	b.signIn()
	check := func() {
		t.Helper()
		answer := r.logout(0, b.sessionCookie())
		r.checkSignedOut(answer, true)
		address, err := url.Parse(answer.Header().Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		want := url.Values{"id_token_hint": {given.id}, "client_id": {"app"}, "post_logout_redirect_uri": {r.url + "/signed_out"}}
		if got := address.Query(); got.Encode() != want.Encode() {
			t.Errorf("query %v", got)
		}
		if answer.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("headers %v", answer.Header())
		}
	}
	check()
	b.signIn()
	first := given.id
	r.advance(6 * time.Minute)
	b.auth("")
	if given.id == first {
		t.Fatal("no refresh")
	}
	check()
	r.keepsSecrets(given.everyRefresh...)
}

// TestLogoutStoreDown signs out while the store does not answer: the page says so and the cookie stays; this replica refuses at once and
// deletes when the store is back, and until then others may let pass.
func TestLogoutStoreDown(t *testing.T) {
	for _, operation := range []string{"everything", "delete"} {
		t.Run(operation, func(t *testing.T) {
			r := newRig(t, 3, nil)
			b, other := r.browser(), r.browser()
			b.signIn()
			other.signIn()
			cookie := b.sessionCookie()
			r.store.down.Store(operation == "everything")
			r.store.refuse("delete")
			answer := r.logout(0, cookie)
			if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" || len(answer.Result().Cookies()) != 0 ||
				!strings.Contains(answer.Body.String(), answer.Header().Get("X-Request-Id")) || !strings.Contains(answer.Body.String(), `action="/logout"`) {
				t.Fatalf("%d with %d cookies\n%s", answer.Code, len(answer.Result().Cookies()), answer.Body)
			}
			refused := func(replica int) int {
				return ask(r.replicas[replica], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {"authsvc=" + cookie}}).Code
			}
			if status := refused(0); status != http.StatusUnauthorized {
				t.Errorf("this replica still lets pass whom it could not sign out: %d", status)
			}
			if again := r.logout(0, cookie); again.Code != http.StatusServiceUnavailable {
				t.Errorf("once more: %d", again.Code)
			}
			r.store.down.Store(false)
			if status := refused(0); status != http.StatusUnauthorized {
				t.Errorf("this replica lets pass again, reads work and deletes do not: %d", status)
			}
			if status := refused(1); status != http.StatusOK {
				t.Errorf("another replica: %d; nothing can have told it", status)
			}
			r.store.refuse()
			eventually(t, "the record is deleted", func() bool { return refused(1) == http.StatusUnauthorized })
			r.everywhere(cookie, http.StatusUnauthorized)
			r.everywhere(other.sessionCookie(), http.StatusOK)
			if n := r.store.records.Load(); n != 1 {
				t.Errorf("%d records", n)
			}
			r.checkSignedOut(r.logout(0, cookie), false)
			r.keepsSecrets(cookie)
		})
	}
}

// TestLogoutOfWhatCannotBeRead deletes a session whose tokens could not be read: that is all that the person asked for.
func TestLogoutOfWhatCannotBeRead(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	r.store.refuse("loadwithtokens")
	r.checkSignedOut(r.logout(0, b.sessionCookie()), false)
	r.store.refuse()
	r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestLogoutWithoutSession signs out a browser that has none; the store is asked only about a cookie that is genuine.
func TestLogoutWithoutSession(t *testing.T) {
	r := newRig(t, 1, nil)
	b := r.browser()
	b.signIn()
	dead := b.sessionCookie()
	r.checkSignedOut(r.logout(0, dead), true)
	for name, test := range map[string]struct {
		cookies []string
		asked   bool
	}{
		"no cookie": {nil, false}, "junk": {[]string{"junk"}, false}, "one byte changed": {[]string{changeByte(dead)}, false},
		"signed out before": {[]string{dead}, true}, "junk beside it": {[]string{"junk", dead}, true},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			before := r.store.commands.Load()
			r.checkSignedOut(r.logout(0, test.cookies...), false)
			if asked := r.store.commands.Load() > before; asked != test.asked {
				t.Errorf("the store was asked: %v", asked)
			}
		})
	}
	if n := r.provider.Count(idptest.Revocation); n != 1 {
		t.Errorf("the provider saw %d revocations", n)
	}
}

// changeByte gives a token another byte in its middle.
func changeByte(token string) string {
	half := len(token) / 2
	other := byte('A')
	if token[half] == other {
		other = 'B'
	}
	return token[:half] + string(other) + token[half+1:]
}

// TestLogoutWithTwoCookies signs out a browser in which somebody has planted a second session: neither outlives it.
func TestLogoutWithTwoCookies(t *testing.T) {
	r := newRig(t, 2, nil)
	victim := r.browser()
	victim.signIn()
	r.visitor.Store("bob")
	mallory := r.browser()
	mallory.signIn()
	for _, order := range [][]string{{victim.sessionCookie(), mallory.sessionCookie()}, {mallory.sessionCookie(), victim.sessionCookie()}} {
		r.checkSignedOut(r.logout(0, order...), order[0] == victim.sessionCookie()) // the second time they are gone
		for _, cookie := range order {
			r.everywhere(cookie, http.StatusUnauthorized)
		}
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestLogoutForgets takes the session off the lists, and leaves the user's others on them.
func TestLogoutForgets(t *testing.T) {
	r := newRig(t, 2, nil)
	b, other := r.browser(), r.browser()
	b.signIn()
	other.signIn()
	sids := r.provider.SessionIDs("alice")
	check := func(user, first, second int) {
		t.Helper()
		for group, want := range map[[2]string]int{
			{session.KindUser, "alice"}: user, {session.KindSID, sids[0]}: first, {session.KindSID, sids[1]}: second,
		} {
			if n := r.noted(group[0], group[1]); n != want {
				t.Errorf("%d entries by %s, want %d", n, group[0], want)
			}
		}
	}
	check(2, 1, 1)
	r.checkSignedOut(r.logout(0, b.sessionCookie()), true)
	check(1, 0, 1)
	r.store.refuse("forget") // an index that lists what is gone is as good
	r.checkSignedOut(r.logout(1, other.sessionCookie()), true)
	check(1, 0, 1)
	r.everywhere(other.sessionCookie(), http.StatusUnauthorized)
}

// TestLogoutWithoutProvider signs out where the provider offers neither revocation nor a logout, and where nobody has found it yet.
func TestLogoutWithoutProvider(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	r.provider.EditDiscovery(func(document map[string]any) {
		delete(document, "revocation_endpoint")
		delete(document, "end_session_endpoint")
	})
	plain := r.another(config, r.store)
	run(t, plain)
	r.replicas = append(r.replicas, plain, r.another(config, r.store))
	for replica := 1; replica <= 2; replica++ {
		t.Run(fmt.Sprint(replica), func(t *testing.T) {
			r.t = t
			all := r.replicas
			r.replicas = all[:1] // the others know of no provider to sign in with
			b := r.browser()
			b.signIn()
			r.replicas = all
			r.checkSignedOut(r.logout(replica, b.sessionCookie()), false)
			r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
		})
	}
	if n := r.provider.Count(idptest.Revocation); n != 0 {
		t.Errorf("the provider saw %d revocations", n)
	}
}

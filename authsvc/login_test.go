package authsvc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func TestLogin(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()

	before := b.auth("")
	if before.StatusCode != http.StatusUnauthorized || len(before.Cookies()) != 0 {
		t.Fatalf("before the login: %s with %d cookies", before.Status, len(before.Cookies()))
	}
	if n := r.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times without a cookie", n)
	}
	landed := b.signIn()
	if landed.StatusCode != http.StatusFound || landed.Header.Get("Location") != "/landed?a=b&c=d" {
		t.Fatalf("the login ended with %s, Location %q\n%s", landed.Status, landed.Header.Get("Location"), landed.body)
	}
	for range r.replicas {
		reply := b.auth("")
		if reply.StatusCode != http.StatusOK || reply.Header.Get("X-Auth-Request-Email") != "alice@example.com" || reply.Header.Get("X-Auth-Request-Groups") != "staff,admins" {
			t.Errorf("/auth: %s %v", reply.Status, reply.Header)
		}
		if len(reply.Cookies()) != 0 || reply.ContentLength != 0 {
			t.Errorf("/auth has %d cookies and a body of %d bytes", len(reply.Cookies()), reply.ContentLength)
		}
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
	if names := b.cookies(); len(names) != 2 {
		t.Errorf("cookies %v, want the session's and the login's", names)
	}
}

func TestRepeatedLoginsReplaceTheRecord(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	var tokens []string
	for range 50 {
		b.signIn()
		tokens = append(tokens, b.sessionCookie())
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records after 50 logins", n)
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(tokens)))); n != 50 {
		t.Errorf("%d different tokens", n)
	}
	for i, token := range tokens[:49] {
		if reply := r.withCookie(token); reply.StatusCode != http.StatusUnauthorized {
			t.Fatalf("token %d still passes: %s", i, reply.Status)
		}
	}
	if reply := b.auth(""); reply.StatusCode != http.StatusOK {
		t.Errorf("the last token: %s", reply.Status)
	}
}

// TestParallelTabs starts logins in ten tabs and finishes them one after the other, and all at once.
func TestParallelTabs(t *testing.T) {
	for _, crossing := range []bool{false, true} {
		r := newRig(t, 3, nil)
		b := r.browser()
		var callbacks []string
		for range 10 {
			callbacks = append(callbacks, b.toCallback())
		}
		if crossing {
			// Every request leaves before any answer is there: none brings a session cookie.
			login := b.loginCookie()
			var wait sync.WaitGroup
			ended := make([]*http.Cookie, len(callbacks))
			for i, address := range callbacks {
				wait.Go(func() {
					tab := r.browser()
					tab.setCookie(login)
					reply := tab.open(address)
					if reply.Header.Get("Location") != "/landed" {
						t.Errorf("tab %d: %s, Location %q", i, reply.Status, reply.Header.Get("Location"))
					}
					ended[i] = sessionCookieOf(reply)
				})
			}
			wait.Wait()
			for i, cookie := range ended {
				if cookie == nil || cookie.Value != ended[0].Value {
					t.Fatalf("tab %d ended on another session", i)
				}
			}
			b.setCookie(ended[0])
		} else {
			for i, address := range callbacks {
				if reply := b.open(address); reply.Header.Get("Location") != "/landed" {
					t.Errorf("tab %d: %s, Location %q", i, reply.Status, reply.Header.Get("Location"))
				}
			}
		}
		if n := r.store.records.Load(); n != 1 {
			t.Errorf("crossing %v: %d records", crossing, n)
		}
		if reply := b.auth(""); reply.StatusCode != http.StatusOK {
			t.Errorf("crossing %v: %s", crossing, reply.Status)
		}
	}
}

// TestSameCallbackAtOnce opens one callback twenty times at once, at three replicas.
func TestSameCallbackAtOnce(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	address := b.toCallback()
	login := b.loginCookie()
	var wait sync.WaitGroup
	tokens := make([]string, 20)
	for i := range tokens {
		wait.Go(func() {
			tab := r.browser()
			tab.setCookie(login)
			reply := tab.open(address)
			if reply.Header.Get("Location") != "/landed" {
				t.Errorf("request %d: %s, Location %q", i, reply.Status, reply.Header.Get("Location"))
			}
			if cookie := sessionCookieOf(reply); cookie != nil {
				tokens[i] = cookie.Value
			}
		})
	}
	wait.Wait()
	if n := r.provider.Count(idptest.Token); n != 1 {
		t.Errorf("the token endpoint was asked %d times", n)
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
	for i, token := range tokens {
		if token == "" || token != tokens[0] {
			t.Errorf("request %d ended on another session", i)
		}
	}
}

func TestManyAttemptsTwoCookies(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	var callbacks []string
	for range 200 {
		callbacks = append(callbacks, b.toCallback())
	}
	if names := b.cookies(); len(names) != 1 {
		t.Errorf("200 attempts left the cookies %v", names)
	}
	for i, address := range callbacks {
		if reply := b.open(address); reply.Header.Get("Location") != "/landed" {
			t.Fatalf("attempt %d: %s", i, reply.Status)
		}
	}
	if names := b.cookies(); len(names) != 2 {
		t.Errorf("200 logins left the cookies %v", names)
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestPlantedLoginCookie lets mallory know the login cookie of the victim's browser.
func TestPlantedLoginCookie(t *testing.T) {
	r := newRig(t, 2, nil)
	mallory := r.browser()
	r.visitor.Store("bob")
	malloryCallback := mallory.toCallback()
	planted := mallory.loginCookie()

	victim := r.browser()
	victim.setCookie(planted)
	r.visitor.Store("alice")
	victim.signIn()
	if got := victim.loginCookie().Value; got != planted.Value {
		t.Fatal("the test needs the victim to use the planted cookie")
	}
	// The victim's login has just written the slot that mallory's login will find; and mallory repeats the callback.
	for range 3 {
		mallory.open(malloryCallback)
		if user := mallory.auth("").Header.Get("X-Auth-Request-User"); user != "bob" {
			t.Fatalf("mallory passes as %q", user)
		}
	}
	again := r.browser()
	again.setCookie(planted)
	again.open(malloryCallback)
	if user := again.auth("").Header.Get("X-Auth-Request-User"); user == "alice" {
		t.Fatal("mallory passes as alice")
	}
	if user := victim.auth("").Header.Get("X-Auth-Request-User"); user != "alice" {
		t.Errorf("the victim passes as %q", user)
	}
}

func TestRestarts(t *testing.T) {
	t.Run("expired", func(t *testing.T) {
		r := newRig(t, 2, nil)
		b := r.browser()
		address := b.toCallback()
		r.advance(attemptLife + time.Second)
		reply := b.open(address)
		if location := reply.Header.Get("Location"); reply.StatusCode != http.StatusFound || !strings.HasPrefix(location, r.url+"/start?rd=%2Flanded") {
			t.Fatalf("%s, Location %q", reply.Status, location)
		}
		if n := r.provider.Count(idptest.Token); n != 0 {
			t.Errorf("the token endpoint was asked %d times", n)
		}
	})
	t.Run("cookies blocked", func(t *testing.T) {
		r := newRig(t, 2, nil)
		b := r.browser()
		b.client.Jar = nil
		reply := b.get("/start?rd=%2Flanded")
		if reply.StatusCode != http.StatusBadRequest || !strings.Contains(reply.body, "authsvc_login") {
			t.Fatalf("%s\n%s", reply.Status, reply.body)
		}
		if n := r.provider.Count(idptest.Authorize); n != 1+maxRestarts {
			t.Errorf("the provider saw %d logins", n)
		}
		if n := r.provider.Count(idptest.Token); n != 0 {
			t.Errorf("the token endpoint was asked %d times", n)
		}
	})
	t.Run("signed in meanwhile", func(t *testing.T) {
		r := newRig(t, 2, nil)
		b := r.browser()
		address := b.toCallback()
		r.advance(attemptLife - time.Second)
		b.signIn()
		r.advance(2 * time.Second)
		if reply := b.open(address); reply.Header.Get("Location") != "/landed" {
			t.Fatalf("%s, Location %q", reply.Status, reply.Header.Get("Location"))
		}
	})
}

// TestTabsRestoredTheNextMorning opens tabs at once in a browser whose login cookie has expired and whose session has ended: all of
// them get the same login cookie, made from the session cookie that they show.
func TestTabsRestoredTheNextMorning(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	dead := &http.Cookie{Name: "authsvc", Value: b.sessionCookie()}
	r.advance(13 * time.Hour)

	var wait sync.WaitGroup
	ended := make([]*http.Cookie, 10)
	for i := range ended {
		wait.Go(func() {
			tab := r.browser() // cookies of its own: no tab sees what another one was given
			tab.setCookie(dead)
			reply := tab.open(tab.toCallback())
			if reply.Header.Get("Location") != "/landed" {
				t.Errorf("tab %d: %s, Location %q", i, reply.Status, reply.Header.Get("Location"))
			}
			ended[i] = sessionCookieOf(reply)
		})
	}
	wait.Wait()
	for i, cookie := range ended {
		if cookie == nil || cookie.Value != ended[0].Value {
			t.Fatalf("tab %d ended on another session", i)
		}
	}
	if reply := r.withCookie(ended[0].Value); reply.StatusCode != http.StatusOK {
		t.Errorf("the session: %s", reply.Status)
	}
}

// TestLogoutEndsEverySession signs out a browser that shows two genuine session cookies, one of them planted.
func TestLogoutEndsEverySession(t *testing.T) {
	r := newRig(t, 2, nil)
	victim, other := r.browser(), r.browser()
	victim.signIn()
	other.signIn()
	both := http.Header{"Cookie": {"authsvc=" + other.sessionCookie() + "; authsvc=" + victim.sessionCookie()}}
	stranger := r.browser()
	stranger.stop = func(*url.URL) bool { return true }
	if reply := stranger.do(http.MethodPost, "/logout", both); reply.StatusCode != http.StatusSeeOther {
		t.Fatalf("POST /logout: %s", reply.Status)
	}
	for _, b := range []*browser{victim, other} {
		if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the logout: %s", reply.Status)
		}
	}
}

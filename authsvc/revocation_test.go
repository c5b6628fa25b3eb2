package authsvc

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// TestRevocation has the provider see the refresh token of a session once, when its browser signs out with the cookie, and in no
// other case (RFC 7009): a session that is replaced, or that loses against another tab's, may share its grant.
func TestRevocation(t *testing.T) {
	r := newRig(t, 3, nil)
	given := r.rememberTokens()
	revocations := func(want int) []idptest.Request {
		t.Helper()
		seen := r.provider.Requests(idptest.Revocation)
		if len(seen) != want {
			t.Fatalf("the provider saw %d revocations, want %d", len(seen), want)
		}
		return seen
	}
	b := r.browser()
	b.signIn()
	b.signIn() // replaces the first
	r.sameBrowser(b).signIn()
	revocations(0)

	first, second := b.toCallback(), b.toCallback()
	hold := r.holdToken()
	tabs := []<-chan reply{
		hold.wait(func() reply { return r.sameBrowser(b).open(first) }),
		hold.wait(func() reply { return r.sameBrowser(b).open(second) }),
	}
	hold.release()
	for _, tab := range tabs {
		<-tab
	}
	if n := r.store.records.Load(); n != 1 {
		t.Fatalf("%d records after two tabs", n)
	}
	revocations(0)

	r.advance(6 * time.Minute)
	b.auth("")
	if counts := r.provider.Counts("alice"); counts.Refreshes != 1 {
		t.Fatalf("the provider saw %+v", counts)
	}
	last := given.refresh
	cookie := b.sessionCookie()
	r.checkSignedOut(r.logout(0, cookie), true)
	seen := revocations(1)[0]
	want := url.Values{"token": {last}, "token_type_hint": {"refresh_token"}}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("app:"+testClientSecret))
	if seen.Method != http.MethodPost || seen.Form.Encode() != want.Encode() || seen.Header.Get("Authorization") != basic || len(seen.Query) != 0 || seen.Status >= 300 {
		t.Errorf("%s, form %v, query %v, status %d", seen.Method, seen.Form, seen.Query, seen.Status)
	}
	r.logout(1, cookie) // and again
	r.logout(1)
	revocations(1)

	b.signIn()
	checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
	r.logout(0, b.sessionCookie())
	r.advance(time.Second)
	b.signIn()
	r.advance(13 * time.Hour)
	r.logout(0, b.sessionCookie())
	revocations(1)
	b.signIn()
	r.provider.EditTokenResponse(withoutRefreshToken)
	b.signIn()
	r.checkSignedOut(r.logout(0, b.sessionCookie()), true)
	revocations(1)
	r.keepsSecrets(given.everyRefresh...)
}

// TestRevocationByPost authenticates as the client is registered.
func TestRevocationByPost(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.OIDC.ClientAuth = "post" })
	b := r.browser()
	b.signIn()
	r.checkSignedOut(r.logout(0, b.sessionCookie()), true)
	seen := r.provider.Requests(idptest.Revocation)
	if len(seen) != 1 || seen[0].Status >= 300 || seen[0].Form.Get("client_id") != "app" || seen[0].Form.Get("client_secret") != testClientSecret || seen[0].Header.Get("Authorization") != "" {
		t.Errorf("%d revocations", len(seen))
	}
}

// TestRevocationFails breaks the revocation in every way. The person is signed out all the same, in bounded time.
func TestRevocationFails(t *testing.T) {
	for name, interceptor := range map[string]idptest.Interceptor{
		"status 500": idptest.Status(http.StatusInternalServerError), "status 503": idptest.Status(http.StatusServiceUnavailable),
		"an OAuth error": idptest.OAuthError("unsupported_token_type"), "closed": idptest.Close(), "endless": idptest.Endless(),
		"hangs": idptest.Hang(), "a redirect": idptest.Redirect("http://127.0.0.1:1/elsewhere"), "garbage": idptest.Garbage(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2, nil)
			given := r.rememberTokens()
			b := r.browser()
			b.signIn()
			r.provider.Intercept(idptest.Revocation, interceptor)
			began := time.Now()
			r.checkSignedOut(r.logout(0, b.sessionCookie()), true)
			if took := time.Since(began); took > 10*revocationTime {
				t.Errorf("the answer came after %v", took)
			}
			r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
			if n := r.provider.Count(idptest.Revocation); n < 1 {
				t.Error("the provider was not asked")
			}
			if warned := strings.Contains(r.log.String(), "keeps the grant"); warned != (name != "garbage" && name != "endless") { // a 200 counts, whatever it says
				t.Errorf("the operator was warned: %v", warned)
			}
			r.keepsSecrets(given.refresh, b.sessionCookie())
		})
	}
}

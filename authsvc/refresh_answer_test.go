package authsvc

import (
	"net/http"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

const accessHeader = "X-Auth-Request-Access-Token"

func withAccessToken(c *Config) { c.Headers[accessHeader] = Header{Claim: accessTokenValue} }

// passes fails the test unless the browser passes, with this value of the groups header.
func (b *browser) passes(groups string) reply {
	b.t.Helper()
	reply := b.auth("")
	if reply.StatusCode != http.StatusOK {
		b.t.Fatalf("/auth: %s", reply.Status)
	}
	if got := reply.Header.Get("X-Auth-Request-Groups"); got != groups {
		b.t.Errorf("groups %q, want %q", got, groups)
	}
	if len(reply.Header[accessHeader]) != 1 {
		b.t.Errorf("the access token's header stands %d times; it has to overwrite a forged one", len(reply.Header[accessHeader]))
	}
	return reply
}

const alicesGroups = "staff,admins"

// An answer without a refresh token means that the former one is good for more (RFC 6749, section 6).
func TestRefreshTokenKept(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	r.provider.EditTokenResponse(func(answer map[string]any) { delete(answer, "refresh_token") })
	for range 2 {
		r.advance(6 * time.Minute)
		b.auth("") // the second time it is refused: this provider has rotated it all the same
		r.landed()
	}
	requests := r.provider.Requests(idptest.Token)
	if len(requests) != 3 {
		t.Fatalf("%d requests", len(requests))
	}
	if first, second := requests[1].Form.Get("refresh_token"), requests[2].Form.Get("refresh_token"); first == "" || first != second {
		t.Errorf("the first refresh sent %q, the second %q", first, second)
	}
}

// A token whose life the provider does not tell is passed on, and not renewed again.
func TestRefreshWithoutExpiry(t *testing.T) {
	r := newRig(t, 2, withAccessToken)
	b := r.browser()
	b.signIn()
	r.provider.EditTokenResponse(func(answer map[string]any) { delete(answer, "expires_in") })
	r.advance(6 * time.Minute)
	renewed := b.passes(alicesGroups).Header.Get(accessHeader)
	if renewed == "" {
		t.Fatal("no new access token")
	}
	for range 3 {
		r.advance(6 * time.Minute)
		if b.passes(alicesGroups).Header.Get(accessHeader) != renewed {
			t.Error("another access token")
		}
	}
	if counts := r.provider.Counts("alice"); counts.Refreshes != 1 {
		t.Errorf("the provider saw %+v", counts)
	}
}

// The provider signs with a new key and cannot be asked for it: nobody can tell whether the ID token is good, but the former refresh token is
// spent. The new tokens are kept, and the former claims.
func TestRefreshWithUnknownKey(t *testing.T) {
	r := newRig(t, 1, withAccessToken)
	b := r.browser()
	b.signIn()
	if err := r.provider.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	r.provider.Intercept(idptest.JWKS, idptest.Status(http.StatusServiceUnavailable))
	r.provider.EditIDToken(func(_, claims map[string]any) { claims["groups"] = []string{"unproved"} })
	r.provider.EditUserinfo(func(claims map[string]any) { delete(claims, "groups") })
	r.advance(6 * time.Minute)
	if b.passes(alicesGroups).Header.Get(accessHeader) == "" {
		t.Error("no new access token")
	}
	r.landed() // whoever comes before would get the result of the first
	r.advance(6 * time.Minute)
	b.passes(alicesGroups)
	// A busy machine may take longer than a verdict waits.
	eventually(t, "a second refresh", func() bool { return r.provider.Counts("alice").Refreshes == 2 })
	if counts := r.provider.Counts("alice"); counts.RefreshReuses != 0 {
		t.Errorf("the provider saw %+v", counts)
	}
}

// Which answers of the token endpoint are final.
func TestFinalAnswers(t *testing.T) {
	oauthError := func(status int, code string) idptest.Interceptor {
		return idptest.Answer(status, "application/json", `{"error":"`+code+`"}`)
	}
	tests := map[string]struct {
		answer idptest.Interceptor
		final  bool
	}{
		"invalid_grant":             {idptest.OAuthError("invalid_grant"), true},
		"invalid_grant as 403":      {oauthError(http.StatusForbidden, "invalid_grant"), true},
		"invalid_request, as Dex":   {idptest.OAuthError("invalid_request"), true},
		"invalid_client":            {oauthError(http.StatusUnauthorized, "invalid_client"), false},
		"unauthorized_client":       {idptest.OAuthError("unauthorized_client"), false},
		"invalid_scope":             {idptest.OAuthError("invalid_scope"), false},
		"temporarily_unavailable":   {idptest.OAuthError("temporarily_unavailable"), false},
		"an error of no known name": {idptest.OAuthError("on_holiday"), false},
		"invalid_grant as 500":      {oauthError(http.StatusInternalServerError, "invalid_grant"), false},
		"invalid_request as 429":    {oauthError(http.StatusTooManyRequests, "invalid_request"), false},
		"400 without words":         {idptest.Status(http.StatusBadRequest), false},
		"401 without words":         {idptest.Status(http.StatusUnauthorized), false},
		"404":                       {idptest.Status(http.StatusNotFound), false},
		"429":                       {idptest.Status(http.StatusTooManyRequests), false},
		"503":                       {idptest.Status(http.StatusServiceUnavailable), false},
		"garbage":                   {idptest.Garbage(), false},
		"an endless answer":         {idptest.Endless(), false},
		"no answer":                 {idptest.Close(), false},
		"a redirect":                {idptest.Redirect("/elsewhere"), false},
		"no token":                  {idptest.Answer(http.StatusOK, "application/json", `{}`), false},
		"a token of another type":   {idptest.Answer(http.StatusOK, "application/json", `{"access_token":"a","token_type":"mac"}`), false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, withAccessToken)
			b := r.browser()
			b.signIn()
			r.provider.Intercept(idptest.Token, test.answer)
			r.provider.ForgetRequests()
			r.advance(6 * time.Minute)
			for range 4 {
				if test.final {
					if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
						t.Errorf("/auth: %s", reply.Status)
					}
				} else if b.passes(alicesGroups).Header.Get(accessHeader) != "" {
					t.Error("an expired access token was passed on")
				}
			}
			if n := r.provider.Count(idptest.Token); n != 1 {
				t.Errorf("the provider was asked %d times", n)
			}
			if lives := r.store.records.Load() == 1; lives == test.final {
				t.Errorf("the record lives: %v", lives)
			}
		})
	}
}

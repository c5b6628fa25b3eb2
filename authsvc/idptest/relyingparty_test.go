package idptest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"authsvc/authsvc/idptest"
)

// callback is where the relying party would listen; the browser of these tests stops in front of it.
const (
	callback  = "http://rp.test/callback"
	signedOut = "http://rp.test/signed_out"
)

func options() idptest.Options {
	return idptest.Options{
		Algorithm: "ES256", // keys are made fast
		Clients: []idptest.Client{
			{ID: "rp", Secret: "s3cr:t &%+", RedirectURIs: []string{callback, "http://rp.test/cb?x=1"}, PostLogoutRedirectURIs: []string{signedOut}},
			{ID: "posting", Secret: "posted", AuthMethod: "client_secret_post", RedirectURIs: []string{callback}},
			{ID: "public", RedirectURIs: []string{callback}},
		},
		People: []idptest.Person{
			{Subject: "1", Name: "Alice Ångström", PreferredUsername: "alice", Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff", "admins"},
				Claims: map[string]any{"realm_access": map[string]any{"roles": []string{"reader"}}}},
			{Subject: "2", Name: "Bob", PreferredUsername: "bob", Email: "bob@example.com", Groups: []string{"staff"}},
		},
	}
}

// relyingParty is an ordinary one, made of go-oidc and x/oauth2, with one browser.
type relyingParty struct {
	t        *testing.T
	provider *idptest.Provider
	oidc     *oidc.Provider
	config   oauth2.Config
	browser  *http.Client
}

func newRelyingParty(t *testing.T, provider *idptest.Provider) *relyingParty {
	t.Helper()
	discovered, err := oidc.NewProvider(t.Context(), provider.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	endpoint := discovered.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	return &relyingParty{
		t: t, provider: provider, oidc: discovered, browser: newBrowser(t),
		config: oauth2.Config{ClientID: "rp", ClientSecret: "s3cr:t &%+", Endpoint: endpoint, RedirectURL: callback, Scopes: []string{"openid", "profile", "email"}},
	}
}

func newBrowser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Host == "rp.test" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
}

const verifier = "0123456789-verifier-0123456789-verifier-0123456789"

// authURL is an authorization request; each change is "name=value", or "-name" to leave it out.
func (rp *relyingParty) authURL(changes ...string) string {
	rp.t.Helper()
	u, err := url.Parse(rp.config.AuthCodeURL("a-state", oidc.Nonce("a-nonce"), oauth2.S256ChallengeOption(verifier)))
	if err != nil {
		rp.t.Fatal(err)
	}
	query := u.Query()
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		if left, out := strings.CutPrefix(name, "-"); out {
			query.Del(left)
		} else if more, add := strings.CutPrefix(name, "+"); add {
			query.Add(more, value)
		} else {
			query.Set(name, value)
		}
	}
	u.RawQuery = query.Encode()
	return u.String()
}

func (rp *relyingParty) get(target string) *http.Response {
	rp.t.Helper()
	answer, err := rp.browser.Get(target)
	if err != nil {
		rp.t.Fatal(err)
	}
	rp.t.Cleanup(func() { answer.Body.Close() })
	return answer
}

// back is what came back to the relying party.
func back(t *testing.T, answer *http.Response) url.Values {
	t.Helper()
	location := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(location, "http://rp.test/") {
		text, _ := io.ReadAll(answer.Body)
		t.Fatalf("the browser did not come back: %s, Location %q, %s", answer.Status, location, text)
	}
	u, err := url.Parse(location)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// code signs the person in through the page, if the page comes, and gives the code.
func (rp *relyingParty) code(subject string, changes ...string) string {
	rp.t.Helper()
	answer := rp.get(rp.authURL(changes...))
	if answer.StatusCode == http.StatusOK {
		pressed, err := idptest.Press(rp.browser, answer, subject)
		if err != nil {
			rp.t.Fatal(err)
		}
		defer pressed.Body.Close()
		answer = pressed
	}
	values := back(rp.t, answer)
	if values.Get("code") == "" {
		rp.t.Fatalf("no code: %v", values)
	}
	return values.Get("code")
}

func (rp *relyingParty) exchange(code string) (*oauth2.Token, error) {
	return rp.config.Exchange(rp.t.Context(), code, oauth2.VerifierOption(verifier))
}

func (rp *relyingParty) login(subject string, changes ...string) *oauth2.Token {
	rp.t.Helper()
	token, err := rp.exchange(rp.code(subject, changes...))
	if err != nil {
		rp.t.Fatal(err)
	}
	return token
}

func (rp *relyingParty) refresh(refreshToken string) (*oauth2.Token, error) {
	return rp.config.TokenSource(rp.t.Context(), &oauth2.Token{RefreshToken: refreshToken}).Token()
}

// verify checks the ID token as a relying party would, at_hash included.
func (rp *relyingParty) verify(ctx context.Context, token *oauth2.Token) (*oidc.IDToken, error) {
	raw, _ := token.Extra("id_token").(string)
	checked, err := rp.oidc.VerifierContext(ctx, &oidc.Config{ClientID: rp.config.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	return checked, checked.VerifyAccessToken(token.AccessToken)
}

func (rp *relyingParty) claims(token *oauth2.Token) map[string]any {
	rp.t.Helper()
	checked, err := rp.verify(rp.t.Context(), token)
	if err != nil {
		rp.t.Fatal(err)
	}
	var claims map[string]any
	if err := checked.Claims(&claims); err != nil {
		rp.t.Fatal(err)
	}
	return claims
}

// userinfo gives status and claims.
func (rp *relyingParty) userinfo(accessToken string) (int, map[string]any) {
	rp.t.Helper()
	request, err := http.NewRequestWithContext(rp.t.Context(), http.MethodGet, rp.provider.URL(idptest.Userinfo), nil)
	if err != nil {
		rp.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer answer.Body.Close()
	var claims map[string]any
	if answer.StatusCode == http.StatusOK {
		if err := json.NewDecoder(answer.Body).Decode(&claims); err != nil {
			rp.t.Fatal(err)
		}
	}
	return answer.StatusCode, claims
}

// wantOAuthError checks that a token request was refused with this code.
func wantOAuthError(t *testing.T, err error, code string) {
	t.Helper()
	refusal, ok := err.(*oauth2.RetrieveError)
	if !ok || refusal.ErrorCode != code {
		t.Fatalf("got %v, want the OAuth error %s", err, code)
	}
}

package authsvc

import (
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

func TestKeptTokens(t *testing.T) {
	all := session.Tokens{AccessToken: "access", RefreshToken: "refresh", IDToken: "e30.e30.QQ", Expiry: time.Unix(1_900_000_000, 0)}
	with := func(change func(*session.Tokens)) session.Tokens {
		tokens := all
		change(&tokens)
		return tokens
	}
	everything := discoveryDocument{Userinfo: "https://id.example/userinfo", EndSession: "https://id.example/logout"}
	nothing := discoveryDocument{}
	for _, tt := range []struct {
		name     string
		document discoveryDocument
		header   bool
		interval time.Duration
		given    session.Tokens
		kept     string // access, refresh and ID token
	}{
		{"a refresh and a logout at the provider", everything, false, 0, all, " refresh e30.e30.QQ"},
		{"a header", everything, true, 0, all, "access refresh e30.e30.QQ"},
		{"userinfo between refreshes", everything, false, time.Minute, all, "access refresh e30.e30.QQ"},
		{"userinfo that there is not", nothing, false, time.Minute, all, " refresh .e30."},
		{"no logout at the provider", nothing, false, 0, all, " refresh .e30."},
		{"no refresh either", nothing, false, 0, with(func(t *session.Tokens) { t.RefreshToken = "" }), "  "},
		{"no refresh, userinfo", discoveryDocument{Userinfo: "https://id.example/userinfo"}, false, time.Minute, with(func(t *session.Tokens) { t.RefreshToken = "" }), "access  .e30."},
		{"no refresh", everything, false, 0, with(func(t *session.Tokens) { t.RefreshToken = "" }), "  e30.e30.QQ"},
		{"claims that were kept before", nothing, false, 0, with(func(t *session.Tokens) { t.IDToken = ".e30." }), " refresh .e30."},
		{"claims that were kept before, and a logout by now", everything, false, 0, with(func(t *session.Tokens) { t.IDToken = ".e30." }), " refresh .e30."},
		{"no ID token", nothing, false, 0, with(func(t *session.Tokens) { t.IDToken = "" }), " refresh "},
		{"an ID token that is too long for a hint", everything, false, 0, with(func(t *session.Tokens) { t.IDToken = "e30.e30." + strings.Repeat("A", 6<<10) }), " refresh .e30."},
	} {
		site := &site{renewer: &session.Renewer{Interval: tt.interval}, identities: identityPlan{}}
		if tt.header {
			site.identities.tokens = []int{0}
		}
		got := site.kept(&metadata{discoveryDocument: tt.document}, tt.given)
		if text := got.AccessToken + " " + got.RefreshToken + " " + got.IDToken; text != tt.kept || !got.Expiry.Equal(all.Expiry) {
			t.Errorf("%s: it kept %q until %v, want %q", tt.name, text, got.Expiry, tt.kept)
		}
	}
}

// What is kept for a refresh alone is no hint: the provider would not know it.
func TestClaimsAreNoHint(t *testing.T) {
	p, meta := &provider{clientID: "app"}, &metadata{discoveryDocument: discoveryDocument{EndSession: "https://id.example/logout"}}
	for idToken, want := range map[string]bool{"e30.e30.QQ": true, ".e30.": false, "": false, "e30.e30." + strings.Repeat("A", 6<<10): false} {
		if address := p.endSessionURL(meta, idToken, "https://app.example/"); strings.Contains(address, "id_token_hint") != want {
			t.Errorf("an ID token of %d bytes: %s", len(idToken), address)
		}
	}
}

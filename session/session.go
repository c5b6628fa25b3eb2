package session

import (
	"fmt"
	"io"
	"time"
)

// Session is who is signed in: what a verdict, a rule and an identity header may know. A Session that
// was loaded is a copy; its Claims must not be changed.
type Session struct {
	ID      ID
	Version uint64
	Site    string

	// Issuer and Subject together name the user: a subject is unique within its issuer only
	// (OpenID Connect Core 1.0, section 2).
	Issuer  string
	Subject string
	// ProviderSession is the provider's name for its own session, the claim "sid"; empty when it gives none.
	ProviderSession string
	// ACR is the authentication context class that the provider vouches for, the claim "acr"; may be empty.
	ACR string
	// AuthTime is when the user last proved who they are, the claim "auth_time"; zero when it gives none.
	AuthTime time.Time

	// Created is the moment of the login, Expires the end of the session whatever its use, both in the store's time.
	Created, Expires time.Time
	// IdleExpires is when the session ends unless it is used.
	IdleExpires time.Time

	// AccessExpires is the end of the access token's life, in the store's time, and AccessLife how long it lived from the moment that
	// it was got; zero when there is no token or its life is unknown.
	AccessExpires time.Time
	AccessLife    time.Duration
	// Refreshable says that there is a refresh token.
	Refreshable bool

	// ClaimsAsked is when the provider was last asked for the claims, in the store's time, whatever it answered.
	ClaimsAsked time.Time
	// Claims are the provider's claims about the user as JSON gives them: strings, bools, int64,
	// float64, []any, map[string]any and nil.
	Claims map[string]any

	// Label, Address and UserAgent are what people recognise the session by on a list: a name for the user, where the browser was at
	// the login, and what it calls itself. They are kept for lists, cut to MaxLabel, MaxAddress and MaxUserAgent bytes: a session that was
	// loaded has none.
	Label, Address, UserAgent string

	// details are those of its record, which each write keeps; what the cache keeps has none.
	details []byte
}

// Tokens are what the provider gave for a session, or those of them that somebody needs: the others are not kept. They print redacted.
type Tokens struct {
	AccessToken  string
	RefreshToken string
	IDToken      string
	// Expiry is the end of the access token's life in the store's time, whether the token is kept or not; zero when unknown.
	Expiry time.Time
}

// Format prints "[redacted]" for every verb, so that no log and no error can carry a token.
func (t Tokens) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText keeps tokens out of JSON and the like.
func (t Tokens) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// empty reports whether there is no token, whatever is known of the life of one.
func (t Tokens) empty() bool { return t.AccessToken == "" && t.RefreshToken == "" && t.IDToken == "" }

// same reports whether the tokens are those of one answer of the provider, as far as they are kept.
func (t Tokens) same(o Tokens) bool {
	return t.AccessToken == o.AccessToken && t.RefreshToken == o.RefreshToken && t.Expiry.UnixMilli() == o.Expiry.UnixMilli()
}

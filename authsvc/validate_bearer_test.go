package authsvc

import (
	"fmt"
	"testing"
)

func TestValidateBearer(t *testing.T) {
	set := func(change func(*Bearer)) func(*Config) {
		return func(c *Config) {
			entry := Bearer{Issuer: "https://id.example.org", Audiences: []string{"https://api.example.com", "batch"}}
			change(&entry)
			c.Bearer = []Bearer{entry}
			c.Headers["X-Auth-Request-Issuer"] = Header{Claim: "iss"}
		}
	}
	introspects := func(change func(*Bearer)) func(*Config) {
		return set(func(b *Bearer) {
			b.IntrospectionURL, b.ClientID, b.ClientSecret = "https://id.example.org/introspect", "gate", "hush"
			change(b)
		})
	}
	own := func(b *Bearer) { b.Issuer, b.ClientID, b.ClientSecret = "https://id.example.com/realms/main", "", "" }
	both := func(changes ...func(*Config)) func(*Config) {
		return func(c *Config) {
			for _, change := range changes {
				change(c)
			}
		}
	}
	checks := []check{
		{name: "good", change: set(func(*Bearer) {})},
		{name: "introspection", change: introspects(func(*Bearer) {})},
		{name: "introspection by our client", change: introspects(own)},
		{name: "introspection on loopback", change: introspects(func(b *Bearer) { b.IntrospectionURL = "http://127.0.0.1:8080/introspect" })},
		{name: "introspection on http, as said", change: both(introspects(func(b *Bearer) { b.IntrospectionURL = "http://id.internal/introspect" }), func(c *Config) { c.OIDC.InsecureHTTP = true })},
		{name: "nothing", change: set(func(b *Bearer) { b.Issuer = "" }), key: "bearer[0].issuer"},
		{name: "http issuer", change: set(func(b *Bearer) { b.Issuer = "http://id.example.org" }), key: "bearer[0].issuer"},
		{name: "no audience", change: set(func(b *Bearer) { b.Audiences = nil }), key: "bearer[0].audiences"},
		{name: "audience twice", change: set(func(b *Bearer) { b.Audiences = []string{"a", "b", "a"} }), key: "bearer[0].audiences[2]"},
		{name: "audience with a space", change: set(func(b *Bearer) { b.Audiences = []string{"a b"} }), key: "bearer[0].audiences[0]"},
		{name: "our client as audience", change: set(func(b *Bearer) { own(b); b.Audiences = []string{"app"} }), warns: "bearer[0].audiences[0]"},
		{name: "a namesake of our client as audience", change: set(func(b *Bearer) { b.Audiences = []string{"app"} })},
		{name: "issuer twice", change: both(set(func(*Bearer) {}), func(c *Config) { c.Bearer = append(c.Bearer, c.Bearer[0]) }), key: "bearer[1].issuer"},
		{name: "nothing tells the issuer", change: both(set(func(*Bearer) {}), func(c *Config) { delete(c.Headers, "X-Auth-Request-Issuer") }), warns: "bearer"},
		{name: "there is one issuer", change: both(set(own), func(c *Config) { delete(c.Headers, "X-Auth-Request-Issuer") })},
		{name: "many", change: func(c *Config) {
			c.Headers["X-Auth-Request-Issuer"] = Header{Claim: "iss"}
			for i := range maxBearers + 1 {
				c.Bearer = append(c.Bearer, Bearer{Issuer: fmt.Sprintf("https://id%d.example.org", i), Audiences: []string{"a"}})
			}
		}, key: "bearer"},
		{name: "a client for nothing", change: introspects(func(b *Bearer) { b.IntrospectionURL = "" }), key: "bearer[0].client_id"},
		{name: "no secret", change: introspects(func(b *Bearer) { b.ClientSecret = "" }), key: "bearer[0].client_secret"},
		{name: "no client", change: introspects(func(b *Bearer) { b.ClientID = "" }), key: "bearer[0].client_id"},
		{name: "our client elsewhere", change: introspects(func(b *Bearer) { b.ClientID, b.ClientSecret = "", "" }), key: "bearer[0].client_id"},
		{name: "our public client", change: both(introspects(own), func(c *Config) { c.OIDC.ClientSecret, c.OIDC.ClientAuth = "", "none" }), key: "bearer[0].client_id", warns: "oidc.client_secret"},
	}
	for _, address := range []string{"http://id.example.org/introspect", "introspect", "ftp://id.example.org/", "https://u:p@id.example.org/", "https://id.example.org/#a", "https:///a"} {
		checks = append(checks, check{name: "introspection at " + address, change: introspects(func(b *Bearer) { b.IntrospectionURL = address }), key: "bearer[0].introspection_url"})
	}
	runChecks(t, checks)
}

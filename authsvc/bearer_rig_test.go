package authsvc

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// bearerRig is a rig whose service takes tokens of an issuer at which nobody signs in.
type bearerRig struct {
	*rig
	issuer *idptest.Provider
}

const (
	testAudience      = "https://api.example.com"
	gateSecret        = "gate-secret-canary"
	machineSecret     = "machine-secret-canary"
	bearerTokenCanary = "opaque-token-canary"
)

// newBearerRig starts one; change may edit the entry of bearer, or add others.
func newBearerRig(t *testing.T, replicas int, change func(*Config)) *bearerRig {
	t.Helper()
	b := &bearerRig{issuer: idptest.Start(t, idptest.Options{
		Issuer: "/machines", OpaqueMachineTokens: true,
		Clients: []idptest.Client{{ID: "gate", Secret: gateSecret}, {ID: "batch", Secret: machineSecret, Audiences: []string{testAudience}}},
	})}
	b.rig = newRig(t, replicas, func(c *Config) {
		c.Bearer = []Bearer{{
			Issuer: b.issuer.Issuer(), Audiences: []string{testAudience, "batch-api"},
			IntrospectionURL: b.issuer.URL(idptest.Introspection), ClientID: "gate", ClientSecret: gateSecret,
		}}
		c.Headers["X-Issuer"], c.Headers["X-Scope"], c.Headers["X-Token"] = Header{Claim: "iss"}, Header{Claim: "scope"}, Header{Claim: "@access_token"}
		if change != nil {
			change(c)
		}
	})
	b.store.commands.Store(0)
	for _, replica := range b.replicas {
		eventually(t, "the issuer is discovered", func() bool {
			_, err := replica.sites.Load().main.bearers.issuers[0].ready()
			return err == nil
		})
	}
	return b
}

// claims are those of a good access token of a client.
func (b *bearerRig) claims() map[string]any {
	now := b.now()
	return map[string]any{
		"iss": b.issuer.Issuer(), "sub": "batch", "aud": testAudience, "client_id": "batch", "scope": "read write", "jti": "1",
		"exp": now.Add(5 * time.Minute).Unix(), "iat": now.Unix(),
	}
}

// sign makes a JWT of the issuer's key. nil removes a claim or a header.
func (b *bearerRig) sign(header, claims map[string]any) string {
	h := map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": b.issuer.KeyID()}
	all := b.claims()
	for whole, changes := range map[*map[string]any]map[string]any{&h: header, &all: claims} {
		maps.Copy(*whole, changes)
		maps.DeleteFunc(*whole, func(_ string, v any) bool { return v == nil })
	}
	return b.issuer.Sign([]byte(jsonText(h)), []byte(jsonText(all)))
}

// bring asks /auth with a bearer token.
func (b *bearerRig) bring(token string) *httptest.ResponseRecorder {
	b.t.Helper()
	return b.with("Bearer " + token)
}

// with asks /auth with this Authorization header.
func (b *bearerRig) with(authorization string) *httptest.ResponseRecorder {
	b.t.Helper()
	answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Authorization": {authorization}})
	if answer.Code == http.StatusUnauthorized && answer.Header().Get("Www-Authenticate") == "" {
		b.t.Error("a 401 without WWW-Authenticate")
	}
	return answer
}

// opaque has the issuer give its client a token of its own.
func (b *bearerRig) opaque() string {
	b.t.Helper()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.issuer.URL(idptest.Token)+"", formBody("grant_type", "client_credentials"))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("batch", machineSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil || answer.AccessToken == "" {
		b.t.Fatalf("%s: %v", response.Status, err)
	}
	return answer.AccessToken
}

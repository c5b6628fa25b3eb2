package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// machineSecret is that of a client which gets tokens for itself.
const machineSecret = "machine-secret-canary-3Fd9"

// tokenOf has the provider give its client batch a token.
func tokenOf(t *testing.T, provider *idptest.Provider) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, provider.URL(idptest.Token), strings.NewReader(url.Values{"grant_type": {"client_credentials"}}.Encode()))
	check(t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("batch", machineSecret)
	response, err := direct.Do(request)
	check(t, err)
	defer response.Body.Close()
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	check(t, json.NewDecoder(response.Body).Decode(&answer))
	if answer.AccessToken == "" {
		t.Fatalf("the provider gave no token: %s", response.Status)
	}
	return answer.AccessToken
}

// TestMachines: a machine's token and a person's session pass through the same nginx, over both replicas. A machine leaves nothing in Redis, and goes
// on while Redis is down.
func TestMachines(t *testing.T) {
	opaque := idptest.Start(t, idptest.Options{
		OpaqueMachineTokens: true,
		Clients:             []idptest.Client{{ID: "gate", Secret: clientSecret}, {ID: "batch", Secret: machineSecret, Audiences: []string{"opaque-api"}}},
	})
	s := newStack(t, options{noReplica: true, provider: func(o *idptest.Options) {
		o.Clients = append(o.Clients, idptest.Client{ID: "batch", Secret: machineSecret, Audiences: []string{"https://api.example.com"}})
	}})
	bearer, err := json.Marshal([]map[string]any{
		{"issuer": s.provider.Issuer(), "audiences": []string{"https://api.example.com"}},
		{"issuer": opaque.Issuer(), "audiences": []string{"opaque-api"}, "introspection_url": opaque.URL(idptest.Introspection), "client_id": "gate", "client_secret": clientSecret},
	})
	check(t, err)
	s.settings["bearer"] = string(bearer)
	s.startReplicas(2)

	// ask loads a path and returns who the application saw.
	ask := func(authorization string, header http.Header) (status int, challenge string, who identity) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api?a=b", nil)
		check(t, err)
		for name, values := range header {
			request.Header[name] = values
		}
		request.Header.Set("Authorization", authorization)
		response, err := direct.Do(request)
		check(t, err)
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			check(t, json.NewDecoder(response.Body).Decode(&who))
		}
		if len(response.Header["Set-Cookie"]) > 0 {
			t.Errorf("a cookie: %v", response.Header)
		}
		return response.StatusCode, response.Header.Get("WWW-Authenticate"), who
	}
	passes := func(what, token string) {
		t.Helper()
		storetest.WaitFor(t, what+" to pass", func() error { // the issuer's metadata and a first answer about a token may take a moment
			if status, challenge, who := ask("Bearer "+token, nil); status != http.StatusOK || who.User != "batch" || who.Path != "/api?a=b" {
				return fmt.Errorf("%d %q %+v", status, challenge, who)
			}
			return nil
		})
	}
	before := s.keys()
	signed, random := tokenOf(t, s.provider), tokenOf(t, opaque)
	for range 4 {
		passes("a JWT", signed)
	}
	for range 4 {
		passes("an opaque token", random)
	}
	if n := opaque.Count(idptest.Introspection); n < 1 || n > 2 {
		t.Errorf("two replicas asked %d times about one token", n)
	}
	if got := s.keys(); !slices.Equal(got, before) {
		t.Errorf("Redis has the keys %q, before it had %q", got, before)
	}

	person := s.visitor("alice")
	person.signIn()
	cookie := http.Header{"Cookie": {sessionCookie + "=" + person.cookie(sessionCookie)}}
	if status, _, who := ask("Bearer "+signed, cookie); status != http.StatusOK || who.User != "alice" {
		t.Errorf("a session and a token: %d, %+v", status, who)
	}
	forged := signed[:strings.LastIndexByte(signed, '.')+1] + strings.Repeat("A", 342)
	for what, test := range map[string]struct{ authorization, challenge string }{
		"a forged signature": {"Bearer " + forged, `error="invalid_token"`},
		"not known":          {"Bearer unknown", `error="invalid_token", error_description="its issuer does not know it, or it has ended"`},
		"an ID token's kind": {"Bearer " + s.provider.LogoutToken(clientID, "alice", "", nil), `error="invalid_token"`},
		"malformed":          {"Bearer a b", `error="invalid_request"`},
		"not a token":        {"Basic YTpi", `Bearer realm="` + s.site + `"`},
	} {
		status, challenge, _ := ask(test.authorization, nil)
		if status != http.StatusUnauthorized || !strings.Contains(challenge, test.challenge) {
			t.Errorf("%s: %d, WWW-Authenticate %q", what, status, challenge)
		}
	}

	// Many machines with one token that nobody has seen yet.
	fresh := tokenOf(t, opaque)
	opaque.ForgetRequests()
	var asking sync.WaitGroup
	for range 40 {
		asking.Go(func() { passes("one of many", fresh) })
	}
	asking.Wait()
	if n := opaque.Count(idptest.Introspection); n < 1 || n > 2 {
		t.Errorf("two replicas asked %d times about one token", n)
	}

	s.redis.Kill()
	passes("a machine without Redis", signed)
	s.redis.Start()
	for i, r := range s.replicas {
		log := r.log.String()
		for _, secret := range []string{signed, random, fresh, machineSecret, clientSecret, "eyJ"} {
			if strings.Contains(log, secret) {
				t.Errorf("the log of replica %d tells %.20q", i, secret)
			}
		}
	}
}

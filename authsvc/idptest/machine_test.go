package idptest_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// form posts to an endpoint as a client, and returns the status and the JSON of the answer.
func form(t *testing.T, address, client, secret string, values url.Values) (int, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		request.SetBasicAuth(client, secret)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// TestMachines gets tokens for a client itself, and asks what they stand for.
func TestMachines(t *testing.T) {
	for _, opaque := range []bool{false, true} {
		var ahead atomic.Int64
		p := idptest.Start(t, idptest.Options{
			OpaqueMachineTokens: opaque, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
			Clients: []idptest.Client{{ID: "batch", Secret: "s", Audiences: []string{"api"}}, {ID: "plain", Secret: "s"}, {ID: "public"}},
		})
		grant := url.Values{"grant_type": {"client_credentials"}}
		status, answer := form(t, p.URL(idptest.Token), "batch", "s", grant)
		token, _ := answer["access_token"].(string)
		if status != http.StatusOK || answer["token_type"] != "Bearer" || answer["id_token"] != nil || answer["refresh_token"] != nil || strings.Count(token, ".") == 2 == opaque {
			t.Fatalf("%d %v", status, answer)
		}
		for _, client := range []string{"plain", "public"} {
			if status, answer := form(t, p.URL(idptest.Token), client, "s", grant); status == http.StatusOK {
				t.Errorf("%s got %v", client, answer)
			}
		}
		introspect := func(token string) map[string]any {
			status, answer := form(t, p.URL(idptest.Introspection), "plain", "s", url.Values{"token": {token}})
			if status != http.StatusOK {
				t.Errorf("%d %v", status, answer)
			}
			return answer
		}
		if answer := introspect(token); answer["active"] != true || answer["sub"] != "batch" || answer["client_id"] != "batch" || answer["iss"] != p.Issuer() {
			t.Errorf("%v", answer)
		}
		if answer := introspect("unknown"); len(answer) != 1 || answer["active"] != false {
			t.Errorf("%v", answer)
		}
		for client, secret := range map[string]string{"plain": "wrong", "public": "", "": ""} {
			if status, answer := form(t, p.URL(idptest.Introspection), client, secret, url.Values{"token": {token}}); status == http.StatusOK {
				t.Errorf("%q learnt %v", client, answer)
			}
		}
		ahead.Store(int64(time.Hour))
		if answer := introspect(token); answer["active"] != false {
			t.Errorf("once it has ended: %v", answer)
		}
	}
}

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

// pushed pushes the parameters of an authorization request and gives its request_uri.
func (rp *relyingParty) pushed(changes ...string) (uri, body string) {
	rp.t.Helper()
	u, err := url.Parse(rp.authURL(changes...))
	if err != nil {
		rp.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(rp.t.Context(), http.MethodPost, rp.provider.URL(idptest.Push), strings.NewReader(u.RawQuery))
	if err != nil {
		rp.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("rp", url.QueryEscape("s3cr:t &%+"))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer answer.Body.Close()
	var fields map[string]any
	if err := json.NewDecoder(answer.Body).Decode(&fields); err != nil {
		rp.t.Fatal(err)
	}
	uri, _ = fields["request_uri"].(string)
	body, _ = fields["error"].(string)
	if (answer.StatusCode == http.StatusCreated) != (uri != "") {
		rp.t.Errorf("%s with %v", answer.Status, fields)
	}
	return uri, body
}

// TestPushedRequests holds the provider to RFC 9126: a request is checked when it is pushed, and opens one login, of its client, for a short time.
func TestPushedRequests(t *testing.T) {
	var ahead atomic.Int64
	o := options()
	o.Push, o.SignIn = idptest.PushRequired, func(*http.Request) string { return "1" }
	o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	rp := newRelyingParty(t, idptest.Start(t, o))
	begin := func(query url.Values) *http.Response {
		return rp.get(rp.provider.URL(idptest.Authorize) + "?" + query.Encode())
	}

	uri, _ := rp.pushed()
	query := url.Values{"client_id": {"rp"}, "request_uri": {uri}}
	if code := back(t, begin(query)).Get("code"); code == "" {
		t.Error("no code")
	} else if _, err := rp.exchange(code); err != nil {
		t.Error(err)
	}
	refused := func(what string, query url.Values) {
		t.Helper()
		if answer := begin(query); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", what, answer.Status)
		}
	}
	refused("again", query)
	uri, _ = rp.pushed()
	refused("of another client", url.Values{"client_id": {"posting"}, "request_uri": {uri}})
	uri, _ = rp.pushed()
	refused("with more", url.Values{"client_id": {"rp"}, "request_uri": {uri}, "scope": {"openid"}})
	uri, _ = rp.pushed()
	ahead.Store(int64(2 * time.Minute))
	refused("too late", url.Values{"client_id": {"rp"}, "request_uri": {uri}})
	refused("unknown", url.Values{"client_id": {"rp"}, "request_uri": {"urn:ietf:params:oauth:request_uri:x"}})
	if answer := rp.get(rp.authURL()); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("not pushed: %s", answer.Status)
	}
	for change, want := range map[string]string{
		"response_type=token": "unsupported_response_type", "-code_challenge": "invalid_request", "request_uri=urn:x": "invalid_request",
		"redirect_uri=http://rp.test/elsewhere": "invalid_request", "client_id=posting": "invalid_request",
	} {
		if _, code := rp.pushed(change); code != want {
			t.Errorf("%s: %s, want %s", change, code, want)
		}
	}
}

// TestShapes holds each shape to itself: what it lacks is not there.
func TestShapes(t *testing.T) {
	for _, shape := range idptest.Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			o := options()
			o.Shape, o.Issuer = shape, shape.IssuerPath
			provider := idptest.Start(t, o)
			answer, err := http.Get(provider.URL(idptest.Discovery))
			if err != nil {
				t.Fatal(err)
			}
			defer answer.Body.Close()
			var document map[string]any
			if err := json.NewDecoder(answer.Body).Decode(&document); err != nil {
				t.Fatal(err)
			}
			for _, member := range shape.Missing {
				if document[member] != nil {
					t.Errorf("it has %s", member)
				}
			}
			if issuer := document["issuer"]; !strings.HasSuffix(issuer.(string), shape.IssuerPath) {
				t.Errorf("its issuer is %s", issuer)
			}
			for _, path := range []string{"/end_session", "/revoke", "/userinfo"} {
				member := map[string]string{"/end_session": "end_session_endpoint", "/revoke": "revocation_endpoint", "/userinfo": "userinfo_endpoint"}[path]
				answer, err := http.Get(strings.TrimSuffix(provider.Issuer(), "/") + path)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if there := answer.StatusCode != http.StatusNotFound; there != (document[member] != nil) {
					t.Errorf("%s: %s", path, answer.Status)
				}
			}
		})
	}
}

package authsvc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

func authorizationRequest(t *testing.T, answer *httptest.ResponseRecorder) url.Values {
	t.Helper()
	if answer.Code != http.StatusFound {
		t.Fatalf("/start: %d\n%s", answer.Code, answer.Body)
	}
	u, err := url.Parse(answer.Header().Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// TestAuthorizationRequest holds /start against Q1, Q2, Q10 and Q11: what goes to the provider comes from the configuration alone.
func TestAuthorizationRequest(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		c.OIDC.AuthParams = map[string]string{"kc_idp_hint": "corp", "acr_values": "gold"}
	})
	service := r.replicas[0]
	tests := []struct {
		name, target, peer string
		header             http.Header
	}{
		{"plain", "/start", trustedPeer, nil},
		{"Q11 parameters of a stranger", "/start?scope=admin&claims=%7B%7D&redirect_uri=https://evil.example/&client_id=evil&response_type=token&response_mode=fragment&prompt=none&nonce=n&state=s&code_challenge=c&code_challenge_method=plain&acr_values=evil&max_age=1&login_hint=x&request=r&request_uri=u&kc_idp_hint=evil", trustedPeer, nil},
		{"Q1 forwarded host of a trusted peer", "/start", trustedPeer, http.Header{
			"Host": {"evil.example"}, "X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"444"},
			"X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Uri": {"/evil"}, "X-Original-Url": {"https://evil.example/x"}, "Forwarded": {"host=evil.example;proto=https"},
		}},
		{"Q1 host of a stranger", "/start", strangePeer, http.Header{"Host": {"evil.example"}, "X-Forwarded-Host": {"evil.example"}}},
		{"the alias", "/sign_in", trustedPeer, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(service, http.MethodGet, test.target, test.peer, test.header)
			query := authorizationRequest(t, answer)
			for name, want := range map[string]string{
				"response_type": "code", "client_id": "app", "redirect_uri": r.url + "/callback", "scope": "openid profile email",
				"code_challenge_method": "S256", "kc_idp_hint": "corp", "acr_values": "gold",
			} {
				if got := query[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			for name, length := range map[string]int{"state": 100, "nonce": 43, "code_challenge": 43} {
				if got := query[name]; len(got) != 1 || len(got[0]) < length || len(got[0]) >= maxState {
					t.Errorf("%s: %q", name, got)
				}
			}
			if len(query) != 10 {
				t.Errorf("%d parameters: %v", len(query), query)
			}
			location := answer.Header().Get("Location")
			if !strings.HasPrefix(location, r.provider.URL(idptest.Authorize)+"?") || strings.Contains(location, "evil") {
				t.Errorf("Location %q", location)
			}
			if answer.Header().Get("Referrer-Policy") != "no-referrer" || answer.Header().Get("Cache-Control") != "no-store" || answer.Body.Len() > 0 {
				t.Errorf("headers %v, a body of %d bytes", answer.Header(), answer.Body.Len())
			}
		})
	}
	if n := r.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestAuthParamsReplaceNothing configures parameters that would weaken the request (validation refuses some of them already).
func TestAuthParamsReplaceNothing(t *testing.T) {
	r := newRig(t, 1, nil)
	p := *r.replicas[0].sites.Load().main.provider
	p.authParams = map[string]string{
		"nonce": "evil", "code_challenge": "evil", "code_challenge_method": "plain", "response_type": "token",
	}
	meta, err := p.ready()
	if err != nil {
		t.Fatal(err)
	}
	address, err := p.authorizationURL(t.Context(), meta, "state", "nonce", "verifier", nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"nonce": "nonce", "code_challenge_method": "S256", "response_type": "code"} {
		if got := u.Query()[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if strings.Contains(u.RawQuery, "evil") {
		t.Errorf("%s", u.RawQuery)
	}
}

// TestStartsNeverRepeat begins 1,000 logins, half of them in one browser (Q2, Q3, Q4).
func TestStartsNeverRepeat(t *testing.T) {
	r := newRig(t, 2, nil)
	seen := map[string]string{}
	var login string
	for i := range 1000 {
		var header http.Header
		if i%2 == 1 {
			header = http.Header{"Cookie": {"authsvc_login=" + login}}
		}
		answer := ask(r.replicas[i%2], http.MethodGet, "/start?rd=%2Flanded", trustedPeer, header)
		query := authorizationRequest(t, answer)
		for _, cookie := range answer.Result().Cookies() {
			if i%2 == 1 && cookie.Value != login {
				t.Fatal("the browser's login cookie changed")
			}
			login = cookie.Value
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := query.Get(name)
			if before, has := seen[value]; has {
				t.Fatalf("start %d: %s was a %s before", i, name, before)
			}
			seen[value] = name
		}
	}
	if n := r.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestStartReturnAddress tells which address a login ends at, and which are refused.
func TestStartReturnAddress(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Redirect.Default, c.Redirect.AllowedHosts = "/home", []string{"app.example.com"} })
	redirect := func(value string) http.Header { return http.Header{"X-Auth-Request-Redirect": {value}} }
	tests := []struct {
		name, query, peer string
		header            http.Header
		want              string // "" means 400
	}{
		{"none", "", trustedPeer, nil, "/home"},
		{"empty", "?rd=", trustedPeer, nil, "/home"},
		{"a path", "?rd=%2Fa%3Fb%3Dc%26d%3D%252F", trustedPeer, nil, "/a?b=c&d=%2F"},
		{"the first counts", "?rd=%2Fa&rd=https://evil.example/", trustedPeer, nil, "/a"},
		{"the first counts, also when it is bad", "?rd=https://evil.example/&rd=%2Fa", trustedPeer, nil, ""},
		{"the first counts, also when it is empty", "?rd=&rd=%2Fa", trustedPeer, nil, "/home"},
		{"a plus is a space", "?rd=%2Fa+b", trustedPeer, nil, ""},
		{"a semicolon", "?rd=/a;b=c", trustedPeer, nil, "/a;b=c"},
		{"malformed", "?rd=%zz", trustedPeer, nil, ""},
		{"malformed beside it", "?x=%zz&rd=/a", trustedPeer, nil, "/a"},
		{"beyond ASCII", "?rd=%2Fgr%C3%BC%C3%9Fe", trustedPeer, nil, "/gr%C3%BC%C3%9Fe"},
		{"bytes that are no UTF-8", "?rd=%2Fcaf%E9", trustedPeer, nil, "/caf%E9"},
		{"a name in another case is another", "?RD=/a", trustedPeer, nil, "/home"},
		{"an allowed host", "?rd=https://app.example.com/a", trustedPeer, nil, "https://app.example.com/a"},
		{"another host", "?rd=https://evil.example/", trustedPeer, nil, ""},
		{"two slashes", "?rd=//evil.example/", trustedPeer, nil, ""},
		{"our own endpoint", "?rd=/logout", trustedPeer, nil, ""},
		{"a trusted gateway's header", "", trustedPeer, redirect("/from-gateway"), "/from-gateway"},
		{"rd before the header", "?rd=/a", trustedPeer, redirect("/from-gateway"), "/a"},
		{"a trusted gateway's bad header", "", trustedPeer, redirect("https://evil.example/"), ""},
		{"a stranger's header", "", strangePeer, redirect("/from-stranger"), "/home"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			answer := ask(r.replicas[0], http.MethodGet, "/start"+test.query, test.peer, test.header)
			if test.want == "" {
				if answer.Code != http.StatusBadRequest || len(answer.Result().Cookies()) > 0 {
					t.Errorf("%d with cookies %v", answer.Code, answer.Result().Cookies())
				}
				checkSecrets(t, "the answer", answer.Header().Get("Location")+answer.Body.String(), []string{"evil.example"})
				return
			}
			authorizationRequest(t, answer)
			b := r.browser()
			b.setCookie(answer.Result().Cookies()[0])
			b.stop = func(u *url.URL) bool { return strings.HasSuffix(u.Path, "/callback") }
			ended := b.open(b.get(answer.Header().Get("Location")).Header.Get("Location"))
			if got := ended.Header.Get("Location"); got != test.want {
				t.Errorf("the login ended at %q, want %q", got, test.want)
			}
		})
	}
}

package authsvc

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestAuthorizationResponseFaults changes what the browser brings back: none of it may cost the code.
func TestAuthorizationResponseFaults(t *testing.T) {
	r := newRig(t, 1, nil)
	set := func(name string, values ...string) func(url.Values) {
		return func(v url.Values) { v[name] = values }
	}
	unset := func(names ...string) func(url.Values) {
		return func(v url.Values) {
			for _, name := range names {
				v.Del(name)
			}
		}
	}
	failure := func(code, description string) func(url.Values) {
		return func(v url.Values) {
			v.Del("code")
			v.Set("error", code)
			v.Set("error_description", description)
		}
	}
	twice := func(name string) func(url.Values) {
		return func(v url.Values) { v.Add(name, v.Get(name)) }
	}
	row := func(name string, want int, tamper func(url.Values)) fault {
		return fault{name: name, tamper: tamper, want: want}
	}
	const (
		good        = http.StatusFound
		request     = http.StatusBadRequest
		forbidden   = http.StatusForbidden
		bad         = http.StatusBadGateway
		unreachable = http.StatusServiceUnavailable
	)
	issuer := r.provider.Issuer()
	otherState := parameter(t, startOf(r), "state")
	script := "<script>alert(1)</script>"

	faults := []fault{
		row("Q3 state missing", request, unset("state")),
		row("Q3 state empty", request, set("state", "")),
		row("Q3 state twice", request, twice("state")),
		row("Q3 state twice, the first one wrong", request, func(v url.Values) { v["state"] = []string{"wrong", v.Get("state")} }),
		row("Q3 state of another browser", request, set("state", otherState)),
		row("Q3 state truncated", request, func(v url.Values) { v.Set("state", v.Get("state")[:len(v.Get("state"))-1]) }),
		row("Q3 state with a letter more", request, func(v url.Values) { v.Set("state", v.Get("state")+"A") }),
		row("Q3 state with padding", request, func(v url.Values) { v.Set("state", v.Get("state")+"=") }),
		row("Q3 state with a line end", request, func(v url.Values) { v.Set("state", v.Get("state")+"\n") }),
		row("Q3 state in the alphabet of standard base64", request, func(v url.Values) { v.Set("state", "++//"+v.Get("state")[4:]) }),
		row("Q3 state that is the login cookie", request, set("state", "AQAAAAAA")),
		row("Q3 state of 100 KB", request, set("state", strings.Repeat("A", 100<<10))),
		row("Q3 state with markup", request, set("state", script)),
		row("Q3 nothing at all", request, unset("state", "code", "iss")),

		row("Q3 code missing", request, unset("code")),
		row("Q3 code empty", request, set("code", "")),
		row("Q3 code twice", request, twice("code")),
		row("Q3 two codes", request, func(v url.Values) { v.Add("code", "another") }),

		row("Q5 iss missing, remove-authorization-response-iss", bad, unset("iss")),
		row("Q5 iss empty", bad, set("iss", "")),
		row("Q5 iss of another, invalid-authorization-response-iss", bad, set("iss", "https://login.example.com")),
		row("Q5 iss with a final slash", bad, set("iss", issuer+"/")),
		row("Q5 iss in upper case", bad, set("iss", strings.ToUpper(issuer))),
		row("Q5 iss twice", request, twice("iss")),
		row("Q6 an error of another provider", bad, func(v url.Values) { failure("access_denied", "")(v); v.Set("iss", "https://login.example.com") }),

		row("Q7 access_denied", forbidden, failure("access_denied", "no")),
		row("Q7 login_required", bad, failure("login_required", "")),
		row("Q7 interaction_required", bad, failure("interaction_required", "")),
		row("Q7 invalid_scope", bad, failure("invalid_scope", "")),
		row("Q7 server_error", unreachable, failure("server_error", "")),
		row("Q7 temporarily_unavailable", unreachable, failure("temporarily_unavailable", "")),
		row("Q7 an error that nobody knows", bad, failure("alice@example.com", "alice@example.com")),
		row("Q7 an error with markup", bad, failure(script, script)),
		row("Q7 access_denied with a description with markup", forbidden, failure("access_denied", script)),
		row("Q7 a description of 100 KB", forbidden, failure("access_denied", strings.Repeat("alice@example.com", 6000))),
		row("Q7 an error twice", request, func(v url.Values) { v["error"] = []string{"access_denied", "access_denied"} }),
		row("Q7 an error beside a code", forbidden, set("error", "access_denied")),
		row("Q7 an error without state", request, func(v url.Values) { failure("access_denied", script)(v); v.Del("state") }),
		row("Q7 an error with another browser's state", request, func(v url.Values) { failure("access_denied", script)(v); v.Set("state", otherState) }),

		row("parameters that nobody knows", good, func(v url.Values) {
			v.Set("session_state", "x")
			v["scope"] = []string{"openid", "email"}
		}),
	}
	// A state of some 200 characters; every seventh is enough to meet all its parts.
	for at := 0; at < 140; at += 7 {
		faults = append(faults, row(fmt.Sprintf("Q3 state changed at %d", at), request, func(v url.Values) {
			state := []byte(v.Get("state"))
			if state[at] ^= 1; state[at] == '@' || state[at] == '`' || state[at] == '[' || state[at] == '.' || state[at] == '^' || state[at] == ',' {
				state[at] = 'w'
			}
			v.Set("state", string(state))
		}))
	}
	faults = append(faults, row("Q3 the last bits of state changed", request, func(v url.Values) {
		state := []byte(v.Get("state"))
		state[len(state)-1] ^= 1
		v.Set("state", string(state))
	}))
	runFaults(t, r, faults)

	t.Run("Q7 pages show nothing of what came", func(t *testing.T) {
		r.t = t
		b := r.browser()
		reply := b.open(tamperWith(t, b.toCallback(), func(v url.Values) {
			failure(script, script+"canary-description")(v)
			v.Set("error_uri", "https://evil.example/")
		}))
		checkSecrets(t, "the page", reply.body, []string{"<script", "canary-description", "evil.example"})
		if location := reply.Header.Get("Location"); location != "" {
			t.Errorf("it leads to %q: a loop", location)
		}
	})
	t.Run("Q5 iss when it is not advertised", func(t *testing.T) {
		r.t = t
		unadvertised := func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) { delete(document, "authorization_response_iss_parameter_supported") })
			r.rediscover()
		}
		runFaults(t, r, []fault{
			{name: "absent", arm: unadvertised, tamper: unset("iss"), want: good},
			{name: "right", arm: unadvertised, want: good},
			{name: "wrong", arm: unadvertised, tamper: set("iss", "https://login.example.com"), want: bad},
		})
	})
	t.Run("queries that cannot be read", func(t *testing.T) {
		r.t = t
		b := r.browser()
		for _, query := range []string{"?%zz=1", "?state=%", "?a;b", "?state=%00&code=%00"} {
			if reply := b.open(r.url + "/callback" + query); reply.StatusCode != request {
				t.Errorf("%s: %s", query, reply.Status)
			}
		}
	})
}

// TestStateIsNotConsumed brings the callback in ways that are no callback; the person's own request works afterwards.
func TestStateIsNotConsumed(t *testing.T) {
	r := newRig(t, 2, nil)
	tests := []struct {
		name   string
		method string
		header http.Header
		want   int
	}{
		{"Q9 HEAD", http.MethodHead, nil, http.StatusMethodNotAllowed},
		{"Q9 POST without form_post", http.MethodPost, nil, http.StatusMethodNotAllowed},
		{"Q9 PUT", http.MethodPut, nil, http.StatusMethodNotAllowed},
		{"Q9 DELETE", http.MethodDelete, nil, http.StatusMethodNotAllowed},
		{"Q9 OPTIONS", http.MethodOptions, nil, http.StatusMethodNotAllowed},
		{"Q9 prefetch", http.MethodGet, http.Header{"Sec-Purpose": {"prefetch"}}, http.StatusBadRequest},
		{"Q9 prerender", http.MethodGet, http.Header{"Sec-Purpose": {"prefetch;prerender"}}, http.StatusBadRequest},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			b := r.browser()
			address := b.toCallback()
			r.provider.ForgetRequests()
			commands := r.store.commands.Load()
			b.stop = func(*url.URL) bool { return true }
			reply := b.do(test.method, address, test.header)
			if reply.StatusCode != test.want || len(reply.Cookies()) > 0 {
				t.Errorf("%s with %d cookies, want %d", reply.Status, len(reply.Cookies()), test.want)
			}
			if allow := reply.Header.Get("Allow"); (allow == "GET") != (test.want == http.StatusMethodNotAllowed) {
				t.Errorf("Allow: %q", allow)
			}
			if n := r.store.commands.Load() - commands; n != 0 || r.provider.Count(idptest.Token) != 0 {
				t.Errorf("%d store commands, %d token requests", n, r.provider.Count(idptest.Token))
			}
			checkLanded(t, r, b, b.open(address))
		})
	}
}

// TestCallbackAgain brings a good callback again: the code is spent once (Q8).
func TestCallbackAgain(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	address := b.toCallback()
	checkLanded(t, r, b, b.open(address))
	first := b.sessionCookie()
	for range 3 {
		if reply := b.open(address); reply.StatusCode != http.StatusFound || reply.Header.Get("Location") != "/landed" {
			t.Errorf("again: %s, Location %q", reply.Status, reply.Header.Get("Location"))
		}
	}
	if n := r.provider.Count(idptest.Token); n != 1 || r.store.records.Load() != 1 {
		t.Errorf("%d token requests, %d records", n, r.store.records.Load())
	}
	if b.sessionCookie() != first {
		t.Error("the session changed")
	}
	t.Run("Q3 from another browser with a login cookie of its own", func(t *testing.T) {
		r.t = t
		mallory := r.browser()
		mallory.toCallback()
		if reply := mallory.open(address); reply.StatusCode != http.StatusBadRequest || sessionCookieOf(reply) != nil {
			t.Errorf("%s", reply.Status)
		}
	})
	t.Run("Q3 from another browser without a login cookie", func(t *testing.T) {
		r.t = t
		mallory := r.browser()
		reply := mallory.open(address)
		if location := reply.Header.Get("Location"); reply.StatusCode != http.StatusFound || !strings.HasPrefix(location, r.url+"/start?") || sessionCookieOf(reply) != nil {
			t.Errorf("%s, Location %q", reply.Status, location)
		}
	})
	if n := r.provider.Count(idptest.Token); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

// TestCallbackWhileTheStoreIsDown keeps the code for a later try.
func TestCallbackWhileTheStoreIsDown(t *testing.T) {
	r := newRig(t, 1, nil)
	b := r.browser()
	address := b.toCallback()
	r.store.down.Store(true)
	reply := b.open(address)
	if reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" || len(reply.Cookies()) != 0 {
		t.Errorf("%s, Retry-After %q, %d cookies", reply.Status, reply.Header.Get("Retry-After"), len(reply.Cookies()))
	}
	if n := r.provider.Count(idptest.Token); n != 0 {
		t.Fatalf("%d token requests: the code is spent", n)
	}
	r.store.down.Store(false)
	checkLanded(t, r, b, b.open(address))
}

// TestPresetSessionCookie signs in with a session cookie that was there before: the login makes a new one always (Q38).
func TestPresetSessionCookie(t *testing.T) {
	r := newRig(t, 2, nil)
	other := r.browser()
	r.visitor.Store("bob")
	other.signIn()
	bobs := other.sessionCookie()
	r.visitor.Store("alice")
	for name, preset := range map[string]string{"junk": "junk", "another person's": bobs} {
		b := r.browser()
		b.setCookie(&http.Cookie{Name: "authsvc", Value: preset})
		b.signIn()
		if got := b.sessionCookie(); got == preset {
			t.Errorf("%s: the cookie stayed", name)
		}
		if user := b.auth("").Header.Get("X-Auth-Request-User"); user != "alice" {
			t.Errorf("%s: signed in as %q", name, user)
		}
	}
	if reply := r.withCookie(bobs); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("the session that the new login replaced: %s", reply.Status)
	}
}

// TestFormPost signs in with response_mode=form_post, which needs https and a login cookie that cross-site posts bring.
func TestFormPost(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) {
		c.PublicURL, c.OIDC.ResponseMode = "https://app.example.com", "form_post"
		config = c
	})
	service := r.replicas[0]
	started := ask(service, http.MethodGet, "https://app.example.com/start?rd=%2Flanded", trustedPeer, nil)
	cookies := started.Result().Cookies()
	at := slices.IndexFunc(cookies, func(c *http.Cookie) bool { return c.Name == "__Host-authsvc_login" && c.Value != "" })
	if at < 0 || cookies[at].SameSite != http.SameSiteNoneMode || !cookies[at].Secure || !cookies[at].HttpOnly || cookies[at].Path != "/" || cookies[at].Domain != "" {
		t.Fatalf("login cookie: %v", started.Header()["Set-Cookie"])
	}
	login := cookies[at].Name + "=" + cookies[at].Value
	if mode := parameter(t, started.Header().Get("Location"), "response_mode"); mode != "form_post" {
		t.Errorf("response_mode %q", mode)
	}
	form := formOf(t, r.browser().open(started.Header().Get("Location")).body)

	post := func(target string, body url.Values) *http.Response {
		request, err := http.NewRequest(http.MethodPost, target, strings.NewReader(body.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		answer := askWith(service, request, http.Header{"Cookie": {login}, "Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}})
		return answer.Result()
	}
	const callback = "https://app.example.com/callback"
	for name, refused := range map[string]*http.Response{
		"GET":                      ask(service, http.MethodGet, callback+"?"+form.Encode(), trustedPeer, http.Header{"Cookie": {login}}).Result(),
		"HEAD":                     ask(service, http.MethodHead, callback+"?"+form.Encode(), trustedPeer, http.Header{"Cookie": {login}}).Result(),
		"parameters in the query":  post(callback+"?"+form.Encode(), nil),
		"a body of 1 MB":           post(callback, url.Values{"state": form["state"], "code": form["code"], "iss": form["iss"], "padding": {strings.Repeat("a", 1<<20)}}),
		"code twice":               post(callback, url.Values{"state": form["state"], "code": {form.Get("code"), "x"}, "iss": form["iss"]}),
		"state in the query alone": post(callback+"?state="+url.QueryEscape(form.Get("state")), url.Values{"code": form["code"], "iss": form["iss"]}),
	} {
		want := http.StatusBadRequest
		if name == "GET" || name == "HEAD" {
			want = http.StatusMethodNotAllowed
		}
		if refused.StatusCode != want || (refused.Header.Get("Allow") == "POST") != (want == http.StatusMethodNotAllowed) {
			t.Errorf("%s: %s, Allow %q", name, refused.Status, refused.Header.Get("Allow"))
		}
	}
	if n := r.provider.Count(idptest.Token); n != 0 {
		t.Fatalf("%d token requests", n)
	}
	ended := post(callback, form)
	if ended.StatusCode != http.StatusFound || ended.Header.Get("Location") != "/landed" {
		t.Fatalf("%s, Location %q\n%s", ended.Status, ended.Header.Get("Location"), r.log)
	}
	for _, cookie := range ended.Cookies() {
		if cookie.Name != "__Host-authsvc" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != int(config.Session.AbsoluteTimeout.Seconds()) {
			t.Errorf("session cookie %v", cookie)
		}
	}
}

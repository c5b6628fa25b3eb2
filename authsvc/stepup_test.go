package authsvc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

const stepUpRules = `
- {name: gold, paths: /gold, acr: [platinum, gold]}
- {name: platinum, paths: /platinum, acr: platinum}
- {name: fresh, paths: /fresh, methods: [GET], max_age: 1h}
- {name: post, paths: /fresh, acr: silver}
- {name: rest}
- {name: now, max_age: 2m}
`

// stepUp is a rig and a browser that has signed in for a page that asks for nothing special.
func stepUp(t *testing.T) (*rig, *browser) {
	r := newRigWith(t, 2, func(c *Config) {
		c.Rules = parseRules(t, stepUpRules)
		c.Session.IdleTimeout, c.OIDC.AuthParams = 10*time.Hour, map[string]string{"acr_values": "bronze", "max_age": "7200"}
	}, func(o *idptest.Options) { o.ACRValues = []string{"gold", "silver"} })
	b := r.browser()
	b.signIn()
	r.provider.ForgetRequests()
	return r, b
}

// askAs asks /auth on behalf of a browser, and returns the status and the login URL.
func (b *browser) askAs(method, path, query string) (status int, login string) {
	b.t.Helper()
	header := http.Header{"Cookie": {"authsvc=" + b.sessionCookie()}, "X-Original-Method": {method}, "X-Original-Url": {b.rig.url + path}}
	a := ask(b.rig.replicas[0], http.MethodGet, "/auth"+query, trustedPeer, header)
	checkVerdict(b.t, a.Code, a.Header(), a.Body.Len())
	return a.Code, a.Header().Get("X-Auth-Login-Url")
}

// follow opens a login URL and goes on until it ends, at a page of ours or at the page that it was for.
func (b *browser) follow(address, path string) reply {
	b.t.Helper()
	b.stop = func(u *url.URL) bool { return u.Path == path }
	defer func() { b.stop = nil }()
	return b.get(address)
}

// asksFor returns a parameter of each authorization request since the last look.
func (r *rig) asksFor(name string) []string {
	var values []string
	for _, request := range r.provider.Requests(idptest.Authorize) {
		values = append(values, request.Query.Get(name))
	}
	return values
}

func TestStepUp(t *testing.T) {
	for _, test := range []struct {
		method, path, query string
		asks                map[string]string
	}{
		{"GET", "/gold", "", map[string]string{"acr_values": "platinum gold bronze", "max_age": "7200", "prompt": ""}},
		{"GET", "/fresh", "", map[string]string{"acr_values": "bronze", "max_age": "3600", "prompt": ""}},
		{"POST", "/fresh", "", map[string]string{"acr_values": "silver bronze", "max_age": "3600", "prompt": ""}}, // a GET comes back
		{"GET", "/", "?rule=now", map[string]string{"acr_values": "bronze", "max_age": "120", "prompt": ""}},
	} {
		t.Run(test.method+" "+test.path+test.query, func(t *testing.T) {
			r, b := stepUp(t)
			r.advance(90 * time.Minute)
			before := b.sessionCookie()
			status, login := b.askAs(test.method, test.path, test.query)
			if status != http.StatusUnauthorized || !strings.HasPrefix(login, r.url+"/start?rd="+url.QueryEscape(r.url+test.path)+"&restart=") {
				t.Fatalf("%d, login URL %q", status, login)
			}
			if status, _ := b.askAs("GET", "/other", ""); status != http.StatusOK {
				t.Errorf("elsewhere: %d", status)
			}
			if a := b.follow(login, test.path); a.StatusCode != http.StatusFound || a.Header.Get("Location") != r.url+test.path {
				t.Fatalf("the login ends with %s, Location %q\n%s", a.Status, a.Header.Get("Location"), a.body)
			}
			for name, want := range test.asks {
				if got := r.asksFor(name); !slices.Equal(got, []string{want}) {
					t.Errorf("%s: the provider was asked for %q; want %q", name, got, want)
				}
			}
			if status, login := b.askAs(test.method, test.path, test.query); status != http.StatusOK {
				t.Errorf("afterwards: %d, %s", status, login)
			}
			if b.sessionCookie() == before || r.store.records.Load() != 1 {
				t.Errorf("%d records; the old session is to be replaced", r.store.records.Load())
			}
		})
	}
}

// TestStepUpFromTheStart asks for what the page needs when nobody is signed in yet, whatever the visitor adds to the address.
func TestStepUpFromTheStart(t *testing.T) {
	r, _ := stepUp(t)
	for _, test := range []struct{ query, acr, maxAge string }{
		{"rd=/gold", "platinum gold bronze", "7200"},
		{"rd=/gold?x%23y", "platinum gold bronze", "7200"},
		{"rd=" + url.QueryEscape(r.url+"/gold#x"), "platinum gold bronze", "7200"},
		{"rd=/gold&acr_values=bronze&max_age=99999&prompt=none&restart=junk", "platinum gold bronze", "7200"},
		{"rd=/fresh&rule=rest", "bronze", "3600"},
		{"rd=/", "bronze", "7200"},
		{"", "bronze", "7200"},
		{"rd=/gold//x", "bronze", "7200"}, // no rule is about it
	} {
		b := r.browser()
		a := b.open("/start?" + test.query)
		asks, err := url.Parse(a.Header.Get("Location"))
		if err != nil || asks.Query().Get("acr_values") != test.acr || asks.Query().Get("max_age") != test.maxAge || asks.Query().Has("prompt") {
			t.Errorf("%s: %s, %v", test.query, a.Header.Get("Location"), err)
		}
	}
}

// TestStepUpSealed takes what is to be asked for from its own seal alone, and for as long as a login may take.
func TestStepUpSealed(t *testing.T) {
	r, b := stepUp(t)
	_, login := b.askAs("POST", "/fresh", "")
	acr := func(address string) string {
		asks, err := url.Parse(r.browser().open(address).Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		return asks.Query().Get("acr_values")
	}
	if got := acr(login); got != "silver bronze" {
		t.Errorf("%q", got)
	}
	broken := login[:len(login)-6] + "AAAAAA"
	if got := acr(broken); got != "bronze" {
		t.Errorf("with a broken seal: %q", got)
	}
	r.advance(attemptLife)
	if got := acr(login); got != "bronze" {
		t.Errorf("after its time: %q", got)
	}
}

// TestStepUpFails ends with a page where the provider does not give what was asked for, and leaves the session as it was.
func TestStepUpFails(t *testing.T) {
	for name, test := range map[string]struct {
		path  string
		edit  func(claims map[string]any)
		cause string
	}{
		"no such context":    {"/platinum", nil, "there is no acr"},
		"another context":    {"/platinum", func(claims map[string]any) { claims["acr"] = "bronze" }, "acr is another one"},
		"acr as a list":      {"/platinum", func(claims map[string]any) { claims["acr"] = []any{"platinum"} }, "there is no acr"},
		"no auth_time":       {"/fresh", func(claims map[string]any) { delete(claims, "auth_time") }, "there is no auth_time, which max_age requires"},
		"an older auth_time": {"/fresh", func(claims map[string]any) { claims["auth_time"] = claims["iat"].(int64) - 3700 }, "auth_time is too long ago"},
	} {
		t.Run(name, func(t *testing.T) {
			r, b := stepUp(t)
			r.advance(90 * time.Minute)
			before := b.sessionCookie()
			_, login := b.askAs("GET", test.path, "")
			r.provider.EditIDToken(func(_, claims map[string]any) {
				if test.edit != nil {
					test.edit(claims)
				}
			})
			a := b.follow(login, test.path)
			if a.StatusCode != http.StatusForbidden || !strings.Contains(a.body, "A stronger sign-in is needed") {
				t.Fatalf("%s\n%.500s", a.Status, a.body)
			}
			if got := r.asksFor("prompt"); !slices.Equal(got, []string{"", "login"}) {
				t.Errorf("the provider was asked with prompt %q", got)
			}
			if !strings.Contains(r.log.String(), test.cause) {
				t.Errorf("the log does not tell that %s", test.cause)
			}
			if b.sessionCookie() != before || r.store.records.Load() != 1 {
				t.Errorf("%d records; the session is to stay as it was", r.store.records.Load())
			}
			if status, _ := b.askAs("GET", "/other", ""); status != http.StatusOK {
				t.Errorf("elsewhere: %d", status)
			}
		})
	}
}

// TestConfiguredMaxAge holds every login to max_age among the configured parameters, whatever the rules say.
func TestConfiguredMaxAge(t *testing.T) {
	for name, test := range map[string]struct {
		maxAge string
		age    int64 // of auth_time, in seconds; -1: there is none
		cause  string
	}{
		"fresh":          {"3600", 0, ""},
		"old enough":     {"3600", 3590, ""},
		"too old":        {"3600", 3700, "auth_time is longer ago than max_age in oidc.auth_params allows"},
		"not told":       {"3600", -1, "there is no auth_time, which max_age in oidc.auth_params requires"},
		"each time":      {"0", 0, ""},
		"not this time":  {"0", 100, "auth_time is longer ago than max_age in oidc.auth_params allows"},
		"of no interest": {"", 10_000, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, func(c *Config) {
				if test.maxAge != "" {
					c.OIDC.AuthParams = map[string]string{"max_age": test.maxAge}
				}
			})
			r.provider.EditIDToken(func(_, claims map[string]any) {
				claims["auth_time"] = claims["iat"].(int64) - test.age
				if test.age < 0 {
					delete(claims, "auth_time")
				}
			})
			b := r.browser()
			a := b.follow("/start?rd=%2Fpage", "/page")
			if test.cause == "" {
				if a.StatusCode != http.StatusFound || r.store.records.Load() != 1 {
					t.Fatalf("%s\n%.500s", a.Status, a.body)
				}
				return
			}
			if a.StatusCode != http.StatusForbidden || r.store.records.Load() != 0 || !strings.Contains(r.log.String(), test.cause) {
				t.Errorf("%s, and the log does not tell that %s\n%.500s", a.Status, test.cause, a.body)
			}
			if got := r.asksFor("prompt"); !slices.Equal(got, []string{"", "login"}) {
				t.Errorf("the provider was asked with prompt %q", got)
			}
		})
	}
}

// TestStepUpInsists takes a login that the provider gives only when it is asked again with prompt=login.
func TestStepUpInsists(t *testing.T) {
	r, b := stepUp(t)
	r.advance(90 * time.Minute)
	_, login := b.askAs("GET", "/fresh", "")
	tokens := 0
	r.provider.EditIDToken(func(_, claims map[string]any) {
		if tokens++; tokens == 1 { // a provider that passes over max_age
			claims["auth_time"] = claims["iat"].(int64) - 5400
		}
	})
	if a := b.follow(login, "/fresh"); a.StatusCode != http.StatusFound {
		t.Fatalf("%s\n%.500s", a.Status, a.body)
	}
	if got := r.asksFor("prompt"); !slices.Equal(got, []string{"", "login"}) {
		t.Errorf("the provider was asked with prompt %q", got)
	}
	if status, _ := b.askAs("GET", "/fresh", ""); status != http.StatusOK || r.store.records.Load() != 1 {
		t.Errorf("afterwards: %d, %d records", status, r.store.records.Load())
	}
}

// TestDemandAnd joins what two rules ask for.
func TestDemandAnd(t *testing.T) {
	for _, test := range []struct {
		a, b, want demand
		possible   bool
	}{
		{demand{}, demand{}, demand{}, true},
		{demand{[]string{"gold"}, 0}, demand{nil, time.Hour}, demand{[]string{"gold"}, time.Hour}, true},
		{demand{nil, time.Hour}, demand{[]string{"gold"}, time.Minute}, demand{[]string{"gold"}, time.Minute}, true},
		{demand{nil, time.Minute}, demand{nil, time.Hour}, demand{nil, time.Minute}, true},
		{demand{[]string{"gold", "silver"}, 0}, demand{[]string{"silver", "bronze"}, 0}, demand{[]string{"silver"}, 0}, true},
		{demand{[]string{"gold"}, time.Hour}, demand{[]string{"silver"}, 0}, demand{}, false},
	} {
		got, possible := test.a.and(test.b)
		if possible != test.possible || !slices.Equal(got.ACR, test.want.ACR) || got.MaxAge != test.want.MaxAge {
			t.Errorf("%v and %v: %v, %t", test.a, test.b, got, possible)
		}
	}
}

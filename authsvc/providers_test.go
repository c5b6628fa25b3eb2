package authsvc

import (
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// choiceRig is a rig whose site has two providers, "staff" and "partners", with people of the same subjects.
type choiceRig struct {
	*rig
	staff, partners *idptest.Provider
	ahead           atomic.Int64 // of the providers' clock, in nanoseconds
}

// later moves the clock of the store, and that of the providers.
func (c *choiceRig) later(d time.Duration) {
	c.advance(d)
	c.ahead.Add(int64(d))
}

func newChoiceRig(t *testing.T, configure func(*Config)) *choiceRig {
	t.Helper()
	c := &choiceRig{}
	visitor := func(*http.Request) string { return c.visitor.Load().(string) }
	r := newRig(t, 2, func(config *Config) {
		start := func(name string) *idptest.Provider {
			client := idptest.Client{ID: "app", Secret: testClientSecret, RedirectURIs: []string{config.PublicURL + "/callback/" + name},
				PostLogoutRedirectURIs: []string{config.PublicURL + "/signed_out"}}
			p := idptest.Start(t, idptest.Options{People: people, Clients: []idptest.Client{client}, SignIn: visitor,
				Now: func() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }})
			entry := Provider{Name: name, Title: strings.ToUpper(name), OIDC: config.OIDC}
			entry.Issuer = p.Issuer()
			config.Providers = append(config.Providers, entry)
			return p
		}
		c.staff, c.partners = start("staff"), start("partners")
		config.OIDC = DefaultConfig().OIDC
		config.Headers["X-Auth-Request-Issuer"] = Header{Claim: "iss"}
		if configure != nil {
			configure(config)
		}
	})
	c.rig = r
	return c
}

// signInAt goes through a whole login at one of the providers.
func (b *browser) signInAt(provider string) reply {
	b.t.Helper()
	b.stop = func(u *url.URL) bool { return u.Path == "/landed" }
	defer func() { b.stop = nil }()
	return b.get("/start?provider=" + provider + "&rd=%2Flanded")
}

// TestChooseProvider: whoever comes without a choice gets a page that leads to each provider, with the way back, and changes nothing.
func TestChooseProvider(t *testing.T) {
	c := newChoiceRig(t, nil)
	b := c.browser()
	for _, address := range []string{"/start?rd=%2Flanded%3Fa%3Db%26c", "/start?provider=nobody&rd=%2Flanded%3Fa%3Db%26c", "/sign_in?rd=%2Flanded%3Fa%3Db%26c"} {
		page := b.open(address)
		if page.StatusCode != http.StatusOK || len(page.Cookies()) > 0 || !strings.Contains(page.body, "STAFF") {
			t.Fatalf("%s: %s\n%s", address, page.Status, page.body)
		}
		for _, name := range []string{"staff", "partners"} {
			if link := `href="` + c.url + "/start?provider=" + name + `&amp;rd=%2Flanded%3Fa%3Db%26c"`; strings.Count(page.body, link) != 1 {
				t.Errorf("%s: no %s in\n%s", address, link, page.body)
			}
		}
	}
	for name, p := range map[string]*idptest.Provider{"staff": c.staff, "partners": c.partners} {
		b := c.browser()
		b.signInAt(name)
		if reply := b.auth(""); reply.StatusCode != http.StatusOK || reply.Header.Get("X-Auth-Request-Issuer") != p.Issuer() {
			t.Errorf("%s: %s, issuer %s", name, reply.Status, reply.Header.Get("X-Auth-Request-Issuer"))
		}
	}
	if reply := b.open("/start?provider=staff&rd=//evil.example"); reply.StatusCode != http.StatusBadRequest {
		t.Errorf("a choice with a bad address: %s", reply.Status)
	}
	for _, path := range []string{"/callback", "/callback/nobody"} {
		if reply := b.open(path + "?state=x&code=y"); reply.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, reply.Status)
		}
	}
}

// TestProviderStays: a login that begins again by itself does so at the provider that was chosen.
func TestProviderStays(t *testing.T) {
	c := newChoiceRig(t, nil)
	b := c.browser()
	b.stop = func(u *url.URL) bool { return strings.HasSuffix(u.Path, "/callback/partners") }
	callback := b.get("/start?provider=partners&rd=%2Flanded").Header.Get("Location")
	c.later(attemptLife + time.Second)
	b.stop = func(u *url.URL) bool { return u.Path == "/landed" }
	if reply := b.get(callback); reply.StatusCode != http.StatusFound || sessionCookieOf(reply) == nil || !strings.Contains(reply.Request.URL.Path, "/callback/partners") {
		t.Errorf("it ended with %s at %s\n%s", reply.Status, reply.Request.URL, reply.body)
	}
}

// TestMixUp answers a login at one provider as another one: neither's code is spent, and nobody is signed in (RFC 9700, section 4.4; RFC 9207).
func TestMixUp(t *testing.T) {
	c := newChoiceRig(t, nil)
	toCallback := func(b *browser, provider string) *url.URL {
		t.Helper()
		b.stop = func(u *url.URL) bool { return strings.Contains(u.Path, "/callback/") }
		defer func() { b.stop = nil }()
		callback, err := url.Parse(b.get("/start?provider=" + provider + "&rd=%2Flanded").Header.Get("Location"))
		if err != nil || callback.Path != "/callback/"+provider {
			t.Fatalf("%v, %v", callback, err)
		}
		return callback
	}
	for name, change := range map[string]func(own, other *url.URL) (path string, query url.Values){
		"the other's code and issuer, at its own address": func(own, other *url.URL) (string, url.Values) {
			query := own.Query()
			query.Set("code", other.Query().Get("code"))
			query.Set("iss", other.Query().Get("iss"))
			return other.Path, query
		},
		"the other's code and issuer": func(own, other *url.URL) (string, url.Values) {
			query := own.Query()
			query.Set("code", other.Query().Get("code"))
			query.Set("iss", other.Query().Get("iss"))
			return own.Path, query
		},
		"the other's address": func(own, other *url.URL) (string, url.Values) { return other.Path, own.Query() },
		"the other's address without an issuer": func(own, other *url.URL) (string, url.Values) {
			query := own.Query()
			query.Del("iss")
			return other.Path, query
		},
	} {
		for _, p := range []*idptest.Provider{c.staff, c.partners} {
			p.ForgetRequests()
		}
		b := c.browser()
		own, other := toCallback(b, "staff"), toCallback(b, "partners")
		path, query := change(own, other)
		reply := b.open(path + "?" + query.Encode())
		if reply.StatusCode < 400 || sessionCookieOf(reply) != nil {
			t.Errorf("%s: %s", name, reply.Status)
		}
		if n := c.staff.Count(idptest.Token) + c.partners.Count(idptest.Token); n != 0 {
			t.Errorf("%s: %d codes were spent", name, n)
		}
	}
}

// TestProvidersOfOneSite: the same subject at two providers is two people, each of whose sessions is renewed, ended and signed out by their own.
func TestProvidersOfOneSite(t *testing.T) {
	c := newChoiceRig(t, func(config *Config) {
		for i := range config.Providers {
			config.Providers[i].Scopes = append(slices.Clone(config.Providers[i].Scopes), "offline_access")
		}
	})
	staff, partner := c.browser(), c.browser()
	staff.signInAt("staff")
	partner.signInAt("partners")
	passes := func(when string, ofStaff, ofPartner int) {
		t.Helper()
		if a, b := staff.auth("").StatusCode, partner.auth("").StatusCode; a != ofStaff || b != ofPartner {
			t.Errorf("%s: %d and %d, want %d and %d", when, a, b, ofStaff, ofPartner)
		}
	}
	passes("signed in", 200, 200)
	if page := staff.get("/sessions"); strings.Count(page.body, "<h2") != 1 {
		t.Errorf("one sees the sessions of the other\n%s", page.body)
	}

	before := c.partners.Count(idptest.Token)
	c.later(6 * time.Minute) // access tokens live for five
	passes("refreshed", 200, 200)
	eventually(t, "the partner's own provider refreshes", func() bool { partner.auth(""); return c.partners.Count(idptest.Token) > before })

	post := func(token string) int {
		b := c.browser()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+"/backchannel-logout", strings.NewReader(url.Values{"logout_token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		return b.send(request, http.Header{"Content-Type": {formType}}).StatusCode
	}
	if status := post(c.partners.LogoutToken("app", "alice", "", nil)); status != http.StatusOK {
		t.Fatalf("back-channel logout: %d", status)
	}
	passes("the partner's provider has signed her out", 200, 401)
	forged := c.partners.LogoutToken("app", "alice", "", func(_, claims map[string]any) { claims["iss"] = c.staff.Issuer() })
	for name, token := range map[string]string{"of the other's issuer": forged, "none": "x", "of nobody": c.partners.LogoutToken("app", "alice", "", func(_, claims map[string]any) { claims["iss"] = "https://nobody.example" })} {
		if status := post(token); status != http.StatusBadRequest {
			t.Errorf("a logout token %s: %d", name, status)
		}
	}
	passes("tokens of nobody", 200, 401)

	staff.stop = func(u *url.URL) bool { return true }
	out := staff.do(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if !strings.HasPrefix(out.Header.Get("Location"), c.staff.URL(idptest.EndSession)+"?") {
		t.Errorf("the logout goes on to %s", out.Header.Get("Location"))
	}
}

// TestProviderTakenAway: a session of a provider that the site has no more lets nobody in, whatever its own end. Its record stays: replicas of the former
// configuration may still run.
func TestProviderTakenAway(t *testing.T) {
	c := newChoiceRig(t, nil)
	staff, partner := c.browser(), c.browser()
	staff.signInAt("staff")
	partner.signInAt("partners")
	for _, replica := range c.replicas {
		main := *replica.sites.Load().main
		main.providers = []*provider{main.providerNamed("staff")}
		replica.sites.Store(&sites{main: &main, all: []*site{&main}})
	}
	for range c.replicas {
		if a, b := staff.auth("").StatusCode, partner.auth("").StatusCode; a != http.StatusOK || b != http.StatusUnauthorized {
			t.Errorf("%d and %d", a, b)
		}
		if reply := partner.get("/session"); reply.StatusCode != http.StatusUnauthorized {
			t.Errorf("/session: %s", reply.Status)
		}
	}
	if n := c.store.records.Load(); n != 2 {
		t.Errorf("%d records", n)
	}
}

// TestChooseProviderForAStepUp: what the query of a check asks of a login is asked at the provider that is chosen on the way.
func TestChooseProviderForAStepUp(t *testing.T) {
	c := newChoiceRig(t, func(config *Config) { config.Rules = parseRules(t, stepUpRules) })
	b := c.browser()
	b.signInAt("staff")
	c.later(10 * time.Minute)
	status, login := b.askAs(http.MethodGet, "/", "?rule=now")
	if status != http.StatusUnauthorized {
		t.Fatalf("%d", status)
	}
	page := b.open(login)
	_, link, found := strings.Cut(page.body, `href="`+c.url+"/start?provider=staff")
	link, _, _ = strings.Cut(link, `"`)
	if !found {
		t.Fatalf("%s\n%s", page.Status, page.body)
	}
	c.staff.ForgetRequests()
	b.follow(c.url+"/start?provider=staff"+html.UnescapeString(link), "/")
	if requests := c.staff.Requests(idptest.Authorize); len(requests) != 1 || requests[0].Query.Get("max_age") != "120" {
		t.Errorf("the provider was asked %+v", requests)
	}
	if status, _ := b.askAs(http.MethodGet, "/", "?rule=now"); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

package authsvc

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestDiscoveryFaults starts a replica beside a provider whose metadata or keys are bad: it must not use them (Q26), says so at /start, and
// is well as soon as the provider is.
func TestDiscoveryFaults(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	member := r.browser()
	member.signIn()
	cookie := http.Header{"Cookie": {"authsvc=" + member.sessionCookie()}}

	set := func(name string, value any) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) {
				if document[name] = value; value == nil {
					delete(document, name)
				}
			})
		}
	}
	keys := func(keys ...any) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditJWKS(func(document map[string]any) { document["keys"] = keys }) }
	}
	issuer := r.provider.Issuer()
	elsewhere := r.provider.URL("/elsewhere")
	tests := []struct {
		name string
		arm  func(*idptest.Provider)
	}{
		{"Q26 another issuer, oidcc-client-test-discovery-issuer-mismatch", set("issuer", "https://login.example.com")},
		{"Q26 issuer with a final slash", set("issuer", issuer+"/")},
		{"Q26 issuer in upper case", set("issuer", strings.ToUpper(issuer))},
		{"Q26 issuer missing", set("issuer", nil)},
		{"Q26 issuer a number", set("issuer", 5)},
		{"Q26 http authorization endpoint", set("authorization_endpoint", "http://login.example.com/authorize")},
		{"Q26 http token endpoint", set("token_endpoint", "http://login.example.com/token")},
		{"Q26 http userinfo endpoint", set("userinfo_endpoint", "http://login.example.com/userinfo")},
		{"Q26 http end_session endpoint", set("end_session_endpoint", "http://login.example.com/logout")},
		{"Q26 http jwks_uri", set("jwks_uri", "http://login.example.com/jwks")},
		{"Q26 jwks_uri of a metadata service", set("jwks_uri", "http://169.254.169.254/latest/meta-data")},
		{"Q26 jwks_uri a file", set("jwks_uri", "file:///etc/passwd")},
		{"Q26 jwks_uri relative", set("jwks_uri", "/jwks")},
		{"Q26 jwks_uri missing", set("jwks_uri", nil)},
		{"Q26 token endpoint missing", set("token_endpoint", nil)},
		{"Q26 authorization endpoint missing", set("authorization_endpoint", nil)},
		{"Q26 authorization endpoint with script", set("authorization_endpoint", "javascript:alert(1)")},
		{"Q26 token endpoint with a password", set("token_endpoint", "https://user:password@login.example.com/token")},
		{"Q26 token endpoint with a name like loopback", set("token_endpoint", "http://localhost.example.com/token")},
		{"Q15 no safe algorithm", set("id_token_signing_alg_values_supported", []string{"none", "HS256"})},
		{"F35 never ends", intercept(idptest.Discovery, idptest.Endless())},
		{"F35 gzip bomb", intercept(idptest.Discovery, gzipBomb)},
		{"F35 garbage", intercept(idptest.Discovery, idptest.Garbage())},
		{"F35 an array", intercept(idptest.Discovery, idptest.Answer(http.StatusOK, "application/json", "[]"))},
		{"F35 HTML", intercept(idptest.Discovery, idptest.Answer(http.StatusOK, "text/html", "<html>"))},
		{"F35 truncated", intercept(idptest.Discovery, idptest.Truncated())},
		{"F35 closed", intercept(idptest.Discovery, idptest.Close())},
		{"F34 status 500", intercept(idptest.Discovery, idptest.Status(http.StatusInternalServerError))},
		{"F35 a redirect to another host", intercept(idptest.Discovery, idptest.Redirect(elsewhere))},
		{"F36 keys: status 500", intercept(idptest.JWKS, idptest.Status(http.StatusInternalServerError))},
		{"F36 keys: garbage", intercept(idptest.JWKS, idptest.Garbage())},
		{"F36 keys: never ends", intercept(idptest.JWKS, idptest.Endless())},
		{"F36 keys: a redirect", intercept(idptest.JWKS, idptest.Redirect(elsewhere))},
		{"F36 keys: none", keys()},
		{"F36 keys: symmetric ones", keys(map[string]any{"kty": "oct", "k": "c2VjcmV0"})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			r.provider.BeHonest()
			test.arm(r.provider)
			service := r.another(config, r.store)
			if err := service.sites.Load().main.provider.discover(t.Context()); err == nil {
				t.Error("the replica is content with it")
			} else {
				checkSecrets(t, "the error", err.Error(), []string{testClientSecret, "password@", strings.Repeat("x", 200)})
			}
			refused := ask(service, http.MethodGet, "/start?rd=/landed", trustedPeer, nil)
			if refused.Code != http.StatusServiceUnavailable || refused.Header().Get("Retry-After") == "" || len(refused.Result().Cookies()) > 0 {
				t.Errorf("/start: %d, %v", refused.Code, refused.Header())
			}
			if verdict := ask(service, http.MethodGet, "/auth", trustedPeer, cookie); verdict.Code != http.StatusOK {
				t.Errorf("a live session: %d", verdict.Code)
			}
			r.provider.BeHonest()
			if err := service.sites.Load().main.provider.discover(t.Context()); err != nil {
				t.Fatal(err)
			}
			if started := ask(service, http.MethodGet, "/start?rd=/landed", trustedPeer, nil); started.Code != http.StatusFound {
				t.Errorf("/start once the provider is well: %d", started.Code)
			}
		})
	}
	if n := r.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
}

// TestDiscoveryThatIsFine has metadata that are unusual and no reason to refuse.
func TestDiscoveryThatIsFine(t *testing.T) {
	r := newRig(t, 1, nil)
	discovered := func(edit func(document map[string]any)) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditDiscovery(edit); r.rediscover() }
	}
	runFaults(t, r, []fault{
		{name: "Q2 only plain PKCE listed: S256 is used", want: http.StatusFound, arm: discovered(func(d map[string]any) { d["code_challenge_methods_supported"] = []string{"plain"} })},
		{name: "Q2 no PKCE listed: S256 is used", want: http.StatusFound, arm: discovered(func(d map[string]any) { delete(d, "code_challenge_methods_supported") })},
		{name: "no userinfo, no end_session", want: http.StatusFound, arm: discovered(func(d map[string]any) { delete(d, "userinfo_endpoint"); delete(d, "end_session_endpoint") })},
		{name: "no algorithms listed: RS256", want: http.StatusFound, arm: discovered(func(d map[string]any) { delete(d, "id_token_signing_alg_values_supported") })},
		{name: "safe and unsafe algorithms", want: http.StatusFound, arm: discovered(func(d map[string]any) {
			d["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "RS256"}
		})},
		{name: "Q15 the listed none is not accepted", want: http.StatusBadGateway, spends: true, arm: func(p *idptest.Provider) {
			discovered(func(d map[string]any) {
				d["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "RS256"}
			})(p)
			p.ReplaceIDToken(idptest.Unsigned("none"))
		}},
		{name: "Q15 the listed HS256 is not accepted", want: http.StatusBadGateway, spends: true, arm: func(p *idptest.Provider) {
			discovered(func(d map[string]any) {
				d["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "RS256"}
			})(p)
			p.ReplaceIDToken(idptest.HMACSigned(p.KeyID(), []byte(testClientSecret)))
		}},
	})
	for _, request := range r.provider.Requests(idptest.Authorize) {
		if request.Query.Get("code_challenge_method") != "S256" {
			t.Errorf("code_challenge_method %q", request.Query.Get("code_challenge_method"))
		}
	}
}

// TestProviderDownThenUp runs a replica that starts without its provider.
func TestProviderDownThenUp(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	r.provider.Intercept(idptest.Discovery, idptest.Status(http.StatusServiceUnavailable))
	service := r.another(config, r.store)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx) })
	defer running.Wait()
	defer cancel()

	start := func() int { return ask(service, http.MethodGet, "/start", trustedPeer, nil).Code }
	tried := func(n int) func() bool {
		return func() bool { return r.provider.Count(idptest.Discovery) > n }
	}
	eventually(t, "a second try", tried(2)) // the first one was the rig's own
	if code := start(); code != http.StatusServiceUnavailable {
		t.Errorf("/start while the provider is down: %d", code)
	}
	r.provider.BeHonest()
	eventually(t, "/start leads to the provider", func() bool { return start() == http.StatusFound })
	if n := strings.Count(r.log.String(), "cannot be discovered yet"); n < 1 || n > 3 {
		t.Errorf("%d log lines about it", n)
	}
}

// TestRunEnds ends a replica whose provider never answers.
func TestRunEnds(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	r.provider.Intercept(idptest.Discovery, idptest.Hang())
	r.provider.ForgetRequests()
	service := r.another(config, r.store)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { service.Run(ctx) })
	eventually(t, "the provider is asked", func() bool { return r.provider.Count(idptest.Discovery) > 0 })
	cancel()
	running.Wait() // or the test's own deadline ends it
}

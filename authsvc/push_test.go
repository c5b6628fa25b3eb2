package authsvc

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestPushes tells where authorization requests are pushed (RFC 9126).
func TestPushes(t *testing.T) {
	for name, row := range map[string]struct {
		setting string
		policy  idptest.PushPolicy
		pushed  int
	}{
		"auto, not offered":   {"auto", idptest.PushNever, 0},
		"auto, offered":       {"auto", idptest.PushOffered, 0},
		"auto, required":      {"auto", idptest.PushRequired, 1},
		"on, offered":         {"on", idptest.PushOffered, 1},
		"on, required":        {"on", idptest.PushRequired, 1},
		"off, though offered": {"off", idptest.PushOffered, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRigWith(t, 1, func(c *Config) {
				c.OIDC.PAR, c.OIDC.AuthParams = row.setting, map[string]string{"kc_idp_hint": "corp"}
			}, func(o *idptest.Options) { o.Push = row.policy })
			b := r.browser()
			if landed := b.signIn(); landed.StatusCode != http.StatusFound || landed.Header.Get("Location") != "/landed?a=b&c=d" {
				t.Fatalf("the login: %s\n%s", landed.Status, r.log)
			}
			if n := r.provider.Count(idptest.Push); n != row.pushed {
				t.Errorf("%d pushes", n)
			}
			shown := r.provider.Requests(idptest.Authorize)[0].Query
			if (shown.Get("state") == "") != (row.pushed == 1) || shown.Get("request_uri") != "" != (row.pushed == 1) {
				t.Errorf("the browser came with %v", shown)
			}
			if row.pushed == 1 && r.provider.Requests(idptest.Push)[0].Form.Get("kc_idp_hint") != "corp" {
				t.Error("a configured parameter was not pushed")
			}
		})
	}
}

// TestPushOnceAndAgain opens the address of a pushed request twice, as a reload does, and begins anew.
func TestPushOnceAndAgain(t *testing.T) {
	r := newRigWith(t, 1, nil, func(o *idptest.Options) { o.Push = idptest.PushRequired })
	b := r.browser()
	first := b.open("/start?rd=%2Flanded").Header.Get("Location")
	if back := b.open(first); back.StatusCode != http.StatusSeeOther {
		t.Fatalf("the provider: %s", back.Status)
	}
	if again := b.open(first); again.StatusCode != http.StatusBadRequest {
		t.Errorf("the same request again: %s", again.Status)
	}
	if landed := b.signIn(); landed.StatusCode != http.StatusFound {
		t.Errorf("another start: %s", landed.Status)
	}
	if n := r.provider.Count(idptest.Push); n != 2 {
		t.Errorf("%d pushes", n)
	}
}

// TestPushFaults breaks the endpoint for pushed requests: whoever wants to sign in sees a page, and nothing else happens.
func TestPushFaults(t *testing.T) {
	r := newRigWith(t, 1, nil, func(o *idptest.Options) { o.Push = idptest.PushRequired })
	json := func(status int, body string) idptest.Interceptor {
		return idptest.Answer(status, "application/json", body)
	}
	for name, row := range map[string]struct {
		interceptor idptest.Interceptor
		want        int
	}{
		"status 500":              {idptest.Status(http.StatusInternalServerError), http.StatusServiceUnavailable},
		"status 429":              {idptest.Status(http.StatusTooManyRequests), http.StatusServiceUnavailable},
		"closed":                  {idptest.Close(), http.StatusServiceUnavailable},
		"cut off":                 {idptest.CutOff(), http.StatusServiceUnavailable},
		"invalid_client":          {idptest.OAuthError("invalid_client"), http.StatusBadGateway},
		"invalid_scope":           {idptest.OAuthError("invalid_scope"), http.StatusBadGateway},
		"an error that is text":   {idptest.OAuthError("alice@example.com"), http.StatusBadGateway},
		"garbage":                 {idptest.Garbage(), http.StatusBadGateway},
		"endless":                 {idptest.Endless(), http.StatusBadGateway},
		"a redirect":              {idptest.Redirect("http://127.0.0.1:1/elsewhere"), http.StatusBadGateway},
		"no request_uri":          {json(http.StatusCreated, `{"expires_in":60}`), http.StatusBadGateway},
		"a request_uri of 600":    {json(http.StatusCreated, `{"request_uri":"urn:`+strings.Repeat("x", 600)+`"}`), http.StatusBadGateway},
		"a request_uri that is 5": {json(http.StatusCreated, `{"request_uri":5}`), http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.provider.Intercept(idptest.Push, row.interceptor)
			defer r.provider.BeHonest()
			answer := r.browser().open("/start?rd=%2Flanded")
			if answer.StatusCode != row.want || len(answer.Cookies()) != 0 {
				t.Errorf("%s with %d cookies\n%s", answer.Status, len(answer.Cookies()), r.log)
			}
			if (row.want == http.StatusServiceUnavailable) != (answer.Header.Get("Retry-After") != "") {
				t.Errorf("%s with Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
			}
			r.keepsSecrets()
		})
	}
	r.t = t
	if n := r.provider.Count(idptest.Token); n != 0 {
		t.Errorf("%d token requests", n)
	}
	// A request_uri is the provider's text: it must not become more than one parameter.
	r.provider.Intercept(idptest.Push, json(http.StatusCreated, `{"request_uri":"urn:a&client_id=evil#x"}`))
	u, err := url.Parse(r.browser().open("/start").Header.Get("Location"))
	if err != nil || len(u.Query()) != 2 || u.Query().Get("client_id") != "app" || u.Fragment != "" {
		t.Errorf("%v, %v", u, err)
	}
}

// TestPushesAreBounded has more people begin a login at once than may ask the provider.
func TestPushesAreBounded(t *testing.T) {
	r := newRigWith(t, 1, nil, func(o *idptest.Options) { o.Push = idptest.PushRequired })
	release := make(chan struct{})
	r.provider.Intercept(idptest.Push, idptest.Hold(release))
	var waiting sync.WaitGroup
	started := make([]int, maxPushes)
	for i := range started {
		waiting.Go(func() { started[i] = ask(r.replicas[0], http.MethodGet, "/start", trustedPeer, nil).Code })
	}
	eventually(t, "all pushes are under way", func() bool { return r.provider.Count(idptest.Push) == maxPushes })
	if code := ask(r.replicas[0], http.MethodGet, "/start", trustedPeer, nil).Code; code != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", code)
	}
	close(release)
	waiting.Wait()
	for _, code := range started {
		if code != http.StatusFound {
			t.Errorf("one that waited: %d", code)
		}
	}
	if code := ask(r.replicas[0], http.MethodGet, "/start", trustedPeer, nil).Code; code != http.StatusFound {
		t.Errorf("afterwards: %d", code)
	}
}

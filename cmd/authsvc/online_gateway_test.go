package main

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// gateway is one in front of the service, as a visitor sees it who is not signed in. What a test changes goes wrong.
type gateway struct {
	*httptest.Server
	page, start, question http.HandlerFunc
}

// startGateway starts one that does everything right, for a service with these settings.
func startGateway(t *testing.T, issuer string) *gateway {
	g := &gateway{}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { g.page(w, r) })
	mux.HandleFunc("/sso/start", func(w http.ResponseWriter, r *http.Request) { g.start(w, r) })
	mux.HandleFunc("/sso/auth", func(w http.ResponseWriter, r *http.Request) { g.question(w, r) })
	g.Server = httptest.NewServer(mux)
	t.Cleanup(g.Close)
	g.page = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/sso/start?rd="+url.QueryEscape(g.URL+r.URL.Path), http.StatusFound)
	}
	g.start = g.login(issuer+"/authorize", "app", g.URL+"/sso/callback", "authsvc_login")
	g.question = http.NotFound
	return g
}

// login sends people to the provider.
func (g *gateway) login(authorize, client, redirectURI, cookie string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if cookie != "" {
			http.SetCookie(w, &http.Cookie{Name: cookie, Value: "x"})
		}
		query := url.Values{"client_id": {client}, "redirect_uri": {redirectURI}, "state": {"x"}}
		http.Redirect(w, r, authorize+"?"+query.Encode(), http.StatusFound)
	}
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func TestCheckVia(t *testing.T) {
	const good, led, closed = "ok       gateway: ", "ok       login: ", "ok       gateway: "
	believes := "problem  gateway: whoever sends X-Auth-Request-User is let in at "
	for name, row := range map[string]struct {
		change func(g *gateway, issuer string)
		want   []string
	}{
		"good":                     {func(*gateway, string) {}, []string{good, good, led, closed}},
		"401":                      {func(g *gateway, _ string) { g.page = status(401) }, []string{good, good, led, closed}},
		"401 and an address":       {func(g *gateway, _ string) { g.page = status(401, "X-Auth-Login-Url", g.URL+"/sso/start?rd=x") }, []string{good, good, led, closed}},
		"straight to the provider": {func(g *gateway, _ string) { g.page = g.start }, []string{good, good, led, closed}},
		"open":                     {func(g *gateway, _ string) { g.page = status(200) }, []string{"problem  gateway: http://127.0.0.1:", led, closed}},
		"403":                      {func(g *gateway, _ string) { g.page = status(403) }, []string{"problem  gateway: ", led, closed}},
		"404":                      {func(g *gateway, _ string) { g.page = status(404) }, []string{"problem  gateway: ", led, closed}},
		"500":                      {func(g *gateway, _ string) { g.page = status(500) }, []string{"problem  gateway: ", led, closed}},
		"503":                      {func(g *gateway, _ string) { g.page = status(503) }, []string{"problem  gateway: ", led, closed}},
		"sends elsewhere": {func(g *gateway, _ string) { g.page = status(302, "Location", "https://other.example.com/") },
			[]string{"problem  gateway: http://127.0.0.1:", led, closed}},
		"believes visitors": {func(g *gateway, _ string) {
			right := g.page
			g.page = func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("X-Auth-Request-User") == "" {
					right(w, r)
				}
			}
		}, []string{good, believes, led, closed}},
		"start is protected": {func(g *gateway, _ string) { g.start = g.page }, []string{good, good, "problem  login: ", closed}},
		"start is missing":   {func(g *gateway, _ string) { g.start = http.NotFound }, []string{good, good, "problem  login: ", closed}},
		"no provider yet":    {func(g *gateway, _ string) { g.start = status(503) }, []string{good, good, "problem  login: ", closed}},
		"too many logins":    {func(g *gateway, _ string) { g.start = status(429) }, []string{good, good, "warning  login: ", closed}},
		"another issuer": {func(g *gateway, _ string) {
			g.start = g.login("https://other.example.com/authorize", "app", g.URL+"/sso/callback", "authsvc_login")
		}, []string{good, good, "problem  login: people are sent to https://other.example.com/authorize; ", closed}},
		"another client": {func(g *gateway, issuer string) {
			g.start = g.login(issuer+"/authorize", "other", g.URL+"/sso/callback", "authsvc_login")
		}, []string{good, good, "problem  login: people are sent to the provider for another client; ", closed}},
		"another public_url": {func(g *gateway, issuer string) {
			g.start = g.login(issuer+"/authorize", "app", "https://other.example.com/callback", "authsvc_login")
		}, []string{good, good, "problem  login: the provider is to send people back to https://other.example.com/callback; ", closed}},
		"no cookie": {func(g *gateway, issuer string) {
			g.start = g.login(issuer+"/authorize", "app", g.URL+"/sso/callback", "")
		}, []string{good, good, "problem  login: the login cookie ", closed}},
		"the question is open": {func(g *gateway, _ string) { g.question = status(401, "Content-Length", "0") }, []string{good, good, led, "warning  gateway: http://127.0.0.1:"}},
		"gone":                 {func(g *gateway, _ string) { g.Close() }, []string{"problem  gateway: http://127.0.0.1:", "problem  login: ", "problem  gateway: "}},
	} {
		t.Run(name, func(t *testing.T) {
			provider := startProvider(t)
			g := startGateway(t, provider.Issuer())
			environ := variables("AUTHSVC_OIDC_ISSUER="+provider.Issuer(), "AUTHSVC_PUBLIC_URL="+g.URL+"/sso")
			row.change(g, provider.Issuer())
			expectOnline(t, " --via "+g.URL+"/reports", environ, append([]string{"skipped  redis: ", "", "", ""}, row.want...)...)
		})
	}
	for _, wrong := range []string{"app.example.com", "ftp://app.example.com", "http://", "%"} {
		if got := call(t, "check --via "+wrong, variables()...); got.code != 2 || got.stdout != "" {
			t.Errorf("--via %s: %+v", wrong, got)
		}
	}
}

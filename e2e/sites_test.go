package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/nginx/nginxtest"
)

// localhostTransport finds every host below localhost, and says who sits at the browser.
type localhostTransport struct {
	*http.Transport
	person string
}

func newLocalhostTransport(person string) *localhostTransport {
	return &localhostTransport{&http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
			address = net.JoinHostPort("127.0.0.1", port)
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}, person}
}

// RoundTrip sends a page load.
func (l *localhostTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(personHeader, l.person)
	r.Header.Set("Accept", "text/html")
	return l.Transport.RoundTrip(r)
}

// TestTwoSites serves two hosts behind nginx, each with a provider of its own, by the same two replicas: whoever is signed in at one is a stranger at
// the other, whatever cookie they bring.
func TestTwoSites(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	_, port, err := net.SplitHostPort(s.site)
	check(t, err)
	address := func(name string) string { return "http://" + name + ".localhost:" + port }
	client := func(name string) []idptest.Client {
		return []idptest.Client{{
			ID: clientID, Secret: clientSecret, RedirectURIs: []string{address(name) + "/callback"}, PostLogoutRedirectURIs: []string{address(name) + "/signed_out"},
		}}
	}
	s.url = address("a")
	s.startProvider(nil)
	people := []idptest.Person{person("alice"), person("bob")}
	other := idptest.Start(t, idptest.Options{Clients: client("b"), People: people, SignIn: func(r *http.Request) string { return r.Header.Get(personHeader) }})
	sites, err := json.Marshal([]map[string]any{{"hosts": []string{"b.localhost"}, "public_url": address("b"), "oidc": map[string]any{"issuer": other.Issuer()}}})
	check(t, err)
	s.settings["public_url"], s.settings["sites"] = s.url, string(sites)
	var replicas []string
	for range 2 {
		r := newReplica(t, s.settings)
		r.awaitReady()
		s.replicas = append(s.replicas, r)
		replicas = append(replicas, r.address)
	}
	var config strings.Builder
	for _, name := range []string{"a", "b"} {
		args := fmt.Sprintf("nginx render --server-name %s.localhost --listen %s --upstream %s --replica %s", name, s.site, s.app.Listener.Addr(), strings.Join(replicas, ","))
		rendered := run(t, args)
		if rendered.code != 0 {
			t.Fatalf("authsvc %s: %s", args, rendered.stderr)
		}
		config.WriteString(rendered.stdout)
	}
	nginxtest.Start(t, config.String())

	cookies := map[string]string{}
	for name, provider := range map[string]*idptest.Provider{"a": s.provider, "b": other} {
		jar, err := cookiejar.New(nil)
		check(t, err)
		transport := newLocalhostTransport("alice")
		t.Cleanup(transport.CloseIdleConnections)
		browser := &http.Client{Jar: jar, Transport: transport, Timeout: patience}
		response, err := browser.Get(address(name) + "/page?a=b")
		check(t, err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || response.Request.URL.String() != address(name)+"/page?a=b" {
			t.Fatalf("%s: the login ended with %s at %s", name, response.Status, response.Request.URL)
		}
		if n := provider.Count(idptest.Token); n != 1 {
			t.Errorf("%s: its provider gave %d sessions", name, n)
		}
		at, err := url.Parse(address(name))
		check(t, err)
		for _, cookie := range jar.Cookies(at) {
			if cookie.Name == "authsvc" {
				cookies[name] = cookie.Value
			}
		}
	}
	ask := func(host, cookie string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.site+"/page", nil)
		check(t, err)
		request.Host = host
		request.Header = http.Header{"Cookie": {"authsvc=" + cookie}, "Sec-Fetch-Mode": {"cors"}}
		response, err := direct.Do(request)
		check(t, err)
		response.Body.Close()
		return response.StatusCode
	}
	for _, at := range []string{"a", "b"} {
		for of, cookie := range cookies {
			want := http.StatusUnauthorized
			if at == of {
				want = http.StatusOK
			}
			for range s.replicas { // nginx asks each in its turn
				if got := ask(at+".localhost:"+port, cookie); got != want {
					t.Errorf("the session of %s at %s: %d, want %d", of, at, got, want)
				}
			}
		}
	}
	if n := s.records(); n != 2 {
		t.Errorf("two people at two sites have %d sessions", n)
	}
}

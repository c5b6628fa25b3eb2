package nginx_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

// replicaName is in the certificates of selfSigned.
const replicaName = "auth.example.com"

// Replicas over TLS are asked for verdicts and endpoints when they show their certificate; whoever shows another lets nobody in.
func TestReplicasOverTLS(t *testing.T) {
	certificate, key, _ := selfSigned(t)
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	another, _, _ := selfSigned(t)
	for name, test := range map[string]struct {
		roots, name string
		status      int
	}{
		"its own":       {certificate, replicaName, http.StatusOK},
		"another's":     {another, replicaName, http.StatusServiceUnavailable},
		"another name":  {certificate, "other.example.com", http.StatusServiceUnavailable},
		"a part of it":  {certificate, "example.com", http.StatusServiceUnavailable},
		"a name within": {certificate, "x." + replicaName, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			secure := newStub(t, allow)
			server := httptest.NewUnstartedServer(secure)
			server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
			server.StartTLS()
			t.Cleanup(server.Close)
			g := newGate(t, allow, page, func(s *nginx.Site) {
				s.Replicas, s.ReplicaCA, s.ReplicaName = []string{"https://" + server.Listener.Addr().String()}, test.roots, test.name
			})
			if got := g.send(t, "GET /page HTTP/1.1", ""); got.Status != test.status {
				t.Errorf("the browser saw %d, want %d", got.Status, test.status)
			}
			if got := g.send(t, "GET /oauth2/start HTTP/1.1", ""); got.Status != test.status {
				t.Errorf("at an endpoint the browser saw %d, want %d", got.Status, test.status)
			}
			if test.status == http.StatusOK {
				wantAlice(t, g.app.one(t))
				if seen := secure.take(); len(seen) != 2 {
					t.Errorf("authsvc saw %+v", seen)
				}
				return
			}
			g.app.none(t, "the application")
			secure.none(t, "authsvc")
		})
	}
}

// Plain HTTP is sent on to the same path over TLS, and asks nobody.
func TestRedirectHTTP(t *testing.T) {
	certificate, key, _ := selfSigned(t)
	for name, host := range map[string]string{siteName: siteName, "*.example.com": "any.example.com"} {
		for _, change := range []func(*nginx.Site){func(*nginx.Site) {}, func(s *nginx.Site) { s.LoginOnly, s.Upstreams = true, nil }} {
			plain := nginxtest.FreeAddress(t)
			g := newGate(t, allow, page, func(s *nginx.Site) {
				change(s)
				s.ServerName, s.Certificate, s.CertificateKey, s.RedirectHTTP = name, certificate, key, []string{plain}
			})
			port := g.address[strings.LastIndex(g.address, ":"):]
			g.address = plain
			for _, path := range []string{"/", "/a//b%2Fc?d=e&f=%20", "/oauth2/start", "//x", "/oauth2/auth"} {
				got := g.send(t, "GET "+path+" HTTP/1.1", "", "Host: "+host, "Cookie: __Host-authsvc=x")
				if want := "https://" + host + port + path; got.Status != http.StatusMovedPermanently || got.Header.Get("Location") != want {
					t.Errorf("%s: the browser saw %d, Location %q, want %q", path, got.Status, got.Header.Get("Location"), want)
				}
			}
			// Another host leads to the site's own, or nowhere where there are many.
			got, want := g.send(t, "GET / HTTP/1.1", "", "Host: evil.test"), "https://"+siteName+port+"/"
			if name != siteName {
				want = ""
			}
			if got.Header.Get("Location") != want || want == "" && got.Status != http.StatusMisdirectedRequest {
				t.Errorf("%s: another host leads to %q with %d, want %q", name, got.Header.Get("Location"), got.Status, want)
			}
			g.auth.none(t, "authsvc")
			g.app.none(t, "the application")
		}
	}
	// The usual port is not said.
	text := render(t, nginx.Site{
		ServerName: siteName, Upstreams: []string{"127.0.0.1:3000"}, Replicas: []string{"127.0.0.1:4180"},
		Certificate: certificate, CertificateKey: key, RedirectHTTP: []string{"80"},
	})
	if !strings.Contains(text, "    listen 80;\n    server_name "+siteName+";\n    return 301 https://"+siteName+"$request_uri;\n") {
		t.Error("no redirect to the usual port")
	}
}

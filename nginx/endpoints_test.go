package nginx_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

// The public endpoints reach authsvc without a verdict; nothing else does.
func TestEndpoints(t *testing.T) {
	endpoints := []string{
		"/start", "/callback", "/logout", "/signed_out", "/session", "/sessions", "/userinfo",
		"/backchannel-logout", "/jwks.json", "/sign_in", "/sign_out",
	}
	for _, prefix := range []string{"", "/oauth2", "/a.b/c"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == prefix+"/auth" {
					login(w, r)
					return
				}
				http.SetCookie(w, &http.Cookie{Name: "__Host-authsvc", Value: "new"})
				http.SetCookie(w, &http.Cookie{Name: "__Host-authsvc_login", Value: "", MaxAge: -1})
				w.Header().Set("Location", "https://provider.example/?"+strings.Repeat("x", 6000))
				w.WriteHeader(http.StatusSeeOther)
			}, page, func(s *nginx.Site) { s.Prefix = prefix })
			for _, endpoint := range endpoints {
				got := g.send(t, "POST "+prefix+endpoint+"?rd=%2Fx&a=b HTTP/1.1", "hello", "Content-Length: 5", "Cookie: __Host-authsvc=token")
				if got.Status != 303 || len(got.Header["Set-Cookie"]) != 2 || len(got.Header.Get("Location")) < 6000 {
					t.Errorf("%s: the browser saw %d %v", endpoint, got.Status, got.Header)
				}
				s := g.auth.one(t)
				if s.Method != "POST" || s.URI != prefix+endpoint+"?rd=%2Fx&a=b" || s.Body != "hello" || s.Host != siteName || s.Header.Get("Cookie") != "__Host-authsvc=token" {
					t.Errorf("%s: authsvc saw %+v", endpoint, s)
				}
				g.app.none(t, "the application")
			}
			// Everything around them is the application's, and asks for a verdict.
			for _, path := range []string{"/startx", "/start/", "/xstart", "/jwks-json", "/Start", "/forward", "/envoy/x", "/auth/", "/metrics"} {
				got := g.send(t, "GET "+prefix+path+" HTTP/1.1", "")
				if got.Status != 401 {
					t.Errorf("%s: the browser saw %d, want 401", path, got.Status)
				}
				if s := g.auth.one(t); s.URI != prefix+"/auth" {
					t.Errorf("%s: authsvc saw %s", path, s.URI)
				}
				g.app.none(t, "the application")
			}
			// The check itself is nobody's to ask.
			for _, path := range []string{"/auth", "/%61uth", "//auth", "/x/../auth", "/auth?allowed_groups=x"} {
				if got := g.send(t, "GET "+prefix+path+" HTTP/1.1", ""); got.Status != 404 {
					t.Errorf("%s: the browser saw %d, want 404", path, got.Status)
				}
				g.auth.none(t, "authsvc")
				g.app.none(t, "the application")
			}
		})
	}
}

// What authsvc's endpoints answer passes as it is.
func TestEndpointAnswersPass(t *testing.T) {
	for _, status := range []int{200, 302, 400, 401, 403, 405, 500, 502, 503} {
		g := newGate(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, "authsvc's page")
		}, page, nil)
		got := g.send(t, "GET /oauth2/session HTTP/1.1", "", navigate...)
		if got.Status != status || got.Body != "authsvc's page" {
			t.Errorf("the browser saw %d %q, want authsvc's %d", got.Status, got.Body, status)
		}
		g.app.none(t, "the application")
	}
}

// Over TLS the address that is judged says https.
func TestTLS(t *testing.T) {
	certificate, key, roots := selfSigned(t)
	g := newGate(t, allow, page, func(s *nginx.Site) { s.Certificate, s.CertificateKey = certificate, key })
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext:     (&net.Dialer{}).DialContext,
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+g.address+"/page", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = siteName
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("the browser saw %d", response.StatusCode)
	}
	if got := g.auth.one(t).Header.Get("X-Original-Url"); got != "https://"+siteName+"/page" {
		t.Errorf("authsvc judged %q", got)
	}
	if got := g.app.one(t).Header.Get("X-Forwarded-Proto"); got != "https" {
		t.Errorf("the application saw X-Forwarded-Proto: %q", got)
	}
}

// Sites may share an http{}: each asks its own authsvc, strips its own cookie, serves its own application.
func TestTwoSites(t *testing.T) {
	address := nginxtest.FreeAddress(t)
	type side struct{ auth, app *stub }
	sides := map[string]side{}
	var config strings.Builder
	for _, name := range []string{"a-b.example.com", "a.b.example.com"} {
		s := side{newStub(t, allow), newStub(t, page)}
		sides[name] = s
		config.WriteString(render(t, nginx.Site{
			ServerName: name, Listen: []string{address}, CookieName: strings.ReplaceAll(name, ".", "_"),
			Upstreams: []string{s.app.address()}, Replicas: []string{s.auth.address()},
		}))
	}
	nginxtest.Start(t, config.String())
	g := &gate{address: address}
	for name, s := range sides {
		own := strings.ReplaceAll(name, ".", "_")
		got := g.send(t, "GET / HTTP/1.1", "", "Host: "+name, "Cookie: a-b_example_com=1; a_b_example_com=2")
		if got.Status != 200 {
			t.Errorf("%s: the browser saw %d", name, got.Status)
		}
		s.auth.one(t)
		if cookie := s.app.one(t).Header.Get("Cookie"); cookie == "" || strings.Contains(cookie, own+"=") {
			t.Errorf("%s: the application saw %q", name, cookie)
		}
	}
}

// Unix sockets on every side.
func TestUnixSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "ngx") // a test's own folder can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	listen := func(name string, handler http.HandlerFunc) *stub {
		s := newStub(t, handler)
		listener, err := net.Listen("unix", filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		go s.server.Config.Serve(listener)
		return s
	}
	auth, app := listen("auth", allow), listen("app", page)
	g := newGate(t, allow, page, func(s *nginx.Site) {
		s.Replicas, s.Upstreams = []string{"unix:" + dir + "/auth"}, []string{"unix:" + dir + "/app"}
	})
	if got := g.send(t, "GET /page HTTP/1.1", ""); got.Status != 200 {
		t.Errorf("the browser saw %d", got.Status)
	}
	auth.one(t)
	if s := app.one(t); s.Host != siteName {
		t.Errorf("the application saw host %q", s.Host)
	}
}

// selfSigned writes a certificate for 127.0.0.1 and its key into files.
func selfSigned(t *testing.T) (certificate, key string, roots *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{replicaName},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "tls") // letters, digits and slashes only, unlike a test's own folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	certificate, key = filepath.Join(dir, "site.crt"), filepath.Join(dir, "site.key")
	certificatePEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for path, data := range map[string][]byte{
		certificate: certificatePEM,
		key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AppendCertsFromPEM(certificatePEM)
	return certificate, key, roots
}

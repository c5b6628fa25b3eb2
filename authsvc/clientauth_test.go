package authsvc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// rsaKey is made once: making one takes long.
var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// newKey makes a private key of a kind: RSA, P-256, P-384 or Ed25519.
func newKey(t *testing.T, kind string) crypto.Signer {
	t.Helper()
	var key crypto.Signer
	var err error
	switch kind {
	case "RSA":
		key, err = rsaKey()
	case "P-256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "P-384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "Ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writeKey writes a key in PEM to a file.
func writeKey(t *testing.T, file string, key crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return file
}

// writePair writes a certificate and its key to files.
func writePair(t *testing.T, dir string, pair tls.Certificate) (certFile, keyFile string) {
	t.Helper()
	certFile, keyFile = filepath.Join(dir, "client.crt"), filepath.Join(dir, "client.key")
	writeFile(t, certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}))
	return certFile, writeKey(t, keyFile, pair.PrivateKey.(crypto.Signer))
}

func writeFile(t *testing.T, file string, content []byte) {
	t.Helper()
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// newPair makes a self-signed certificate with its key.
func newPair(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := idptest.NewCertificate("app")
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// authenticated is what the client of a rig is registered with, and how it is configured.
type authenticated struct {
	configure func(*Config)
	register  func(*idptest.Client)
	provide   func(*idptest.Options)
}

func newAuthenticatedRig(t *testing.T, a authenticated) *rig {
	t.Helper()
	return newRigWith(t, 1, a.configure, func(o *idptest.Options) {
		o.Push = idptest.PushRequired
		if a.register != nil {
			a.register(&o.Clients[0])
		}
		if a.provide != nil {
			a.provide(o)
		}
	})
}

// byAssertion is a client that authenticates with a key of a kind.
func byAssertion(t *testing.T, kind string) authenticated {
	key, file := newKey(t, kind), filepath.Join(t.TempDir(), "client.key")
	writeKey(t, file, key)
	return authenticated{
		configure: func(c *Config) {
			c.OIDC.ClientSecret, c.OIDC.ClientAuth, c.OIDC.ClientKeyFile = "", "private_key_jwt", file
		},
		register: func(client *idptest.Client) { client.AuthMethod, client.Key = idptest.AuthPrivateKey, key.Public() },
	}
}

// also adds to what there is.
func (a authenticated) also(configure func(*Config), register func(*idptest.Client), provide func(*idptest.Options)) authenticated {
	before := a
	a.configure = func(c *Config) { before.configure(c); configure(c) }
	a.register = func(client *idptest.Client) { before.register(client); register(client) }
	if provide != nil {
		a.provide = provide
	}
	return a
}

// assertionOf returns header and claims of the assertion in a form.
func assertionOf(t *testing.T, form url.Values) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(form.Get("client_assertion"), ".")
	if len(parts) != 3 {
		t.Fatalf("no assertion among %v", form)
	}
	for i, to := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, to); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// TestClientAuthenticationByEveryMethod goes through all that a client asks as itself, by each of the ways in which it can show who it is: a pushed request,
// a code, a refresh, a revocation. The provider takes that one way alone.
func TestClientAuthenticationByEveryMethod(t *testing.T) {
	certified := func(t *testing.T) authenticated {
		pair := newPair(t)
		certFile, keyFile := writePair(t, t.TempDir(), pair)
		a := byAssertion(t, "P-256")
		return a.also(func(c *Config) {
			c.OIDC.ClientKeyFile, c.OIDC.ClientCertFile, c.OIDC.ClientAssertionAudience = keyFile, certFile, "token_endpoint"
		}, func(client *idptest.Client) {
			client.Key, client.Certificate, client.OlderAssertions = pair.PrivateKey.(crypto.Signer).Public(), pair.Certificate[0], true
		}, nil)
	}
	for name, row := range map[string]struct {
		client    func(t *testing.T) authenticated
		algorithm string // of assertions; "" for none
	}{
		"basic": {client: func(*testing.T) authenticated {
			return authenticated{register: func(c *idptest.Client) { c.AuthMethod = idptest.AuthBasic }}
		}},
		"post": {client: func(*testing.T) authenticated {
			return authenticated{
				configure: func(c *Config) { c.OIDC.ClientAuth = "post" },
				register:  func(c *idptest.Client) { c.AuthMethod = idptest.AuthPost },
			}
		}},
		"none": {client: func(*testing.T) authenticated {
			return authenticated{configure: func(c *Config) { c.OIDC.ClientSecret, c.OIDC.ClientAuth = "", "none" }}
		}},
		"RSA":     {func(t *testing.T) authenticated { return byAssertion(t, "RSA") }, "RS256"},
		"P-256":   {func(t *testing.T) authenticated { return byAssertion(t, "P-256") }, "ES256"},
		"P-384":   {func(t *testing.T) authenticated { return byAssertion(t, "P-384") }, "ES384"},
		"Ed25519": {func(t *testing.T) authenticated { return byAssertion(t, "Ed25519") }, "EdDSA"},
		"a key with an ID": {func(t *testing.T) authenticated {
			return byAssertion(t, "P-256").also(func(c *Config) { c.OIDC.ClientKeyID = "key-1" }, func(c *idptest.Client) { c.KeyID = "key-1" }, nil)
		}, "ES256"},
		"a certificate, by the older rules": {certified, "ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newAuthenticatedRig(t, row.client(t))
			if row.algorithm == "RS256" {
				t.Run("where PS256 alone is taken", func(t *testing.T) {
					r.provider.EditDiscovery(func(d map[string]any) {
						d["token_endpoint_auth_signing_alg_values_supported"] = []string{"PS256", "ES256"}
					})
					r.rediscover()
					r.usesClient(t, "PS256")
					r.provider.BeHonest()
					r.rediscover()
				})
			}
			r.usesClient(t, row.algorithm)
			r.keepsSecrets()
		})
	}
}

// usesClient signs in, refreshes and signs out, and looks at how the client showed who it is.
func (r *rig) usesClient(t *testing.T, algorithm string) {
	r.t = t
	r.provider.ForgetRequests()
	b := r.browser()
	if landed := b.signIn(); landed.StatusCode != http.StatusFound {
		t.Fatalf("the login: %s\n%s", landed.Status, r.log)
	}
	r.advance(6 * time.Minute)
	b.identity()
	if logout := r.logout(0, b.sessionCookie()); logout.Code != http.StatusSeeOther {
		t.Errorf("the logout: %d", logout.Code)
	}
	seen := map[any]bool{}
	for _, endpoint := range []struct {
		name  idptest.Endpoint
		count int
	}{{idptest.Push, 1}, {idptest.Token, 2}, {idptest.Revocation, 1}} {
		requests := r.provider.Requests(endpoint.name)
		if len(requests) != endpoint.count {
			t.Errorf("%s saw %d requests", endpoint.name, len(requests))
		}
		for _, request := range requests {
			if request.Status >= 300 {
				t.Errorf("%s answered %d", endpoint.name, request.Status)
			}
			if request.Form.Has("client_assertion") != (algorithm != "") {
				t.Fatalf("%s got %v", endpoint.name, request.Form)
			}
			if algorithm == "" {
				continue
			}
			header, claims := assertionOf(t, request.Form)
			if header["alg"] != algorithm || seen[claims["jti"]] || request.Form.Get("client_id") != "app" {
				t.Errorf("%s got an assertion with %v and %v", endpoint.name, header, claims)
			}
			seen[claims["jti"]] = true
		}
	}
	if pushed := r.provider.Requests(idptest.Authorize); len(pushed) != 1 || len(pushed[0].Query) != 2 || pushed[0].Query.Get("client_id") != "app" {
		t.Errorf("the browser came with %v", pushed)
	}
}

// TestClientAuthenticationByCertificate goes the same way with mutual TLS (RFC 8705): the endpoints for it are elsewhere, as
// mtls_endpoint_aliases say.
func TestClientAuthenticationByCertificate(t *testing.T) {
	pair, dir := newPair(t), t.TempDir()
	certFile, keyFile := writePair(t, dir, pair)
	server, roots := newPair(t), filepath.Join(dir, "roots.pem")
	writeFile(t, roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate[0]}))
	r := newRigWith(t, 1, func(c *Config) {
		c.OIDC.ClientSecret, c.OIDC.ClientAuth, c.OIDC.ClientKeyFile, c.OIDC.ClientCertFile, c.OIDC.CAFile = "", "mtls", keyFile, certFile, roots
	}, func(o *idptest.Options) {
		o.Push, o.TLS = idptest.PushRequired, &server
		o.ClaimsIn = idptest.ClaimsInUserinfo
		o.Clients[0].AuthMethod, o.Clients[0].Certificate = idptest.AuthCertificate, pair.Certificate[0]
	})
	r.usesClient(t, "")
	for _, endpoint := range []idptest.Endpoint{idptest.Push, idptest.Token, idptest.Userinfo, idptest.Revocation} {
		for _, request := range r.provider.Requests(endpoint) {
			if !request.TLS {
				t.Errorf("%s was asked without TLS", endpoint)
			}
		}
	}
	r.keepsSecrets()
}

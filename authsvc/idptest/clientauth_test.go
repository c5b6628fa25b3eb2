package idptest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"authsvc/authsvc/idptest"
)

// post sends a form to an endpoint and gives status and body.
func post(t *testing.T, client *http.Client, address string, form url.Values) (int, string) {
	t.Helper()
	answer, err := client.PostForm(address, form)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// TestClientAssertions holds the provider to RFC 7523 section 3 and draft-ietf-oauth-rfc7523bis: what is wrong in any way is refused.
func TestClientAssertions(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := options()
	o.Clients = append(o.Clients,
		idptest.Client{ID: "keyed", AuthMethod: idptest.AuthPrivateKey, Key: key.Public(), KeyID: "k1"},
		idptest.Client{ID: "older", AuthMethod: idptest.AuthPrivateKey, Key: key.Public(), OlderAssertions: true},
	)
	provider := idptest.Start(t, o)
	const newer, tokenType = "client-authentication+jwt", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	assertion := func(signing *ecdsa.PrivateKey, kind, keyID string, claims map[string]any) string {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signing}, (&jose.SignerOptions{}).WithType(jose.ContentType(kind)).WithHeader("kid", keyID))
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(claims)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign(text)
		if err != nil {
			t.Fatal(err)
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		return compact
	}
	claims := func(client string, changes map[string]any) map[string]any {
		c := map[string]any{"iss": client, "sub": client, "aud": provider.Issuer(), "jti": rand.Text(), "exp": time.Now().Add(time.Minute).Unix()}
		maps.Copy(c, changes)
		return c
	}
	changed := func(name string, value any) string {
		return assertion(key, newer, "k1", claims("keyed", map[string]any{name: value}))
	}
	good := changed("iat", time.Now().Unix())
	form := func(text string) url.Values {
		// The grant is no good either: what matters is whether the client gets so far.
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_assertion_type": {tokenType}, "client_assertion": {text}, "client_id": {"keyed"}}
	}
	for _, row := range []struct {
		name string
		form url.Values
		want string
	}{
		{"good", form(good), "invalid_grant"},
		{"again", form(good), "used before"},
		{"another key", form(assertion(other, newer, "k1", claims("keyed", nil))), "not by the registered key"},
		{"another kid", form(assertion(key, newer, "k2", claims("keyed", nil))), "kid"},
		{"JWT as its type", form(assertion(key, "JWT", "k1", claims("keyed", nil))), "typ"},
		{"no JWT", form("x"), "no JWT"},
		{"iss of another", form(changed("iss", "rp")), "iss and sub"},
		{"sub of another", form(changed("sub", "rp")), "iss and sub"},
		{"aud the token endpoint", form(changed("aud", provider.URL(idptest.Token))), "aud must be"},
		{"aud a list", form(changed("aud", []string{provider.Issuer()})), "aud must be"},
		{"exp passed", form(changed("exp", time.Now().Add(-time.Second).Unix())), "exp"},
		{"exp missing", form(changed("exp", nil)), "exp"},
		{"exp in an hour", form(changed("exp", time.Now().Add(time.Hour).Unix())), "exp"},
		{"nbf ahead", form(changed("nbf", time.Now().Add(time.Minute).Unix())), "nbf"},
		{"jti missing", form(changed("jti", "")), "jti"},
		{"no assertion", url.Values{"grant_type": {"refresh_token"}, "client_id": {"keyed"}}, "as registered"},
		{"a secret", url.Values{"grant_type": {"refresh_token"}, "client_id": {"keyed"}, "client_secret": {"x"}}, "as registered"},
		{"of a client with a secret", url.Values{"grant_type": {"refresh_token"}, "client_id": {"rp"}, "client_assertion_type": {tokenType}, "client_assertion": {good}}, "as registered"},
		{"older rules", url.Values{
			"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {"older"}, "client_assertion_type": {tokenType},
			"client_assertion": {assertion(key, "JWT", "k1", claims("older", map[string]any{"aud": provider.URL(idptest.Token)}))},
		}, "invalid_grant"},
		{"older rules, the issuer", url.Values{
			"grant_type": {"refresh_token"}, "client_id": {"older"}, "client_assertion_type": {tokenType},
			"client_assertion": {assertion(key, "JWT", "k1", claims("older", nil))},
		}, "aud must be"},
	} {
		if _, body := post(t, http.DefaultClient, provider.URL(idptest.Token), row.form); !strings.Contains(body, row.want) {
			t.Errorf("%s: %s, want %s", row.name, body, row.want)
		}
	}
	twoWays := form(changed("iat", 1))
	twoWays.Set("client_secret", "x")
	if _, body := post(t, http.DefaultClient, provider.URL(idptest.Token), twoWays); !strings.Contains(body, "in two ways") {
		t.Errorf("two ways: %s", body)
	}
}

// TestClientCertificates holds the provider to RFC 8705 section 2.2.
func TestClientCertificates(t *testing.T) {
	server, mine, another := certificate(t), certificate(t), certificate(t)
	o := options()
	o.TLS = &server
	o.Clients = append(o.Clients, idptest.Client{ID: "certified", AuthMethod: idptest.AuthCertificate, Certificate: mine.Certificate[0]})
	provider := idptest.Start(t, o)
	answer, err := http.Get(provider.URL(idptest.Discovery))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var document struct {
		Aliases struct {
			Token string `json:"token_endpoint"`
		} `json:"mtls_endpoint_aliases"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&document); err != nil || !strings.HasPrefix(document.Aliases.Token, "https://") {
		t.Fatalf("%+v, %v", document, err)
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}, "client_id": {"certified"}}
	for name, row := range map[string]struct {
		shown []tls.Certificate
		want  string
	}{
		"its own": {[]tls.Certificate{mine}, "invalid_grant"}, "another's": {[]tls.Certificate{another}, "not the registered one"}, "none": {nil, "no certificate"},
	} {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{Certificates: row.shown, InsecureSkipVerify: true}}}
		if _, body := post(t, client, document.Aliases.Token, form); !strings.Contains(body, row.want) {
			t.Errorf("%s: %s, want %s", name, body, row.want)
		}
		client.CloseIdleConnections()
	}
	if _, body := post(t, http.DefaultClient, provider.URL(idptest.Token), form); !strings.Contains(body, "no certificate") {
		t.Errorf("without TLS: %s", body)
	}
}

func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	pair, err := idptest.NewCertificate("test")
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

package authsvc

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestClientKeyIsReadAgain puts a new key, half a pair, and nothing at all in the place of the client's key.
func TestClientKeyIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	first, second := newPair(t), newPair(t)
	certFile, keyFile := writePair(t, dir, first)
	key := &clientKey{keyFile: keyFile, certFile: certFile}
	uses := func(what string, want crypto.PrivateKey) {
		t.Helper()
		loaded, err := key.get()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if loaded.private != want && !loaded.private.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(want.(crypto.Signer).Public()) {
			t.Errorf("%s: another key is used", what)
		}
	}
	uses("at first", first.PrivateKey)
	writeKey(t, keyFile, second.PrivateKey.(crypto.Signer))
	uses("while the certificate is the old one's", first.PrivateKey)
	writePair(t, dir, second)
	uses("with the new pair", second.PrivateKey)
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	uses("without its file", second.PrivateKey)
	if _, err := (&clientKey{keyFile: keyFile}).get(); err == nil {
		t.Error("a key without a file was read")
	}
}

func TestClientKeysThatAreRefused(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("hush"), "a certificate alone": block("CERTIFICATE", newPair(t).Certificate[0]),
		"encrypted": block("ENCRYPTED PRIVATE KEY", []byte("hush")), "broken": block("PRIVATE KEY", []byte("hush")),
		"short": block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(short)),
	} {
		if _, err := parsePrivateKey(content); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestClientKeyRotates replaces the client's key while the service runs, here and at the provider.
func TestClientKeyRotates(t *testing.T) {
	dir := t.TempDir()
	file, first, second := filepath.Join(dir, "client.key"), newKey(t, "P-256"), newKey(t, "P-256")
	writeKey(t, file, first)
	r := newAuthenticatedRig(t, byAssertion(t, "P-256").also(func(c *Config) { c.OIDC.ClientKeyFile = file }, func(client *idptest.Client) { client.Key = second.Public() }, nil))
	refused := r.browser().open("/start?rd=/landed")
	if refused.StatusCode != http.StatusBadGateway || !strings.Contains(r.log.String(), "invalid_client; check oidc.client_id, oidc.client_auth") {
		t.Errorf("with a key that the provider does not know: %s\n%s", refused.Status, r.log)
	}
	writeKey(t, file, second)
	if landed := r.browser().signIn(); landed.StatusCode != http.StatusFound {
		t.Errorf("with the new key: %s\n%s", landed.Status, r.log)
	}
}

// TestAssertionAlgorithms has keys and providers that cannot come together.
func TestAssertionAlgorithms(t *testing.T) {
	for kind, taken := range map[string][]string{"RSA": {"ES256"}, "P-256": {"ES384", "RS256"}, "Ed25519": {"RS256"}} {
		if algorithm, err := assertionAlgorithm(newKey(t, kind).Public(), taken); err == nil {
			t.Errorf("%s signs with %s for who takes %v", kind, algorithm, taken)
		}
	}
	a := clientAuth{method: "private_key_jwt"}
	if _, err := a.assertion(nil); !errors.Is(err, errProviderUnavailable) {
		t.Errorf("before discovery: %v", err)
	}
}

package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// keyRing holds the published keys; the last one signs.
type keyRing struct {
	mu   sync.RWMutex
	keys []*key
}

type key struct {
	id        string
	algorithm string
	private   crypto.Signer
}

func newKey(algorithm string) (*key, error) {
	k := &key{id: rand.Text(), algorithm: algorithm}
	var err error
	switch algorithm {
	case "RS256":
		k.private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		k.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "EdDSA":
		_, k.private, err = ed25519.GenerateKey(rand.Reader)
	default:
		err = fmt.Errorf("idptest: algorithm %q: want RS256, ES256 or EdDSA", algorithm)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

func newKeys(algorithm string, count int, noID bool) ([]*key, error) {
	var keys []*key
	for range count {
		k, err := newKey(algorithm)
		if err != nil {
			return nil, err
		}
		if noID {
			k.id = ""
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// RotateKeys signs with a new key from now on; the old ones stay published until RetireKeys.
func (p *Provider) RotateKeys() error {
	fresh, err := newKeys(p.options.Algorithm, 1, p.options.NoKeyID)
	if err != nil {
		return err
	}
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	p.keys.keys = append(slices.Clone(p.keys.keys), fresh...)
	return nil
}

// RetireKeys publishes only the key that signs.
func (p *Provider) RetireKeys() {
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	p.keys.keys = slices.Clone(p.keys.keys[len(p.keys.keys)-1:])
}

func (r *keyRing) published() []*key {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.keys
}

func (r *keyRing) signing() *key {
	keys := r.published()
	return keys[len(keys)-1]
}

// KeyID is the kid of the key that signs; "" with Options.NoKeyID.
func (p *Provider) KeyID() string { return p.keys.signing().id }

// PublicKey is the public half of the key that signs.
func (p *Provider) PublicKey() crypto.PublicKey { return p.keys.signing().private.Public() }

// Sign signs header and payload, as they are, with the provider's current key: a compact JWS with a good
// signature, whatever the header says. For tokens that a map cannot tell, like a claim that comes twice.
func (p *Provider) Sign(header, payload []byte) string {
	return p.keys.signing().sign(header, payload)
}

// header is an honest JWS header for k.
func (k *key) header(kind string) map[string]any {
	header := map[string]any{"alg": k.algorithm, "typ": kind}
	if k.id != "" {
		header["kid"] = k.id
	}
	return header
}

func (k *key) sign(header, payload []byte) string {
	input := encode(header) + "." + encode(payload)
	var signature []byte
	var err error
	switch private := k.private.(type) {
	case *rsa.PrivateKey:
		digest := sha256.Sum256([]byte(input))
		signature, err = rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	case *ecdsa.PrivateKey:
		signature, err = signECDSA(private, input)
	case ed25519.PrivateKey:
		signature = ed25519.Sign(private, []byte(input))
	}
	if err != nil {
		panic(fmt.Errorf("idptest: signing with a key of our own making: %w", err))
	}
	return input + "." + encode(signature)
}

// signECDSA gives the two numbers side by side, as JWS wants them (RFC 7518 section 3.4).
func signECDSA(private *ecdsa.PrivateKey, input string) ([]byte, error) {
	hash := crypto.SHA256
	if private.Curve == elliptic.P384() {
		hash = crypto.SHA384
	}
	digest := hash.New()
	digest.Write([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest.Sum(nil))
	if err != nil {
		return nil, err
	}
	size := (private.Curve.Params().BitSize + 7) / 8
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

// signatureLength is the length of a signature in base64url.
func (k *key) signatureLength() int {
	if k.algorithm == "RS256" {
		return 342
	}
	return 86
}

// atHash is the at_hash of an access token (Core 3.1.3.6); Ed25519 goes with SHA-512.
func (k *key) atHash(accessToken string) string {
	if k.algorithm == "EdDSA" {
		digest := sha512.Sum512([]byte(accessToken))
		return encode(digest[:len(digest)/2])
	}
	digest := sha256.Sum256([]byte(accessToken))
	return encode(digest[:len(digest)/2])
}

var errSignature = errors.New("idptest: no published key has signed this")

// verify opens a token that this provider signed, in time or not.
func (r *keyRing) verify(token string) (map[string]any, error) {
	for _, k := range r.published() {
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(k.algorithm)})
		if err != nil {
			return nil, err
		}
		payload, err := signed.Verify(k.private.Public())
		if err != nil {
			continue
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			return nil, err
		}
		return claims, nil
	}
	return nil, errSignature
}

func (p *Provider) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{}
	for _, k := range p.keys.published() {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.private.Public(), KeyID: k.id, Algorithm: k.algorithm, Use: "sig"})
	}
	var document map[string]any
	if err := json.Unmarshal(mustJSON(set), &document); err != nil {
		panic(fmt.Errorf("idptest: reading our own JSON: %w", err))
	}
	edit(&p.hooks, &p.hooks.jwks, document)
	writeJSON(w, http.StatusOK, document)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// mustJSON panics on what only a hook of a test can have put there, like a channel.
func mustJSON(value any) []byte {
	text, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Errorf("idptest: a value that JSON cannot tell: %w", err))
	}
	return text
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(mustJSON(value))
}

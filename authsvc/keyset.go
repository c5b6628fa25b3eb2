package authsvc

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"authsvc/session"
)

// errKeysUnavailable says that the provider's keys could not be asked, or may not be asked again yet: nobody can tell
// whether the signature is good.
var errKeysUnavailable = errors.New("the provider's keys are not available")

// keysRefetchInterval is the least time between two fetches of the key set that a token can cause.
const keysRefetchInterval = 10 * time.Second

// keySet holds the public keys of one issuer. A token whose key it does not know makes it fetch them again, at
// most once per keysRefetchInterval whatever tokens come; when that fails the last good keys stay. It implements
// oidc.KeySet and is safe for concurrent use.
type keySet struct {
	url        string
	client     *http.Client
	algorithms []jose.SignatureAlgorithm
	now        func() time.Time // nil means time.Now

	keys atomic.Pointer[[]jose.JSONWebKey]

	mu        sync.Mutex // guards what follows; never held while waiting
	refetched time.Time
	latest    *keyFetch
}

// VerifySignature returns the payload of a JWT that is signed by a key of the issuer with an allowed algorithm.
// Errors: errKeysUnavailable means "cannot tell".
func (k *keySet) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(jwt, k.algorithms)
	if err != nil {
		return nil, fmt.Errorf("malformed or signed with an algorithm that is not allowed: %w", cut(err)) // which quotes the token's header
	}
	header := jws.Signatures[0].Protected
	if header.JSONWebKey != nil {
		return nil, errors.New("it brings its own key")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64", "enc", "zip", "jku", "x5u"} {
		if _, has := header.ExtraHeaders[name]; has {
			return nil, fmt.Errorf("it has the header %s", name)
		}
	}
	if payload := k.verify(jws, header); payload != nil {
		return payload, nil
	}
	// An unknown key, or one that was replaced under its name: the keys may have been rotated.
	if err := k.refetch(ctx); err != nil {
		return nil, err
	}
	if payload := k.verify(jws, header); payload != nil {
		return payload, nil
	}
	return nil, errors.New("its signature is not by a key of the issuer")
}

// algorithmNames returns the allowed algorithms as go-oidc wants them.
func (k *keySet) algorithmNames() []string {
	names := make([]string, len(k.algorithms))
	for i, a := range k.algorithms {
		names[i] = string(a)
	}
	return names
}

// verify tries the keys that may have made the signature: those with the token's key ID, or all of them when it has none. It returns
// nil when none of them did.
func (k *keySet) verify(jws *jose.JSONWebSignature, header jose.Header) (payload []byte) {
	keys := k.keys.Load()
	if keys == nil {
		return nil
	}
	for _, key := range *keys {
		if header.KeyID != "" && key.KeyID != header.KeyID {
			continue
		}
		// A key that names its algorithm is for that one alone (RFC 7517, section 4.4).
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(&key); err == nil {
			return payload
		}
	}
	return nil
}

// refetch asks for the keys again, unless that was done a moment ago: then its result holds. Whoever needs new keys meanwhile waits for
// the same answer, as long as its own context allows; the request itself does not end with the one that caused it.
func (k *keySet) refetch(ctx context.Context) error {
	now := time.Now()
	if k.now != nil {
		now = k.now()
	}
	k.mu.Lock()
	if now.Sub(k.refetched) >= keysRefetchInterval {
		k.refetched = now
		f := &keyFetch{done: make(chan struct{})}
		k.latest = f
		go func() {
			f.err = session.Catch(func() error { return k.fetch(context.WithoutCancel(ctx)) })
			close(f.done)
		}()
	}
	f := k.latest
	k.mu.Unlock()
	select {
	case <-f.done:
		if panicked, ok := errors.AsType[*session.PanicError](f.err); ok {
			panic(panicked) // whoever asked has a handler, or a flight, that answers it
		}
		return f.err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errKeysUnavailable, ctx.Err())
	}
}

// keyFetch is a fetch of the keys under way, or its result.
type keyFetch struct {
	done chan struct{}
	err  error // once done is closed
}

func (k *keySet) fetch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", errKeysUnavailable, err)
	}
	response, err := k.client.Do(request)
	if err != nil {
		return fmt.Errorf("%w: %w", errKeysUnavailable, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body) // the client bounds it
	if err != nil {
		return fmt.Errorf("%w: %w", errKeysUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: the answer's status is %d", errKeysUnavailable, response.StatusCode)
	}
	keys, err := parseKeys(body)
	if err != nil {
		return fmt.Errorf("%w: %w", errKeysUnavailable, err)
	}
	k.keys.Store(&keys)
	return nil
}

// parseKeys reads a key set and keeps the keys that can verify a signature. Keys of unknown kinds are passed
// over, as RFC 7517, section 5 asks.
func parseKeys(body []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("the key set is not JSON: %w", err)
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		if rsaKey, ok := key.Key.(*rsa.PublicKey); ok && rsaKey.N.BitLen() < 2048 {
			continue // RFC 7518, section 3.3
		}
		if key.Use != "" && key.Use != "sig" {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("the key set has no key that can sign")
	}
	if len(keys) > 100 {
		return nil, errors.New("the key set has more than 100 keys")
	}
	return keys, nil
}

// signatureAlgorithms returns those of the advertised algorithms that we accept: asymmetric ones. "none"
// and those with a shared secret never are. A provider that advertises nothing means RS256 (OpenID Connect Discovery
// 1.0, section 3).
func signatureAlgorithms(advertised []string) []jose.SignatureAlgorithm {
	accepted := []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
		jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
	if len(advertised) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256}
	}
	return slices.DeleteFunc(accepted, func(a jose.SignatureAlgorithm) bool {
		return !slices.Contains(advertised, string(a))
	})
}

package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// Thief is a key that is none of the provider's, unless a test publishes it by EditJWKS. Safe for concurrent use.
type Thief struct{ key *key }

// NewThief makes a key. The algorithm is one of Options.Algorithm, "ES384", or "RS256 of 1024 bits", which is too weak for anybody.
func NewThief(algorithm, keyID string) (*Thief, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "RS256 of 1024 bits":
		algorithm = "RS256"
		private, err = rsa.GenerateKey(rand.Reader, 1024)
	default:
		own, err := newKey(algorithm)
		if err != nil {
			return nil, err
		}
		private = own.private
	}
	if err != nil {
		return nil, fmt.Errorf("idptest: a thief's key: %w", err)
	}
	return &Thief{&key{keyID, algorithm, private}}, nil
}

// JWK is the public half as a key set has it, with kid and alg.
func (t *Thief) JWK() map[string]any {
	text, err := jose.JSONWebKey{Key: t.key.private.Public(), KeyID: t.key.id, Algorithm: t.key.algorithm, Use: "sig"}.MarshalJSON()
	if err != nil {
		panic(fmt.Errorf("idptest: encoding a key of our own making: %w", err))
	}
	var key map[string]any
	if err := json.Unmarshal(text, &key); err != nil {
		panic(fmt.Errorf("idptest: reading our own JSON: %w", err))
	}
	return key
}

// Sign makes tokens with the honest claims that this key signs; edit, unless nil, changes their header first.
func (t *Thief) Sign(edit func(header map[string]any)) Forger {
	return func(_ string, claims map[string]any) string {
		header := t.key.header("JWT")
		if edit != nil {
			edit(header)
		}
		return t.key.sign(mustJSON(header), mustJSON(claims))
	}
}

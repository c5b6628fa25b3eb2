package idptest

import (
	"crypto"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// A Forger makes another text of a signed ID token, for ReplaceIDToken.
type Forger = func(signed string, claims map[string]any) string

// Unsigned makes a token without a signature whose header names this alg: "none", "nOnE", "".
func Unsigned(algorithm string) Forger {
	return func(_ string, claims map[string]any) string {
		return encode(mustJSON(map[string]any{"alg": algorithm, "typ": "JWT"})) + "." + encode(mustJSON(claims)) + "."
	}
}

// HMACSigned makes an HS256 token with this secret.
func HMACSigned(keyID string, secret []byte) Forger {
	return func(_ string, claims map[string]any) string {
		header := map[string]any{"alg": "HS256", "typ": "JWT"}
		if keyID != "" {
			header["kid"] = keyID
		}
		input := encode(mustJSON(header)) + "." + encode(mustJSON(claims))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + encode(mac.Sum(nil))
	}
}

// PublicKeyPEM is the PEM text of the key that signs, the "secret" of the classic HS256 confusion.
func (p *Provider) PublicKeyPEM() []byte {
	der, err := x509.MarshalPKIXPublicKey(p.PublicKey())
	if err != nil {
		panic(fmt.Errorf("idptest: encoding a key of our own making: %w", err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// SignedByAnother makes an honest looking token with a key that nobody published, under the given kid.
// The algorithm is one of Options.Algorithm.
func SignedByAnother(algorithm, keyID string) (Forger, error) {
	thief, err := NewThief(algorithm, keyID)
	if err != nil {
		return nil, err
	}
	return thief.Sign(nil), nil
}

// BadSignature changes one bit of the signature.
func BadSignature(signed string, _ map[string]any) string {
	at := strings.LastIndexByte(signed, '.') + 1
	letter := byte('A')
	if signed[at] == letter {
		letter = 'B'
	}
	return signed[:at] + string(letter) + signed[at+1:]
}

// JSONSerialized writes the signed token in JSON (RFC 7515 section 7.2.2), which no ID token is.
func JSONSerialized(signed string, _ map[string]any) string {
	part := strings.Split(signed, ".")
	return string(mustJSON(map[string]string{"protected": part[0], "payload": part[1], "signature": part[2]}))
}

// Text puts a fixed text in the token's place.
func Text(text string) Forger {
	return func(string, map[string]any) string { return text }
}

// Encrypted wraps the signed token into a JWE for the given RSA public key.
func Encrypted(to crypto.PublicKey) (Forger, error) {
	encrypter, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.RSA_OAEP, Key: to},
		(&jose.EncrypterOptions{}).WithContentType("JWT").WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("idptest: encrypting: %w", err)
	}
	return func(signed string, _ map[string]any) string {
		sealed, err := encrypter.Encrypt([]byte(signed))
		if err != nil {
			panic(fmt.Errorf("idptest: encrypting: %w", err))
		}
		text, err := sealed.CompactSerialize()
		if err != nil {
			panic(fmt.Errorf("idptest: encrypting: %w", err))
		}
		return text
	}, nil
}

package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
)

// ErrTokenInvalid says that a text is not a token that this service issued for this purpose and
// site: it is malformed, forged, or signed with a key that is not on the ring. It is decided without
// asking the store.
var ErrTokenInvalid = errors.New("session: invalid token")

// ErrLaterFormat says that a token, record or sealed value is genuine but was written by a later
// release in a format that this one does not know. It means "cannot tell", never "absent": the
// value must be neither overwritten nor deleted.
var ErrLaterFormat = errors.New("session: written by a later release")

// Purpose says what a token is for. A token of one purpose is invalid for every other.
type Purpose string

const (
	// PurposeSession is the cookie that stands for a signed-in session.
	PurposeSession Purpose = "session"
	// PurposeLogin is the cookie that binds login attempts to one browser.
	PurposeLogin Purpose = "login"
)

// The envelope of a token never changes, whatever the format within: the first byte is the format,
// then comes the name of the key, and the last bytes are the MAC over all before it. So a release
// can tell a genuine token of a later one from a forgery.
const (
	tokenFormat     = 1
	tokenSecretSize = 32
	tokenMACSize    = 16
	tokenEnvelope   = 1 + keyNameSize + tokenMACSize
	tokenSize       = tokenEnvelope + tokenSecretSize
	tokenTextSize   = (tokenSize*8 + 5) / 6
	// maxTokenText bounds what is decoded: no release will issue longer tokens.
	maxTokenText = 256
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// Token is the secret that a cookie carries: 256 random bits and a MAC, so that any replica can
// refuse a forgery without asking the store. It holds no personal data. It prints redacted; only
// Reveal gives the text. The zero Token is no token.
type Token struct {
	raw [tokenSize]byte // an array, so that Tokens compare, cannot be changed, and cost a verdict no memory
}

// ID names a session record: the SHA-256 of the token. It is safe to show and to log; the token
// cannot be found from it.
type ID [sha256.Size]byte

// String returns the ID as 43 characters of unpadded base64url.
func (id ID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero reports whether the ID is unset.
func (id ID) IsZero() bool { return id == ID{} }

// ParseID reads what ID.String gives.
func ParseID(text string) (ID, error) {
	var id ID
	if len(text) != base64.RawURLEncoding.EncodedLen(len(id)) {
		return ID{}, fmt.Errorf("session: an ID is 43 characters of base64url, not %d", len(text))
	}
	if n, err := tokenEncoding.Decode(id[:], []byte(text)); err != nil || n != len(id) {
		return ID{}, errors.New("session: an ID is 43 characters of base64url")
	}
	return id, nil
}

// NewToken issues a token for the purpose and site, signed with the ring's signing key.
func (k *Keyring) NewToken(purpose Purpose, site string) Token {
	secret := make([]byte, tokenSecretSize)
	rand.Read(secret) // never fails; see crypto/rand
	return k.signer.token(purpose, site, secret)
}

// DeriveToken returns the token of another purpose that belongs to a token of this ring: always the same one, whichever replica
// derives it, and only who knows both the token and the master key can.
func (k *Keyring) DeriveToken(purpose Purpose, site string, from Token) Token {
	key := k.find(from.keyName())
	if key == nil {
		key = k.signer // the ring has changed since the token was parsed
	}
	return key.token(purpose, site, derive(key.seal, from.Secret(), "authsvc derived token "+string(purpose), tokenSecretSize))
}

func (key *masterKey) token(purpose Purpose, site string, secret []byte) Token {
	raw := make([]byte, 0, tokenSize)
	raw = append(raw, tokenFormat)
	raw = append(raw, key.name[:]...)
	raw = append(raw, secret...)
	mac := key.tokenMAC(purpose, site, raw)
	return Token{raw: [tokenSize]byte(append(raw, mac[:]...))}
}

// ParseToken reads the text of a token that was issued for the purpose and site, under any key of
// the ring. It returns ErrTokenInvalid, or ErrLaterFormat for a genuine token of a later release.
// What it accepts has exactly one spelling: Reveal gives the same text again.
func (k *Keyring) ParseToken(purpose Purpose, site, text string) (Token, error) {
	if len(text) > maxTokenText {
		return Token{}, ErrTokenInvalid
	}
	var encoded, decoded [maxTokenText]byte // on the stack: every verdict reads a token
	n, err := tokenEncoding.Decode(decoded[:], encoded[:copy(encoded[:], text)])
	raw := decoded[:n]
	if err != nil || len(raw) < tokenEnvelope || raw[0] == 0 || tokenEncoding.EncodedLen(n) != len(text) { // the decoder passes over line ends
		return Token{}, ErrTokenInvalid
	}
	key := k.find(keyName(raw[1:]))
	if key == nil {
		return Token{}, ErrTokenInvalid
	}
	signed, mac := raw[:len(raw)-tokenMACSize], raw[len(raw)-tokenMACSize:]
	if want := key.tokenMAC(purpose, site, signed); !hmac.Equal(mac, want[:]) {
		return Token{}, ErrTokenInvalid
	}
	if raw[0] > tokenFormat {
		return Token{}, ErrLaterFormat
	}
	if len(raw) != tokenSize {
		return Token{}, ErrTokenInvalid
	}
	return Token{raw: [tokenSize]byte(raw)}, nil
}

// unverified reads the text of a token of the present format whose key is on the ring, and does not look at its MAC: nobody may take it for genuine who
// does not know from elsewhere that it is. It accepts no other spelling than ParseToken does.
func (k *Keyring) unverified(text string) (t Token, ok bool) {
	if len(text) != tokenTextSize {
		return Token{}, false
	}
	var encoded [tokenTextSize]byte // on the stack
	copy(encoded[:], text)
	n, err := tokenEncoding.Decode(t.raw[:], encoded[:])
	if err != nil || n != tokenSize || t.raw[0] != tokenFormat || k.find(t.keyName()) == nil {
		return Token{}, false
	}
	return t, true
}

// Signed reports whether the ring's signing key has signed the token. One that another key has signed is as genuine, but that key may be on its
// way out, and other replicas may be without it already.
func (k *Keyring) Signed(t Token) bool {
	return !t.IsZero() && t.keyName() == k.signer.name
}

// keyName names the key that has signed the token.
func (t Token) keyName() keyName { return keyName(t.raw[1:]) }

// ID returns the name of the record that the token opens.
func (t Token) ID() ID { return sha256.Sum256(t.raw[:]) }

// IsZero reports whether t is no token.
func (t Token) IsZero() bool { return t == Token{} }

// Reveal returns the text of the token, for a Set-Cookie header and nothing else.
func (t Token) Reveal() string {
	if t.IsZero() {
		return ""
	}
	return tokenEncoding.EncodeToString(t.raw[:])
}

// Secret returns the token's bytes, to derive keys from.
func (t Token) Secret() []byte {
	if t.IsZero() {
		return nil
	}
	return t.raw[:]
}

// Format prints "[redacted]" for every verb, so that no log and no error can carry a token.
func (t Token) Format(f fmt.State, _ rune) { io.WriteString(f, redacted) }

// MarshalText keeps tokens out of JSON and the like.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"

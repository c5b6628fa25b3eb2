package authsvc

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"authsvc/session"
)

const (
	// attemptLife is how long a person has to sign in at the provider.
	attemptLife = 10 * time.Minute
	// maxRestarts is how often a login that could not be finished begins again by itself.
	maxRestarts = 2
	// maxState bounds the state parameter, in bytes: some providers and gateways cut longer URLs.
	maxState = 2000

	attemptFormat = 1
	attemptIDSize = 16
	sealAttempt   = "login attempt"
)

// errState says that a state parameter is none of ours, or of another site.
var errState = errors.New("state is not readable")

// attempt is a login under way. It lives in the state parameter alone, sealed, so that any number of them
// costs nothing, and is bound to the browser by the login cookie that all attempts of a browser share.
type attempt struct {
	Expires  time.Time
	Restarts int
	ReturnTo string
	// Former is the session that the browser had when the attempt began; zero if none. The new
	// session replaces it.
	Former session.ID
	// Browser is the ID of the login cookie that the attempt is bound to.
	Browser session.ID
	// Began is the replica that began the attempt, and its store; zero if it was not known. Site is the mark of its public URL.
	Began sighting
	Site  [8]byte
	// demand is what the login has to be. insist says that it asks for a fresh one, since the one before was not enough.
	demand demand
	insist bool

	state string
}

// sealedAttempt is an attempt in CBOR, behind a byte with its format.
type sealedAttempt struct {
	Expires  int64  `cbor:"1,keyasint"` // Unix seconds
	Restarts int    `cbor:"2,keyasint,omitempty"`
	ReturnTo []byte `cbor:"3,keyasint"` // addresses need not be UTF-8
	Former   []byte `cbor:"4,keyasint,omitempty"`
	Browser  []byte `cbor:"5,keyasint"`
	// Absent in earlier releases, which ignore them.
	Began sighting `cbor:"6,keyasint,omitzero"`
	Site  [8]byte  `cbor:"7,keyasint,omitzero"`
	// The rule that asked asks again where an earlier release has not looked.
	ACR    []string `cbor:"8,keyasint,omitempty"`
	MaxAge int64    `cbor:"9,keyasint,omitempty"` // seconds
	Insist bool     `cbor:"10,keyasint,omitempty"`
}

// seal makes the state parameter: a random attempt ID and the sealed attempt, in base64url. An address that does
// not fit is shortened; seal reports whether it was.
func (a attempt) seal(keyring *session.Keyring, site string) (state string, shortened bool) {
	id := make([]byte, attemptIDSize)
	rand.Read(id)
	for {
		plain := sealedAttempt{
			Expires: a.Expires.Unix(), Restarts: a.Restarts, ReturnTo: []byte(a.ReturnTo), Browser: a.Browser[:], Began: a.Began, Site: a.Site,
			ACR: a.demand.ACR, MaxAge: int64(a.demand.MaxAge / time.Second), Insist: a.insist,
		}
		if !a.Former.IsZero() {
			plain.Former = a.Former[:]
		}
		encoded, err := cbor.Marshal(plain)
		if err != nil {
			panic(err) // a struct of numbers, bytes and text always has an encoding
		}
		sealed := keyring.Seal(sealAttempt, id, []byte(site), append([]byte{attemptFormat}, encoded...))
		state = base64.RawURLEncoding.EncodeToString(append(bytes.Clone(id), sealed...))
		if len(state) < maxState {
			return state, shortened
		}
		short, ok := shorten(a.ReturnTo)
		if !ok {
			short = "/" // a host name alone never gets this long
		}
		a.ReturnTo, shortened = short, true
	}
}

// openAttempt reads a state parameter. Errors: errState, or session.ErrLaterFormat, which means that another
// replica may know.
func openAttempt(keyring *session.Keyring, site, state string) (attempt, error) {
	if len(state) > maxState {
		return attempt{}, errState
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(state)
	if err != nil || len(raw) <= attemptIDSize || strings.ContainsAny(state, "\r\n") { // the decoder passes over line ends
		return attempt{}, errState
	}
	plain, err := keyring.Open(sealAttempt, raw[:attemptIDSize], []byte(site), raw[attemptIDSize:])
	if err != nil || len(plain) == 0 {
		return attempt{}, errState
	}
	if plain[0] > attemptFormat {
		return attempt{}, session.ErrLaterFormat
	}
	var sealed sealedAttempt
	if err := cbor.Unmarshal(plain[1:], &sealed); err != nil {
		return attempt{}, fmt.Errorf("%w: %w", errState, err)
	}
	a := attempt{Expires: time.Unix(sealed.Expires, 0), Restarts: sealed.Restarts, ReturnTo: string(sealed.ReturnTo), Began: sealed.Began, Site: sealed.Site, state: state}
	a.demand, a.insist = demand{sealed.ACR, time.Duration(sealed.MaxAge) * time.Second}, sealed.Insist
	copy(a.Former[:], sealed.Former)
	copy(a.Browser[:], sealed.Browser)
	return a, nil
}

// attemptSecrets returns the attempt's nonce (OpenID Connect Core 1.0, section 15.5.2) and PKCE verifier (RFC 7636, section
// 4.1), 43 characters of base64url each. They are derived from the login cookie and the state, so that nobody who
// sees the state alone can know them and nobody has to store them.
func attemptSecrets(keyring *session.Keyring, login session.Token, state string) (nonce, verifier string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil || len(raw) <= attemptIDSize {
		return "", "", errState
	}
	context := append(login.Secret(), raw[:attemptIDSize]...)
	secrets, err := keyring.Derive(sealAttempt, context, raw[attemptIDSize:], 64)
	if err != nil {
		return "", "", fmt.Errorf("%w: %w", errState, err)
	}
	return base64.RawURLEncoding.EncodeToString(secrets[:32]), base64.RawURLEncoding.EncodeToString(secrets[32:]), nil
}

// hashOf names a slot after secrets, each preceded by its length.
func hashOf(parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:", len(part))
		h.Write(part)
	}
	return [32]byte(h.Sum(nil))
}

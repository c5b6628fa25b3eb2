package authsvc

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"reflect"

	"authsvc/session"
)

// What replicas must or should have in common; the words of the shared tag of [Config].
const (
	sharedMust   = "must"
	sharedReport = "report"
	sharedStore  = "store" // where the store is, in words that may differ; its own ID tells whether it is the same
	sharedOwn    = "own"
)

// Drift of these is told by other means than a fingerprint of the setting itself.
const (
	driftKeys    = "cookie.secret" // a ring that has no key in common with another, or lacks one that signed what still lives
	driftStore   = "store"         // another Redis, database or prefix
	driftRecords = "record_format" // a release that cannot read what another one writes
)

// fingerprintSize is the length of a fingerprint in bytes.
const fingerprintSize = 8

// fingerprints are what replicas compare instead of their settings, which nobody can read from them.
type fingerprints struct {
	// Keys are the fingerprints of the ring's keys, in its order, whichever of them signs.
	Keys []string
	// Settings has every shared setting that is no secret: an HMAC-SHA256 under the store's salt. It hides them from who sees the
	// roster alone; whoever has all of the store has the salt, and could confirm a guess of what is no secret.
	Settings map[string][]byte
	// Secrets has every shared secret, once under each key of the ring, in the order of Keys: they may be as weak as a word, and
	// no salt that is kept in the store, nor a shorter fingerprint, would stop somebody with a dump from trying words. Who has
	// the key has the secrets anyway. Replicas without a key in common cannot compare them, and need not: they drift already.
	Secrets map[string][][]byte
}

// fingerprint makes the fingerprints of a configuration.
func fingerprint(c *Config, keyring *session.Keyring, salt []byte) fingerprints {
	keyring = keyring.SignWith(0) // so that names are in the order of the keys
	f := fingerprints{Keys: keyPrints(keyring), Settings: map[string][]byte{}, Secrets: map[string][][]byte{}}
	config := reflect.ValueOf(c).Elem()
	for _, k := range keys {
		switch {
		case k.Path == driftKeys || !k.isShared():
		case k.kind == secretType:
			for _, name := range keyring.Names("shared secret", k.Path, k.value(config).String()) {
				f.Secrets[k.Path] = append(f.Secrets[k.Path], name[:fingerprintSize])
			}
		default:
			mac := hmac.New(sha256.New, salt)
			fmt.Fprintf(mac, "%d:%s", len(k.Path), k.Path)
			mac.Write(canonical(k.value(config)))
			f.Settings[k.Path] = mac.Sum(nil)[:fingerprintSize]
		}
	}
	return f
}

// keyPrints returns the fingerprints of a ring's keys.
func keyPrints(keyring *session.Keyring) (prints []string) {
	for _, print := range keyring.Fingerprints() {
		prints = append(prints, print.String())
	}
	return prints
}

// isShared reports whether replicas compare the setting. What has no effect in this version has no fingerprint either.
func (k Key) isShared() bool {
	return (k.shared == sharedMust || k.shared == sharedReport) && !k.Later
}

// canonical writes a setting so that the same one is the same text, however the file said it. One that is empty is the same as one
// that is not set.
func canonical(value reflect.Value) []byte {
	if kind := value.Kind(); (kind == reflect.Slice || kind == reflect.Map) && value.Len() == 0 {
		return nil
	}
	text, err := json.Marshal(value.Interface())
	if err != nil {
		panic(fmt.Sprintf("authsvc: a setting of type %s has no text: %v", value.Type(), err)) // keys are of a few plain types
	}
	return text
}

// mustAgree reports whether a newcomer that differs in a setting is held back.
func mustAgree(setting string) bool {
	if setting == driftRecords {
		return true
	}
	for _, k := range keys {
		if k.Path == setting {
			return k.shared == sharedMust
		}
	}
	return false
}

// driftSettings are the settings in which replicas can be found to differ, in the order of the file, and the store and the record format.
func driftSettings() []string {
	settings := []string{driftStore, driftRecords}
	for _, k := range keys {
		if k.isShared() {
			settings = append(settings, k.Path)
		}
	}
	return settings
}

package authsvc

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

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
	driftSites   = "sites"         // which sites there are
	driftAtSites = "sites[*]"      // whatever else may differ at sites, without harm
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
	setting := func(path string, value []byte) {
		mac := hmac.New(sha256.New, salt)
		fmt.Fprintf(mac, "%d:%s", len(path), path)
		mac.Write(value)
		f.Settings[path] = mac.Sum(nil)[:fingerprintSize]
	}
	secret := func(path, value string) {
		for _, name := range keyring.Names("shared secret", path, value) {
			f.Secrets[path] = append(f.Secrets[path], name[:fingerprintSize])
		}
	}
	for _, k := range keys {
		switch {
		case k.Path == driftKeys || k.kind == sitesType || !k.isShared():
		case k.kind == secretType:
			secret(k.Path, c.secretText(k))
		default:
			setting(k.Path, c.text(k))
		}
	}
	// Of a site each setting that must agree has its own, and all others have one together: an entry of the roster is small.
	var rest bytes.Buffer
	var secrets strings.Builder
	for _, site := range c.Sites {
		at := siteSetting(site.Config)
		for _, k := range keys {
			switch {
			case k.service || !k.isShared():
			case k.shared == sharedMust:
				setting(at+k.Path, site.text(k))
			case k.kind == secretType:
				fmt.Fprintf(&secrets, "%q", site.secretText(k))
			default:
				fmt.Fprintf(&rest, "%s%s=%q", at, k.Path, site.text(k))
			}
		}
	}
	var names []string
	for _, site := range c.Sites {
		names = append(names, site.siteName())
	}
	slices.Sort(names)
	setting(driftSites, fmt.Append(nil, names))
	if len(names) > 0 {
		setting(driftAtSites, rest.Bytes())
		secret(driftAtSites, secrets.String())
	}
	return f
}

// siteSetting begins the names of a site's settings. Its first host tells which site, whatever its place on the list.
func siteSetting(site *Config) string { return "sites[" + slices.Min(append(site.Hosts, "~")) + "]." }

// isOfSite reports whether a setting is one of a site that all must agree about.
func isOfSite(setting string) bool { return strings.HasPrefix(setting, "sites[") }

// text writes a setting of a site. With several providers the keys of oidc are theirs, in the order of their names.
func (c *Config) text(k Key) []byte {
	if len(c.Providers) == 0 || !within(k.Path, "oidc") || k.Path == "oidc.groups_claim" {
		return canonical(k.value(reflect.ValueOf(c).Elem()))
	}
	return []byte(c.ofProviders(k, func(value reflect.Value) string { return string(canonical(value)) }))
}

// secretText is text for a secret. Nobody but the ring's keys may see it.
func (c *Config) secretText(k Key) string {
	if len(c.Providers) == 0 || !within(k.Path, "oidc") {
		return k.value(reflect.ValueOf(c).Elem()).String()
	}
	return c.ofProviders(k, reflect.Value.String)
}

func (c *Config) ofProviders(k Key, text func(reflect.Value) string) string {
	list := slices.Clone(c.Providers)
	slices.SortFunc(list, func(a, b Provider) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, p := range list {
		one := Config{OIDC: p.OIDC}
		fmt.Fprintf(&b, "%s:%q", p.Name, text(k.value(reflect.ValueOf(&one).Elem())))
	}
	return b.String()
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
	if _, ofSite, found := strings.Cut(setting, "]."); found {
		setting = ofSite
	}
	for _, k := range keys {
		if k.Path == setting {
			return k.shared == sharedMust
		}
	}
	return false
}

// driftSettings are the settings in which a replica can be found to differ from others, in the order of the file and those of its sites last, and the
// store and the record format.
func driftSettings(r replica) []string {
	settings := []string{driftStore, driftRecords}
	for _, k := range keys {
		if k.isShared() {
			settings = append(settings, k.Path)
		}
	}
	for _, setting := range slices.Sorted(maps.Keys(r.Settings)) {
		if isOfSite(setting) {
			settings = append(settings, setting)
		}
	}
	return settings
}

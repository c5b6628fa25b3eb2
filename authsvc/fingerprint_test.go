package authsvc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// TestEveryKeyIsDecided: whether replicas must have a key in common is decided for every one of them.
func TestEveryKeyIsDecided(t *testing.T) {
	var must []string
	for _, k := range keys {
		switch k.shared {
		case sharedMust:
			must = append(must, k.Path)
		case sharedReport, sharedStore, sharedOwn:
		default:
			t.Errorf("%s: its shared tag is %q; decide whether replicas must agree (must), should (report), or each have their own (own)", k.Path, k.shared)
		}
		if k.shared == sharedMust && k.Later {
			t.Errorf("%s must be the same everywhere, and has no effect", k.Path)
		}
	}
	want := []string{"public_url", "oidc.issuer", "oidc.client_id", "cookie.secret", "cookie.name", "cookie.domain"}
	if !slices.Equal(must, want) {
		t.Errorf("all must agree about %v, want %v", must, want)
	}
}

// entryOf makes the entry of a replica with this configuration.
func entryOf(t *testing.T, id string, c *Config) replica {
	t.Helper()
	ring, err := session.NewKeyring(c.CookieKeys())
	if err != nil {
		t.Fatal(err)
	}
	store := [16]byte{1}
	prints := fingerprint(c, ring, []byte("salt"))
	return replica{ID: id, announcement: announcement{
		Version: "test", Ready: true, Generation: c.ConfigGeneration, Store: store,
		Keys: prints.Keys, Settings: prints.Settings, Secrets: prints.Secrets,
	}}
}

func configOfReplica() *Config {
	c := DefaultConfig()
	c.PublicURL, c.OIDC.Issuer, c.OIDC.ClientID, c.OIDC.ClientSecret = "https://app.example.com", "https://id.example.com", "app", "hush"
	c.Cookie.Secret = []Secret{cookieSecret(1)}
	c.Complete()
	return c
}

// change gives a key another value, whatever its type.
func change(t *testing.T, k Key, c *Config) {
	t.Helper()
	value := k.value(reflect.ValueOf(c).Elem())
	switch k.kind.Kind() {
	case reflect.String:
		value.SetString(value.String() + "x")
	case reflect.Bool:
		value.SetBool(!value.Bool())
	case reflect.Int, reflect.Int64:
		value.SetInt(value.Int() + 1)
	case reflect.Map:
		entry := reflect.New(k.kind.Elem()).Elem()
		if entry.Kind() == reflect.String {
			entry.SetString("value")
		} else {
			entry.Set(reflect.ValueOf(Header{Claim: "claim"}))
		}
		value.Set(reflect.MakeMap(k.kind))
		value.SetMapIndex(reflect.ValueOf("X-New"), entry)
	case reflect.Slice:
		switch k.Path {
		case driftSites:
			c.Sites = []SiteConfig{{configOfReplica()}}
			return
		case "providers":
			c.Providers[0].Title += "x"
			return
		case driftKeys:
			value.Set(reflect.ValueOf([]Secret{cookieSecret(9)}))
			return
		}
		value.Set(reflect.MakeSlice(k.kind, 3, 3))
	default:
		value.Set(reflect.ValueOf(time.Now()))
	}
}

// TestEverySettingIsCompared changes one key after the other: what is shared is found to differ, by its name and alone; the rest is not.
func TestEverySettingIsCompared(t *testing.T) {
	first := entryOf(t, "first", configOfReplica())
	for _, k := range keys {
		c := configOfReplica()
		first := first
		if k.Path == "providers" {
			c.Providers = []Provider{{Name: "a", OIDC: c.OIDC}}
			first = entryOf(t, "first", c)
		}
		change(t, k, c)
		second := entryOf(t, "second", c)
		var want []string
		if k.isShared() {
			want = []string{k.Path}
		}
		for _, got := range [][]string{differences(first, second), differences(second, first)} {
			if !slices.Equal(got, want) {
				t.Errorf("%s changed: %v differ", k.Path, got)
			}
		}
		held := second.heldBackBy([]replica{first})
		if _, isHeld := held[k.Path]; isHeld != (k.shared == sharedMust) || len(held) > 1 {
			t.Errorf("%s changed: held back by %v", k.Path, held)
		}
	}
}

// TestSameSettingOtherwiseWritten: what means the same is the same.
func TestSameSettingOtherwiseWritten(t *testing.T) {
	key := bytes.Repeat([]byte{0xfb}, session.MasterKeySize)
	load := func(environ ...string) replica {
		t.Helper()
		base := []string{"AUTHSVC_PUBLIC_URL=https://app.example.com", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=app",
			"AUTHSVC_OIDC_CLIENT_SECRET=hush", "AUTHSVC_COOKIE_SECRET=" + base64.StdEncoding.EncodeToString(key)}
		c, err := Load("", append(base, environ...))
		if err != nil {
			t.Fatal(err)
		}
		return entryOf(t, strings.Join(environ, " "), c)
	}
	plain := load()
	for _, environ := range []string{
		"AUTHSVC_COOKIE_SECRET=" + base64.RawURLEncoding.EncodeToString(key),
		"AUTHSVC_PUBLIC_URL=https://app.example.com/",
		"AUTHSVC_COOKIE_NAME=__Host-authsvc",
		"AUTHSVC_SESSION_IDLE_TIMEOUT=1800s",
		"AUTHSVC_OIDC_CLIENT_AUTH=basic",
		"AUTHSVC_OIDC_AUTH_PARAMS={}",
		"AUTHSVC_HEADERS={\"x-auth-request-user\":\"sub\"}",
		"AUTHSVC_LISTEN=127.0.0.1:9",
		"AUTHSVC_STORE_URL=redis://elsewhere", // its ID tells
	} {
		if got := differences(plain, load(environ)); len(got) > 0 {
			t.Errorf("%s: %v differ", environ, got)
		}
	}
}

// TestKeyRings: rings agree when they have a key in common, in whatever place, and secrets are compared under it.
func TestKeyRings(t *testing.T) {
	entry := func(secret Secret, keys ...byte) replica {
		c := configOfReplica()
		c.OIDC.ClientSecret, c.Cookie.Secret = secret, nil
		for _, n := range keys {
			c.Cookie.Secret = append(c.Cookie.Secret, cookieSecret(n))
		}
		return entryOf(t, fmt.Sprint(keys), c)
	}
	for _, test := range []struct {
		a, b replica
		want []string
	}{
		{entry("hush", 1), entry("hush", 2, 1), nil},
		{entry("hush", 3, 2, 1), entry("hush", 1, 4), nil},
		{entry("hush", 1), entry("other", 2, 1), []string{"oidc.client_secret"}},
		{entry("hush", 1, 2), entry("hush", 3, 4), []string{"cookie.secret"}},
		{entry("hush", 1), entry("other", 2), []string{"cookie.secret"}},
	} {
		if got := differences(test.a, test.b); !slices.Equal(got, test.want) {
			t.Errorf("%s and %s: %v differ, want %v", test.a.ID, test.b.ID, got, test.want)
		}
	}
}

// TestOtherReleases: what a replica of another release says about settings that this one does not know, or leaves out, is no drift.
func TestOtherReleases(t *testing.T) {
	one, other := entryOf(t, "one", configOfReplica()), entryOf(t, "other", configOfReplica())
	other.Settings["session.of_tomorrow"], other.Secrets["secret.of_tomorrow"] = []byte("print"), [][]byte{[]byte("print")}
	delete(one.Settings, "session.cache_ttl")
	delete(one.Secrets, "admin_token")
	if got := append(differences(one, other), differences(other, one)...); len(got) > 0 {
		t.Errorf("%v differ", got)
	}
	other.Secrets["admin_token"] = nil // fewer than it has keys
	other.Store = [16]byte{2}          // and so another salt
	other.Settings["public_url"] = []byte("print")
	if got := append(differences(one, other), differences(other, one)...); len(got) > 0 {
		t.Errorf("%v differ", got)
	}
}

// TestEntryHidesSecrets: nothing that a replica says can be confirmed without the key, nor read.
func TestEntryHidesSecrets(t *testing.T) {
	c, same, otherKey := configOfReplica(), configOfReplica(), configOfReplica()
	otherKey.Cookie.Secret = []Secret{cookieSecret(2)}
	value := entryOf(t, "one", c).encode()
	for _, text := range []string{"hush", "example.com", c.Cookie.Secret[0].Reveal(), string(c.CookieKeys()[0])} {
		if bytes.Contains(value, []byte(text)) {
			t.Errorf("an entry holds %q", text)
		}
	}
	print := func(c *Config) [][]byte { return entryOf(t, "", c).Secrets["oidc.client_secret"] }
	if !reflect.DeepEqual(print(c), print(same)) || reflect.DeepEqual(print(c), print(otherKey)) {
		t.Error("the fingerprint of a secret does not depend on the key")
	}
	if len(value) > 2048 {
		t.Errorf("an entry has %d bytes", len(value))
	}
	t.Logf("an entry has %d bytes", len(value))
}

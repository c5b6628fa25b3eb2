package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// ring makes a key ring of keys that are filled with the given bytes.
func ring(t testing.TB, fill ...byte) *Keyring {
	t.Helper()
	var secrets [][]byte
	for _, b := range fill {
		secrets = append(secrets, bytes.Repeat([]byte{b}, MasterKeySize))
	}
	k, err := NewKeyring(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestTokenIsParsedForItsPurposeAndSiteOnly(t *testing.T) {
	k := ring(t, 1)
	token := k.NewToken(PurposeSession, "main")
	for _, tt := range []struct {
		name    string
		ring    *Keyring
		purpose Purpose
		site    string
		valid   bool
	}{
		{"the same", k, PurposeSession, "main", true},
		{"an older key of the ring", ring(t, 2, 1), PurposeSession, "main", true},
		{"another purpose", k, PurposeLogin, "main", false},
		{"another site", k, PurposeSession, "other", false},
		{"no site", k, PurposeSession, "", false},
		{"purpose and site with another border", k, PurposeSession + "m", "ain", false},
		{"another key", ring(t, 2), PurposeSession, "main", false},
	} {
		got, err := tt.ring.ParseToken(tt.purpose, tt.site, token.Reveal())
		if tt.valid && (err != nil || got != token || got.ID() != token.ID()) {
			t.Errorf("%s: %v, want the token", tt.name, err)
		}
		if !tt.valid && (!errors.Is(err, ErrTokenInvalid) || !got.IsZero()) {
			t.Errorf("%s: %v, want ErrTokenInvalid", tt.name, err)
		}
	}
}

func TestTokenIsRefusedWhenAnyBitIsChanged(t *testing.T) {
	k := ring(t, 1, 2)
	text := k.NewToken(PurposeSession, "main").Reveal()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		for bit := range 8 {
			changed := bytes.Clone(raw)
			changed[i] ^= 1 << bit
			got, err := k.ParseToken(PurposeSession, "main", base64.RawURLEncoding.EncodeToString(changed))
			if !errors.Is(err, ErrTokenInvalid) || !got.IsZero() {
				t.Fatalf("bit %d of byte %d changed: %v, want ErrTokenInvalid", bit, i, err)
			}
		}
	}
	for n := range len(text) {
		if _, err := k.ParseToken(PurposeSession, "main", text[:n]); !errors.Is(err, ErrTokenInvalid) {
			t.Fatalf("cut to %d characters: %v, want ErrTokenInvalid", n, err)
		}
	}
}

func TestTokenHasOneSpelling(t *testing.T) {
	k := ring(t, 1)
	text := k.NewToken(PurposeSession, "main").Reveal()
	for i := range text {
		for c := range 256 {
			if byte(c) == text[i] {
				continue
			}
			other := text[:i] + string([]byte{byte(c)}) + text[i+1:]
			if _, err := k.ParseToken(PurposeSession, "main", other); !errors.Is(err, ErrTokenInvalid) {
				t.Fatalf("character %d may also be %q: %v", i, byte(c), err)
			}
		}
	}
	for _, other := range []string{
		" " + text, text + " ", text + "=", text + "==", text + "\n", "\r\n" + text, text[:20] + "\n" + text[20:], text + "A", text + text,
		strings.ToUpper(text), strings.Repeat("A", maxTokenText+1), "",
	} {
		if _, err := k.ParseToken(PurposeSession, "main", other); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("%q: %v, want ErrTokenInvalid", other, err)
		}
	}
}

// later returns a token in a format of a later release, signed or not.
func later(k *Keyring, format byte, size int, genuine bool) string {
	raw := append([]byte{format}, k.keys[0].name[:]...)
	raw = append(raw, make([]byte, size)...)
	mac := k.keys[0].tokenMAC(PurposeSession, "main", raw)
	if !genuine {
		mac[0]++
	}
	return base64.RawURLEncoding.EncodeToString(append(raw, mac[:]...))
}

func TestTokenOfALaterRelease(t *testing.T) {
	k := ring(t, 1)
	for _, size := range []int{0, 1, tokenSecretSize, 64} {
		for _, format := range []byte{2, 3, 255} {
			if _, err := k.ParseToken(PurposeSession, "main", later(k, format, size, true)); !errors.Is(err, ErrLaterFormat) || errors.Is(err, ErrTokenInvalid) {
				t.Errorf("format %d with %d bytes: %v, want ErrLaterFormat", format, size, err)
			}
			if _, err := k.ParseToken(PurposeSession, "main", later(k, format, size, false)); !errors.Is(err, ErrTokenInvalid) || errors.Is(err, ErrLaterFormat) {
				t.Errorf("format %d with %d bytes, forged: %v, want ErrTokenInvalid", format, size, err)
			}
		}
		if _, err := k.ParseToken(PurposeSession, "main", later(k, 0, size, true)); !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("format 0: %v, want ErrTokenInvalid", err)
		}
		if _, err := k.ParseToken(PurposeSession, "main", later(k, 1, size, true)); size != tokenSecretSize && !errors.Is(err, ErrTokenInvalid) {
			t.Errorf("our format with %d bytes: %v, want ErrTokenInvalid", size, err)
		}
	}
}

func TestTokensAreAllDifferent(t *testing.T) {
	k := ring(t, 1)
	seen := map[ID]bool{}
	for range 1000 {
		token := k.NewToken(PurposeSession, "main")
		if seen[token.ID()] || token.IsZero() || token.ID().IsZero() {
			t.Fatal("a token came twice, or is none")
		}
		seen[token.ID()] = true
	}
	var none Token
	if !none.IsZero() || none.Reveal() != "" {
		t.Error("the zero Token is one")
	}
}

func TestIDHasOneSpelling(t *testing.T) {
	var id ID
	rand.Read(id[:])
	text := id.String()
	if got, err := ParseID(text); err != nil || got != id {
		t.Errorf("%v, want the ID", err)
	}
	for _, wrong := range []string{"", strings.Repeat("A", 42) + "\n", "\r\n" + strings.Repeat("A", 41), text[:42], text + "A", text[:42] + "=", text[:42] + "\n", strings.Repeat("+", 43), strings.Repeat("/", 43), " " + text[1:]} {
		if got, err := ParseID(wrong); err == nil || !got.IsZero() {
			t.Errorf("%q was taken", wrong)
		}
	}
	// The last character has two bits that no byte needs.
	for c := range 256 {
		other := text[:42] + string([]byte{byte(c)})
		if got, err := ParseID(other); err == nil && got.String() != other {
			t.Errorf("%q was taken for %q", other, got)
		}
	}
}

// whole is what holds secrets, as a careless log line would print it.
func TestSecretsPrintRedacted(t *testing.T) {
	token := ring(t, 1).NewToken(PurposeSession, "main")
	tokens := Tokens{AccessToken: "secret-access", RefreshToken: "secret-refresh", IDToken: "secret-id"}
	secrets := []string{
		token.Reveal(), string(token.Secret()), fmt.Sprintf("%x", token.Secret()), fmt.Sprintf("%q", token.Secret()),
		"secret-", fmt.Sprintf("%x", "secret-"),
	}
	type line struct {
		Token   Token
		Pointer *Token
		Tokens  Tokens
		List    []Tokens
		Map     map[string]Token
	}
	whole := line{token, &token, tokens, []Tokens{tokens}, map[string]Token{"cookie": token}}
	for _, value := range []any{token, &token, tokens, &tokens, whole, &whole, []any{token, tokens}, map[Token]Tokens{token: tokens}} {
		printed := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %[1]v", "%100v", "%.3s", "%c"} {
			printed = append(printed, fmt.Sprintf(verb, value))
		}
		printed = append(printed, fmt.Sprint(value), fmt.Errorf("login: %v", value).Error())
		text, err := json.Marshal(value)
		if err != nil {
			t.Errorf("%T: %v", value, err)
		}
		printed = append(printed, string(text))
		for _, p := range printed {
			for _, secret := range secrets {
				if strings.Contains(p, secret) {
					t.Errorf("%T prints a secret: %s", value, p)
				}
			}
		}
		if !strings.Contains(string(text), redacted) {
			t.Errorf("%T in JSON is %s", value, text)
		}
	}
}

// FuzzParseToken reads any cookie and any name of a record: what is taken has one spelling, and whoever reads an error gets nothing else.
func FuzzParseToken(f *testing.F) {
	k := ring(f, 1, 2)
	f.Add(k.NewToken(PurposeSession, "main").Reveal())
	f.Add(k.NewToken(PurposeLogin, "main").Reveal())
	f.Add(later(k, 2, 8, true))
	for _, seed := range []string{"", ID{1, 2, 3}.String(), "%s%n", "a\r\nFLUSHALL", strings.Repeat("A", 4000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, err := ParseID(text); err == nil && id.String() != text {
			t.Errorf("%q is another spelling of %q", text, id)
		}
		token, err := k.ParseToken(PurposeSession, "main", text)
		switch {
		case err == nil && token.Reveal() != text:
			t.Errorf("%q is another spelling of %q", text, token.Reveal())
		case err != nil && !token.IsZero():
			t.Error("an error with a token")
		case err != nil && !errors.Is(err, ErrTokenInvalid) && !errors.Is(err, ErrLaterFormat):
			t.Errorf("%v is neither of the errors", err)
		}
	})
}

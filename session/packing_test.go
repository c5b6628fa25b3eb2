package session

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// jws is a token as providers sign them, with a signature of 256 random bytes.
func jws(header, claims string) string {
	signature := make([]byte, 256)
	rand.Read(signature)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + encode(signature)
}

func TestTokensComeBackAsTheyWere(t *testing.T) {
	const header = `{"alg":"RS256","typ":"JWT","kid":"2c3b5d3e"}`
	claims := `{"iss":"https://id.example","sub":"248289761001","aud":"portal","exp":1900000000,"nonce":"` + rand.Text() + `"}`
	signed := jws(header, claims)
	identity := []byte("https://id.example 248289761001 jane@example.com")
	for name, token := range map[string]string{
		"signed": signed, "opaque": rand.Text(), "base64url": base64.RawURLEncoding.EncodeToString([]byte(rand.Text())), "one letter": "a", "two letters": "QQ",
		"without signature": signed[:strings.LastIndex(signed, ".")+1], "without header": signed[strings.Index(signed, "."):],
		"encrypted": signed + ".AAAA.BBBB", "too many parts": signed + ".AAAA.BBBB.CCCC", "points alone": "..", "one point": ".",
		"padding": signed + "=", "another alphabet": "a+b/c", "with a space": "a b", "with a line end": signed[:40] + "\n" + signed[40:], "line end": "AAAA\r\n",
		"another spelling of the same bytes": "QR", "another spelling in a part": "e30.e31.QQ", "an object alone": "e30", "objects of nothing": "e30.e30.QQ",
		"Google's": "1//0" + rand.Text() + "_-", "UTF-8": "Zoë", "an object that does not end": base64.RawURLEncoding.EncodeToString([]byte(`{"a":`)) + ".QQ.QQ",
		"long": jws(header, `{"groups":["`+strings.Repeat(rand.Text(), 500)+`"]}`),
	} {
		for _, want := range []Tokens{{AccessToken: token}, {RefreshToken: token, IDToken: signed}, {AccessToken: signed, RefreshToken: token, IDToken: token}} {
			plaintext, err := encodeTokens(want, identity)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := decodeTokens(plaintext, identity); err != nil || got != want {
				t.Errorf("%s: they came back as others, %v", name, err)
			}
			if len(plaintext) > len(want.AccessToken)+len(want.RefreshToken)+len(want.IDToken)+40 {
				t.Errorf("%s: it takes %d bytes", name, len(plaintext))
			}
		}
	}
}

// Length tells of nothing that is secret: signatures and opaque texts, each as often as it is there.
func TestSecretsAreNotCompressed(t *testing.T) {
	secret := strings.Repeat("secret ", 100)
	for name, tt := range map[string]struct {
		token string
		least int
	}{
		"opaque":    {secret, len(secret)},
		"base64url": {base64.RawURLEncoding.EncodeToString([]byte(secret)), len(secret)},
		"signature": {"e30.e30." + base64.RawURLEncoding.EncodeToString([]byte(secret)), len(secret)},
	} {
		plaintext, err := encodeTokens(Tokens{AccessToken: tt.token, RefreshToken: tt.token}, []byte(secret))
		if err != nil || len(plaintext) < 2*tt.least || bytes.Count(plaintext, []byte(secret)) != 2 {
			t.Errorf("%s: %d bytes are left of %d, %v", name, len(plaintext), 2*tt.least, err)
		}
	}
}

// What was not written so is refused, as is what would become more than was ever written.
func TestTokensThatAreNotWrittenSo(t *testing.T) {
	whole, err := encodeTokens(Tokens{AccessToken: jws(`{"alg":"RS256"}`, `{"sub":"jane"}`), IDToken: jws(`{"alg":"RS256"}`, `{"sub":"jane"}`)}, []byte("identity"))
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		if _, err := decodeTokens(whole[:n], []byte("identity")); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut to %d bytes of %d: %v", n, len(whole), err)
		}
	}
	text := []byte(`{"alg":"RS256"}`)
	deflated := tokenTexts.deflate(text, nil)
	signed := []any{int64(len(text)), []byte("claims"), []byte("signature")}
	for name, fields := range map[string]map[int]any{
		"no map of fields":        nil,
		"a number":                {1: 7},
		"a negative length":       {1: []any{int64(-1), []byte{}, []byte{}}, 4: deflated},
		"a length beyond":         {1: []any{int64(len(text) + 1), []byte{}, []byte{}}, 4: deflated},
		"the largest length":      {1: []any{uint64(1<<64 - 1), []byte{}, []byte{}}, 4: deflated},
		"text in a part":          {1: []any{"text", []byte{}}},
		"a list in a part":        {1: []any{[]any{}, []byte{}}},
		"no parts":                {1: []any{}},
		"one part":                {1: []any{int64(len(text))}, 4: deflated},
		"many parts":              {1: []any{[]byte{}, []byte{}, []byte{}, []byte{}, []byte{}, []byte{}}},
		"text without any":        {1: signed},
		"text of no token":        {1: "opaque!", 4: deflated},
		"text that is left":       {1: []any{int64(len(text) - 1), []byte{}}, 4: deflated},
		"text used twice":         {1: signed, 2: signed, 4: deflated},
		"text that is cut":        {1: signed, 4: deflated[:len(deflated)-1]},
		"something behind text":   {1: signed, 4: append(bytes.Clone(deflated), 0)},
		"text of another context": {1: signed, 4: tokenTexts.deflate([]byte(strings.Repeat("only here", 9)), []byte("only here"))},
		"garbage for text":        {1: signed, 4: []byte("garbage")},
		"a bomb":                  {1: signed, 4: tokenTexts.deflate(make([]byte, 100*maxTokens), nil)},
	} {
		plaintext, err := encoding.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if fields == nil {
			plaintext = []byte{0x40}
		}
		if got, err := decodeTokens(plaintext, nil); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %q, %v", name, fmt.Sprint(len(got.AccessToken)), err)
		}
	}
}

// FuzzDecodeTokens reads what may stand under the seal of tokens. What was taken is written, and reads as the same again.
func FuzzDecodeTokens(f *testing.F) {
	identity := []byte("https://id.example jane")
	for _, tokens := range []Tokens{
		{}, {AccessToken: "opaque!", RefreshToken: "AAAA"}, {IDToken: jws(`{"alg":"RS256"}`, `{"iss":"https://id.example","sub":"jane"}`)},
	} {
		plaintext, err := encodeTokens(tokens, identity)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plaintext, identity, tokens.IDToken)
	}
	f.Add([]byte{0xa2, 1, 0x82, 0x18, 0x40, 0x40, 4, 0x41, 0x03}, []byte{}, "e30.e30.")
	f.Fuzz(func(t *testing.T, plaintext, identity []byte, token string) {
		got, err := decodeTokens(plaintext, identity)
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
		packed, texts := packToken(token, nil)
		again, left, err := unpackToken(packed, texts)
		if err != nil || again != token || len(left) > 0 {
			t.Errorf("%q came back as %q, %v", token, again, err)
		}
		if len(got.AccessToken)+len(got.RefreshToken)+len(got.IDToken) > 2*(len(plaintext)+maxTokens) {
			t.Errorf("%d bytes became more than was ever written", len(plaintext))
		}
	})
}

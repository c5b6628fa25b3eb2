package session

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestIdentityComesBackAsItWas(t *testing.T) {
	for name, s := range map[string]Session{
		"nothing": {},
		"all": {
			Issuer: "https://id.example", Subject: "248289761001", ProviderSession: "sid", ACR: "urn:mace:incommon:iap:silver",
			AuthTime: time.Unix(1_311_280_969, 0), Created: time.UnixMilli(1_311_280_970_123),
			Claims: map[string]any{
				"string": "Jane Doe", "empty": "", "unicode": "Zoë 🦊", "yes": true, "no": false, "null": nil,
				"list": []any{"staff", "admins", int64(1), nil, []any{}},
				"object": map[string]any{
					"realm_access": map[string]any{"roles": []any{"user"}}, "": "empty name", "deep": map[string]any{"deeper": []any{map[string]any{"n": int64(-1)}}},
				},
				"zero": int64(0), "negative": int64(-1), "beyond 2^53": int64(1<<53 + 1), "largest": int64(math.MaxInt64), "smallest": int64(math.MinInt64),
				"float": 0.1, "whole float": 1.0, "large float": 1e300, "tiny float": 5e-324, "float beyond int64": 1e20,
			},
		},
		"UUIDs":        {Subject: "f47ac10b-58cc-4372-a567-0e02b2c3d479", ProviderSession: "00000000-0000-0000-0000-000000000000"},
		"almost UUIDs": {Subject: "F47AC10B-58CC-4372-A567-0E02B2C3D479", ProviderSession: "f47ac10b158cc-4372-a567-0e02b2c3d479"},
		"more of them": {Subject: "f47ac10b-58cc-4372-a567-0e02b2c3d47g", ProviderSession: "f47ac10b58cc4372a5670e02b2c3d479"},
		"names of claims": {Claims: map[string]any{
			"email": "jane@example.com", "email_verified": true, "realm_access.roles": []any{"staff"}, "\x01": "control", "\x00": "zero", "\x00email": "zero and more",
			"\x1f": "beyond", "\n": nil, "E-mail": "other case", "emai": 1.5,
		}},
		"auth_time of 1970": {AuthTime: time.Unix(1, 0), Created: time.UnixMilli(0)},
	} {
		plaintext, err := encodeIdentity(s, RecordFormat)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := decodeIdentity(plaintext, RecordFormat)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !got.AuthTime.Equal(s.AuthTime) || s.Created.UnixMilli() != got.Created.UnixMilli() {
			t.Errorf("%s: the times are %v and %v", name, got.AuthTime, got.Created)
		}
		if got.Issuer != s.Issuer || got.Subject != s.Subject || got.ProviderSession != s.ProviderSession || got.ACR != s.ACR {
			t.Errorf("%s: it came back as %+v", name, got)
		}
		if !reflect.DeepEqual(got.Claims, s.Claims) {
			t.Errorf("%s: the claims came back as %#v, want %#v", name, got.Claims, s.Claims)
		}
	}
}

// nested returns a value inside of n arrays and objects.
func nested(n int) any {
	var v any = "leaf"
	for i := range n {
		if i%2 == 0 {
			v = []any{v}
		} else {
			v = map[string]any{"v": v}
		}
	}
	return v
}

func TestWhatIsTooLarge(t *testing.T) {
	claims := func(v any) Session { return Session{Claims: map[string]any{"v": v}} }
	for name, s := range map[string]Session{
		"a long claim": claims(strings.Repeat("x", maxIdentity)), "many claims": claims(make([]any, maxIdentity)),
		"deep claims": claims(nested(maxNesting)),
	} {
		if _, err := encodeIdentity(s, RecordFormat); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", name, err)
		}
	}
	if _, err := encodeTokens(Tokens{AccessToken: strings.Repeat("x", maxTokens+1)}, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("tokens: %v, want ErrTooLarge", err)
	}

	// What is written can be read, up to the bounds.
	for name, s := range map[string]Session{
		"a long claim": claims(strings.Repeat("x", maxIdentity-100)), "deep claims": claims(nested(maxNesting - 1)),
	} {
		plaintext, err := encodeIdentity(s, RecordFormat)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := decodeIdentity(plaintext, RecordFormat); err != nil || !reflect.DeepEqual(got.Claims, s.Claims) {
			t.Errorf("%s: it cannot be read: %v", name, err)
		}
	}
}

func TestIdentitiesThatAreNotWrittenSo(t *testing.T) {
	for name, fields := range map[string]map[int]any{
		"a subject of 15 bytes":  {2: make([]byte, 15)},
		"a subject of a number":  {2: 7},
		"a sid of 17 bytes":      {2: "jane", 3: make([]byte, 17)},
		"a claim of no code":     {2: "jane", 7: map[string]any{"\x1f": 1}},
		"a claim of two codes":   {2: "jane", 7: map[string]any{"\x01\x02": 1}},
		"a claim twice":          {2: "jane", 7: map[string]any{"\x01": 1, "email": 2}},
		"an escaped claim twice": {2: "jane", 7: map[string]any{"\x00\x01": 1, "\x00\x00\x01": 2, "\x00": 3, "": 4}},
	} {
		plaintext, err := encoding.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeIdentity(plaintext, OldestRecordFormat); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v, want ErrCorrupt", name, err)
		}
	}
}

// Each code is one byte below those that names have.
func TestClaimCodes(t *testing.T) {
	if len(codeByClaim) != len(claimCodes) || len(claimCodes) >= firstPrintable {
		t.Errorf("%d codes for %d claims", len(codeByClaim), len(claimCodes))
	}
	for name, code := range codeByClaim {
		if len(code) != 1 || code[0] == 0 || code[0] >= firstPrintable || name[0] < firstPrintable {
			t.Errorf("%s is %q", name, code)
		}
	}
}

// A later release of the same format may add fields.
func TestFieldsOfALaterReleaseAreIgnored(t *testing.T) {
	plaintext, err := encoding.Marshal(map[int]any{1: "https://id.example", 2: "sub", 6: 7, 99: map[string]any{"new": true}})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := decodeIdentity(plaintext, OldestRecordFormat); err != nil || s.Subject != "sub" {
		t.Errorf("%+v, %v", s, err)
	}
	if plaintext, err = encoding.Marshal(map[int]any{1: "opaque!", 99: "new"}); err != nil {
		t.Fatal(err)
	}
	if tokens, err := decodeTokens(plaintext, nil); err != nil || tokens.AccessToken != "opaque!" {
		t.Errorf("%v", err)
	}
}

// The plaintext is not reached by anyone without the keys, so garbage in it must only not do harm.
func FuzzDecodeIdentity(f *testing.F) {
	plaintext, err := encodeIdentity(Session{Issuer: "i", Subject: "s", ProviderSession: "f47ac10b-58cc-4372-a567-0e02b2c3d479", Claims: map[string]any{"email": []any{int64(1), 2.5, nil, true}, "\x01": ""}}, RecordFormat)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plaintext)
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		if _, err := decodeIdentity(plaintext, RecordFormat); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%v, want ErrCorrupt", err)
		}
	})
}

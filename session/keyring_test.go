package session

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestKeyringRefusesWrongKeys(t *testing.T) {
	good := bytes.Repeat([]byte{1}, MasterKeySize)
	for name, secrets := range map[string][][]byte{
		"none": nil, "short": {good[:MasterKeySize-1]}, "long": {append(slices.Clone(good), 1)}, "empty": {{}}, "nil among good": {good, nil},
		"twice": {good, bytes.Repeat([]byte{2}, MasterKeySize), good},
	} {
		if _, err := NewKeyring(secrets); err == nil {
			t.Errorf("%s: it was taken", name)
		} else if bytes.Contains([]byte(err.Error()), good[:4]) {
			t.Errorf("%s: the error holds the key: %v", name, err)
		}
	}
}

func TestSealOpensWhereItBelongsOnly(t *testing.T) {
	k := ring(t, 1)
	context, associated, plaintext := []byte("context"), []byte("associated"), []byte("plaintext")
	sealed := k.Seal("purpose", context, associated, plaintext)
	for _, tt := range []struct {
		name                string
		ring                *Keyring
		purpose             string
		context, associated string
		opens               bool
	}{
		{"as it was sealed", k, "purpose", "context", "associated", true},
		{"with an older key", ring(t, 2, 1), "purpose", "context", "associated", true},
		{"with a later key", ring(t, 1, 2), "purpose", "context", "associated", true},
		{"with other keys", ring(t, 2, 3), "purpose", "context", "associated", false},
		{"for another purpose", k, "other", "context", "associated", false},
		{"for no purpose", k, "", "context", "associated", false},
		{"in another context", k, "purpose", "contexts", "associated", false},
		{"in no context", k, "purpose", "", "associated", false},
		{"with other associated data", k, "purpose", "context", "associate", false},
		{"with no associated data", k, "purpose", "context", "", false},
		{"with purpose and context exchanged", k, "context", "purpose", "associated", false},
	} {
		got, err := tt.ring.Open(tt.purpose, []byte(tt.context), []byte(tt.associated), sealed)
		if tt.opens && (err != nil || !bytes.Equal(got, plaintext)) {
			t.Errorf("%s: %q, %v", tt.name, got, err)
		}
		want := ErrSealed
		if tt.ring.find(keyName(sealed)) == nil {
			want = ErrUnknownKey
		}
		if !tt.opens && (!isOnly(err, want) || got != nil) {
			t.Errorf("%s: %q, %v, want %v", tt.name, got, err, want)
		}
	}
}

// isOnly reports whether err is want, of the two ways in which a sealed value is refused.
func isOnly(err, want error) bool {
	return errors.Is(err, ErrSealed) == (want == ErrSealed) && errors.Is(err, ErrUnknownKey) == (want == ErrUnknownKey)
}

func TestSealIsRefusedWhenAnyBitIsChanged(t *testing.T) {
	k := ring(t, 1, 2)
	for _, size := range []int{0, 1, 100} {
		sealed := k.Seal("purpose", []byte("context"), nil, make([]byte, size))
		for i := range sealed {
			for bit := range 8 {
				changed := bytes.Clone(sealed)
				changed[i] ^= 1 << bit
				want := ErrSealed
				if i < keyNameSize {
					want = ErrUnknownKey
				}
				if _, err := k.Open("purpose", []byte("context"), nil, changed); !isOnly(err, want) {
					t.Fatalf("bit %d of byte %d of %d changed: %v, want %v", bit, i, len(sealed), err, want)
				}
			}
			if _, err := k.Open("purpose", []byte("context"), nil, sealed[:i]); !errors.Is(err, ErrSealed) {
				t.Fatalf("cut to %d bytes of %d: %v, want ErrSealed", i, len(sealed), err)
			}
		}
		if _, err := k.Open("purpose", []byte("context"), nil, append(sealed, 0)); !errors.Is(err, ErrSealed) {
			t.Errorf("with a byte more: %v, want ErrSealed", err)
		}
	}
}

func TestSealsOfTheSameAreDifferent(t *testing.T) {
	k := ring(t, 1)
	one, two := k.Seal("purpose", nil, nil, []byte("plaintext")), k.Seal("purpose", nil, nil, []byte("plaintext"))
	if bytes.Equal(one, two) {
		t.Error("the same plaintext gives the same value")
	}
	if bytes.Contains(one, []byte("plaintext")) {
		t.Error("the plaintext shows")
	}
}

// The first key signs and seals, so that a new key can be added everywhere before any replica uses it.
func TestRotation(t *testing.T) {
	old, adding, using, done := ring(t, 1), ring(t, 1, 2), ring(t, 2, 1), ring(t, 2)
	for _, tt := range []struct {
		name       string
		from       *Keyring
		understood []*Keyring
		not        []*Keyring
	}{
		{"before", old, []*Keyring{old, adding, using}, []*Keyring{done}},
		{"while the new key is added", adding, []*Keyring{old, adding, using}, []*Keyring{done}},
		{"while the new key is used", using, []*Keyring{adding, using, done}, []*Keyring{old}},
		{"after", done, []*Keyring{adding, using, done}, []*Keyring{old}},
	} {
		token, sealed := tt.from.NewToken(PurposeSession, "main"), tt.from.Seal("purpose", []byte("context"), nil, []byte("plaintext"))
		derived, err := tt.from.Derive("purpose", []byte("context"), sealed, 32)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range tt.understood {
			if _, err := k.ParseToken(PurposeSession, "main", token.Reveal()); err != nil {
				t.Errorf("%s: a token: %v", tt.name, err)
			}
			if _, err := k.Open("purpose", []byte("context"), nil, sealed); err != nil {
				t.Errorf("%s: a sealed value: %v", tt.name, err)
			}
			if got, err := k.Derive("purpose", []byte("context"), sealed, 32); err != nil || !bytes.Equal(got, derived) {
				t.Errorf("%s: a derived value is another, %v", tt.name, err)
			}
		}
		for _, k := range tt.not {
			if _, err := k.ParseToken(PurposeSession, "main", token.Reveal()); !errors.Is(err, ErrTokenInvalid) {
				t.Errorf("%s: a token of a key that is gone: %v, want ErrTokenInvalid", tt.name, err)
			}
			if _, err := k.Open("purpose", []byte("context"), nil, sealed); !isOnly(err, ErrUnknownKey) {
				t.Errorf("%s: a value of a key that is gone: %v, want ErrUnknownKey", tt.name, err)
			}
			if _, err := k.Derive("purpose", []byte("context"), sealed, 32); !isOnly(err, ErrUnknownKey) {
				t.Errorf("%s: derived from a key that is gone: %v, want ErrUnknownKey", tt.name, err)
			}
		}
	}
}

func TestDerivedValuesAreDifferent(t *testing.T) {
	k := ring(t, 1, 2)
	sealed, other := k.Seal("purpose", nil, nil, nil), ring(t, 2).Seal("purpose", nil, nil, nil)
	seen := map[string]string{}
	for _, purpose := range []string{"", "nonce", "verifier"} {
		for _, context := range []string{"", "a", "b"} {
			for name, value := range map[string][]byte{"first key": sealed, "second key": other} {
				derived, err := k.Derive(purpose, []byte(context), value, 32)
				if err != nil || len(derived) != 32 {
					t.Fatalf("%d bytes, %v", len(derived), err)
				}
				where := purpose + " in " + context + " by " + name
				if before, found := seen[string(derived)]; found {
					t.Errorf("the same for %s and %s", before, where)
				}
				seen[string(derived)] = where
			}
		}
	}
	if long, err := k.Derive("nonce", nil, sealed, 8160); err != nil || len(long) != 8160 {
		t.Errorf("%d bytes, %v", len(long), err)
	}
	for _, short := range [][]byte{nil, {}, sealed[:keyNameSize-1]} {
		if _, err := k.Derive("nonce", nil, short, 32); !errors.Is(err, ErrSealed) {
			t.Errorf("from %d bytes: %v, want ErrSealed", len(short), err)
		}
	}
}

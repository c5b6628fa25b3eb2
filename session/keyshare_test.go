package session

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

func TestFingerprintsTellKeysApart(t *testing.T) {
	both := ring(t, 1, 2).Fingerprints()
	if !slices.Equal(both, []Fingerprint{ring(t, 1).Fingerprints()[0], ring(t, 2).Fingerprints()[0]}) {
		t.Error("a key's fingerprint depends on the others of its ring")
	}
	if both[0] == both[1] || both[0].String() == both[1].String() || both[0] == (Fingerprint{}) {
		t.Error("fingerprints do not tell keys apart")
	}
	if !slices.Equal(ring(t, 1, 2).SignWith(1).Fingerprints(), both) {
		t.Error("the order of the fingerprints depends on who signs")
	}
	if names := ring(t, 1).Names("kind"); Fingerprint(names[0]) == both[0] {
		t.Error("a fingerprint is a name")
	}
}

// A ring signs with the key that it was told, and verifies and opens what any of its keys signed.
func TestSignWith(t *testing.T) {
	plain := ring(t, 1, 2, 3)
	for position, fill := range []byte{1, 2, 3} {
		k := plain.SignWith(position)
		alone := ring(t, fill)
		if k.Signer() != position || plain.Signer() != 0 {
			t.Fatalf("key %d signs, and %d on the ring that it came from; want %d and 0", k.Signer(), plain.Signer(), position)
		}
		token := k.NewToken(PurposeSession, "main")
		sealed := k.Seal("purpose", []byte("context"), nil, []byte("plaintext"))
		for name, reader := range map[string]*Keyring{"the key alone": alone, "the plain ring": plain, "another signer": k.SignWith((position + 1) % 3)} {
			if parsed, err := reader.ParseToken(PurposeSession, "main", token.Reveal()); err != nil || parsed != token {
				t.Errorf("key %d signed; %s: %v", position, name, err)
			}
			if got, err := reader.Open("purpose", []byte("context"), nil, sealed); err != nil || !bytes.Equal(got, []byte("plaintext")) {
				t.Errorf("key %d sealed; %s: %v", position, name, err)
			}
			if reader.DeriveToken(PurposeLogin, "main", token) != k.DeriveToken(PurposeLogin, "main", token) {
				t.Errorf("%s derives another token", name)
			}
		}
		names := k.Names("user", "jane")
		if names[0] != alone.Names("user", "jane")[0] {
			t.Errorf("with key %d, names are not written under it", position)
		}
		slices.SortFunc(names, compareNames)
		all := plain.Names("user", "jane")
		slices.SortFunc(all, compareNames)
		if !slices.Equal(names, all) {
			t.Errorf("with key %d, names are not looked up under all keys", position)
		}
	}
}

func compareNames(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) }

func TestCommonKey(t *testing.T) {
	prints := func(fill ...byte) (list []Fingerprint) {
		for _, b := range fill {
			list = append(list, Fingerprint{b})
		}
		return list
	}
	for _, tt := range []struct {
		name   string
		mine   []Fingerprint
		others [][]Fingerprint
		want   int
		err    error
	}{
		{"nobody else", prints(1, 2), nil, 0, nil},
		{"all alike", prints(1, 2), [][]Fingerprint{prints(1, 2), prints(1, 2)}, 0, nil},
		{"a key added last here", prints(1, 2), [][]Fingerprint{prints(1), prints(1)}, 0, nil},
		{"a key made first here, and everybody has it", prints(2, 1), [][]Fingerprint{prints(1, 2), prints(1, 2)}, 0, nil},
		{"a key added first here, and one lacks it", prints(2, 1), [][]Fingerprint{prints(2, 1), prints(1)}, 1, nil},
		{"the old key is gone elsewhere", prints(2, 1), [][]Fingerprint{prints(2), prints(2, 1)}, 0, nil},
		{"made last before it goes", prints(1, 2), [][]Fingerprint{prints(2), prints(1, 2)}, 1, nil},
		{"nothing in common", prints(1, 2), [][]Fingerprint{prints(3)}, 0, ErrNoCommonKey},
		{"each has one, none has all", prints(1, 2), [][]Fingerprint{prints(1), prints(2)}, 0, ErrNoCommonKey},
		{"one that tells nothing", prints(1), [][]Fingerprint{nil}, 0, ErrNoCommonKey},
	} {
		got, err := CommonKey(tt.mine, tt.others...)
		if got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

package storetest

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

func newSlot(kind string) session.SlotName {
	return session.SlotName{Kind: kind, Hash: newID()}
}

// claims checks what a claim ends in.
func (f fixture) claims(t *testing.T, name session.SlotName, value string, ttl time.Duration, wantHolder string, wantClaimed bool) {
	t.Helper()
	holder, claimed, err := f.Store.Claim(t.Context(), name, []byte(value), ttl)
	if err != nil || claimed != wantClaimed || string(holder) != wantHolder {
		t.Errorf("Claim(%q) = %q, %t, %v; want %q, %t", value, holder, claimed, err, wantHolder, wantClaimed)
	}
}

// slotHolds checks what a slot holds; "" stands for nothing.
func (f fixture) slotHolds(t *testing.T, name session.SlotName, want string) {
	t.Helper()
	value, err := f.Store.ReadSlot(t.Context(), name)
	if want == "" && !is(err, session.ErrNotFound) {
		t.Errorf("ReadSlot = %q, %v; want ErrNotFound", value, err)
	}
	if want != "" && (err != nil || string(value) != want) {
		t.Errorf("ReadSlot = %q, %v; want %q", value, err, want)
	}
}

func (f fixture) replaces(t *testing.T, name session.SlotName, old, value string, ttl time.Duration, want bool) {
	t.Helper()
	replaced, err := f.Store.Replace(t.Context(), name, []byte(old), []byte(value), ttl)
	if err != nil || replaced != want {
		t.Errorf("Replace(%q, %q) = %t, %v; want %t", old, value, replaced, err, want)
	}
}

var slotTests = []subtest{
	{"the first claim takes a slot", func(t *testing.T, f fixture) {
		name := newSlot("claim")
		f.slotHolds(t, name, "")
		f.claims(t, name, "first", f.long, "first", true)
		f.claims(t, name, "second", f.long, "first", false)
		f.claims(t, name, "first", f.long, "first", false)
		f.slotHolds(t, name, "first")
	}},
	{"slots of other kinds and hashes are others", func(t *testing.T, f fixture) {
		name := newSlot("one")
		f.claims(t, name, "one", f.long, "one", true)
		f.claims(t, session.SlotName{Kind: "two", Hash: name.Hash}, "two", f.long, "two", true)
		f.claims(t, newSlot("one"), "three", f.long, "three", true)
		f.slotHolds(t, name, "one")
	}},
	{"a slot is free again after its life", func(t *testing.T, f fixture) {
		name := newSlot("claim")
		f.claims(t, name, "first", f.life, "first", true)
		f.outlive(t)
		f.slotHolds(t, name, "")
		f.replaces(t, name, "first", "second", f.long, false)
		f.claims(t, name, "second", f.long, "second", true)
	}},
	{"a claim that fails does not lengthen the holder's life", func(t *testing.T, f fixture) {
		name := newSlot("claim")
		f.claims(t, name, "first", f.life, "first", true)
		f.claims(t, name, "second", f.long, "first", false)
		f.outlive(t)
		f.slotHolds(t, name, "")
	}},
	{"a slot is replaced only by who knows what it holds", func(t *testing.T, f fixture) {
		name := newSlot("claim")
		f.replaces(t, name, "", "value", f.long, false)
		f.slotHolds(t, name, "")
		f.claims(t, name, "first", f.long, "first", true)
		for _, wrong := range []string{"", "f", "firs", "first ", "irst", "second"} {
			f.replaces(t, name, wrong, "second", f.long, false)
		}
		f.slotHolds(t, name, "first")
		f.replaces(t, name, "first", "second", f.long, true)
		f.replaces(t, name, "first", "third", f.long, false)
		f.slotHolds(t, name, "second")
	}},
	{"a replaced slot lives as long as was said", func(t *testing.T, f fixture) {
		longer, shorter := newSlot("longer"), newSlot("shorter")
		f.claims(t, longer, "first", f.life, "first", true)
		f.claims(t, shorter, "first", f.long, "first", true)
		f.replaces(t, longer, "first", "second", f.long, true)
		f.replaces(t, shorter, "first", "second", f.life, true)
		f.outlive(t)
		f.slotHolds(t, longer, "second")
		f.slotHolds(t, shorter, "")
	}},
	{"values are any bytes up to the bound", func(t *testing.T, f fixture) {
		for _, size := range []int{0, 1, session.MaxSlotValue} {
			name, value := newSlot("value"), sealed(size)
			holder, claimed, err := f.Store.Claim(t.Context(), name, value, f.long)
			if err != nil || !claimed || !bytes.Equal(holder, value) {
				t.Errorf("%d bytes: %t, %v", size, claimed, err)
			}
			if got, err := f.Store.ReadSlot(t.Context(), name); err != nil || !bytes.Equal(got, value) {
				t.Errorf("%d bytes: read %d, %v", size, len(got), err)
			}
			f.replaces(t, name, string(value), "other", f.long, true)
		}
		name, tooLarge := newSlot("value"), sealed(session.MaxSlotValue+1)
		if _, claimed, err := f.Store.Claim(t.Context(), name, tooLarge, f.long); !CannotTell(err) || claimed {
			t.Errorf("Claim took %d bytes: %t, %v", len(tooLarge), claimed, err)
		}
		f.claims(t, name, "small", f.long, "small", true)
		if replaced, err := f.Store.Replace(t.Context(), name, []byte("small"), tooLarge, f.long); !CannotTell(err) || replaced {
			t.Errorf("Replace took %d bytes: %t, %v", len(tooLarge), replaced, err)
		}
		f.slotHolds(t, name, "small")
	}},
	{"kinds are lower-case words other than those of records, lists and the roster", func(t *testing.T, f fixture) {
		for _, kind := range []string{"", "session", "tokens", "user", "sid", "replica", "user.details", "Browser", "a:b", "a{b", "a b", "a1", "word\n", strings.Repeat("x", 33)} {
			name := newSlot(kind)
			_, claimed, err := f.Store.Claim(t.Context(), name, nil, f.long)
			replaced, errReplace := f.Store.Replace(t.Context(), name, nil, nil, f.long)
			_, errRead := f.Store.ReadSlot(t.Context(), name)
			for _, err := range []error{err, errReplace, errRead} {
				if !CannotTell(err) || claimed || replaced {
					t.Errorf("kind %q: %v, want an error that is none of the sentinels", kind, err)
				}
			}
		}
		f.claims(t, newSlot(strings.Repeat("x", 32)), "value", f.long, "value", true)
	}},
	{"nothing is stored that has no life", func(t *testing.T, f fixture) {
		for _, ttl := range []time.Duration{0, -time.Second} {
			name := newSlot("claim")
			f.claims(t, name, "first", ttl, "first", true)
			f.slotHolds(t, name, "")
			f.claims(t, name, "first", f.long, "first", true)
			f.replaces(t, name, "first", "second", ttl, true)
			f.slotHolds(t, name, "")
		}
		f.empty(t)
	}},
}

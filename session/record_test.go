package session

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func sample() Record {
	return Record{
		ID: ID{1, 2, 3, 4, 5, 6, 7, 8, 9}, Version: 0x0102030405060708, Site: "main",
		Expires: time.UnixMilli(1_900_000_000_123), Details: []byte("sealed details"), Identity: []byte("sealed identity"), Tokens: []byte("sealed tokens"),
	}
}

func TestRecordComesBackAsItWas(t *testing.T) {
	for name, change := range map[string]func(*Record){
		"plain":            func(*Record) {},
		"first version":    func(r *Record) { r.Version = 1 },
		"last version":     func(r *Record) { r.Version = 1<<64 - 1 },
		"no site":          func(r *Record) { r.Site = "" },
		"longest site":     func(r *Record) { r.Site = strings.Repeat("\xff", 255) },
		"one sealed byte":  func(r *Record) { r.Identity = []byte{0} },
		"before 1970":      func(r *Record) { r.Expires = time.UnixMilli(-1) },
		"without tokens":   func(r *Record) { r.Tokens = nil },
		"without details":  func(r *Record) { r.Details = nil },
		"longest details":  func(r *Record) { r.Details = bytes.Repeat([]byte{0xff}, MaxDetails) },
		"largest identity": func(r *Record) { r.Identity = make([]byte, maxIdentity) },
	} {
		want := sample()
		change(&want)
		identity := want.Encode(PartIdentity)
		var tokens []byte
		if want.Tokens != nil {
			tokens = want.Encode(PartTokens)
		}
		got, err := DecodeRecord(want.ID, identity, tokens)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.ID != want.ID || got.Version != want.Version || got.Site != want.Site || !got.Expires.Equal(want.Expires) ||
			!bytes.Equal(got.Identity, want.Identity) || !bytes.Equal(got.Tokens, want.Tokens) || !bytes.Equal(got.Details, want.Details) || got.TTL != 0 {
			t.Errorf("%s: it came back as another", name)
		}
		if !bytes.Equal(got.Encode(PartIdentity), identity) || tokens != nil && !bytes.Equal(got.Encode(PartTokens), tokens) {
			t.Errorf("%s: it is written differently the second time", name)
		}
		if identity[0] != RecordFormat || got.Format != RecordFormat || !bytes.HasPrefix(identity[1:], AppendVersion(nil, want.Version)) ||
			1+len(AppendVersion(nil, 1)) != HeaderVersion {
			t.Errorf("%s: the value does not start with its format and version", name)
		}
	}
}

func TestRecordThatIsCutIsCorrupt(t *testing.T) {
	r := sample()
	identity, tokens := r.Encode(PartIdentity), r.Encode(PartTokens)
	shortest := headerSize + len(r.Site) // and at least one sealed byte
	details := shortest + detailsSize + len(r.Details)
	for n := range len(identity) {
		_, err := DecodeRecord(r.ID, identity[:n], nil)
		if n <= details && !errors.Is(err, ErrCorrupt) {
			t.Errorf("identity cut to %d bytes: %v, want ErrCorrupt", n, err)
		}
		if n > details && err != nil {
			t.Errorf("identity cut to %d bytes: %v, which the seal has to find", n, err)
		}
	}
	for n := range shortest {
		if _, err := DecodeRecord(r.ID, identity, tokens[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("tokens cut to %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
}

func TestRecordThatIsNotThisOne(t *testing.T) {
	r := sample()
	changed := func(change func(*Record)) Record {
		other := sample()
		change(&other)
		return other
	}
	set := func(value []byte, i int, b byte) []byte {
		value = bytes.Clone(value)
		value[i] = b
		return value
	}
	identity := r.Encode(PartIdentity)
	for _, tt := range []struct {
		name             string
		identity, tokens []byte
		want             error
	}{
		{"no value", nil, nil, ErrCorrupt},
		{"format 0", set(identity, 0, 0), nil, ErrCorrupt},
		{"a format before those that are read", set(identity, 0, OldestRecordFormat-1), nil, ErrCorrupt},
		{"details that are too long", changed(func(r *Record) { r.Details = make([]byte, MaxDetails+1) }).Encode(PartIdentity), nil, ErrCorrupt},
		{"version 0", changed(func(r *Record) { r.Version = 0 }).Encode(PartIdentity), nil, ErrCorrupt},
		{"later format", set(identity, 0, RecordFormat+1), nil, ErrLaterFormat},
		{"later format, cut behind the ID", set(identity, 0, 255)[:HeaderVersion+idCheckSize], nil, ErrLaterFormat},
		{"later format, cut within the ID", set(identity, 0, 255)[:HeaderVersion+idCheckSize-1], nil, ErrCorrupt},
		{"later format and nothing else", []byte{255}, nil, ErrCorrupt},
		{"later format of another session", set(changed(func(r *Record) { r.ID[0]++ }).Encode(PartIdentity), 0, RecordFormat+1), nil, ErrCorrupt},
		{"a word", []byte("hello"), nil, ErrCorrupt},
		{"JSON", []byte(`{"user":"jane","expires":1900000000,"roles":["staff"]}`), nil, ErrCorrupt},
		{"this format and garbage", append([]byte{RecordFormat}, strings.Repeat("garbage ", 10)...), nil, ErrForeign},
		{"this format and little garbage", append([]byte{RecordFormat}, "garbage of 20 bytes "...), nil, ErrCorrupt},
		{"another session's", changed(func(r *Record) { r.ID[0]++ }).Encode(PartIdentity), nil, ErrForeign},
		{"tokens of a later format", identity, set(r.Encode(PartTokens), 0, RecordFormat+1), ErrLaterFormat},
		{"tokens of a later format and another session", identity, set(changed(func(r *Record) { r.ID[7]++ }).Encode(PartTokens), 0, RecordFormat+1), ErrCorrupt},
		{"tokens of another session", identity, changed(func(r *Record) { r.ID[7]++ }).Encode(PartTokens), ErrForeign},
		{"tokens of another version", identity, changed(func(r *Record) { r.Version++ }).Encode(PartTokens), ErrCorrupt},
		{"tokens of another site", identity, changed(func(r *Record) { r.Site = "mein" }).Encode(PartTokens), ErrCorrupt},
		{"tokens of another end", identity, changed(func(r *Record) { r.Expires = r.Expires.Add(time.Millisecond) }).Encode(PartTokens), ErrCorrupt},
		{"empty tokens", identity, []byte{}, ErrCorrupt},
	} {
		_, err := DecodeRecord(r.ID, tt.identity, tt.tokens)
		for _, sentinel := range []error{ErrCorrupt, ErrLaterFormat, ErrForeign} {
			if errors.Is(err, sentinel) != (sentinel == tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
		}
	}
}

// Everything in the clear is covered by the seals, and so is which part it is and all of the ID.
func TestHeaderIsSealed(t *testing.T) {
	r := sample()
	covered := r.associated(PartIdentity)
	for name, change := range map[string]func(*Record){
		"format":  func(r *Record) { r.Format = RecordFormat + 1 },
		"version": func(r *Record) { r.Version++ }, "site": func(r *Record) { r.Site = "mein" }, "end": func(r *Record) { r.Expires = r.Expires.Add(time.Millisecond) },
		"details": func(r *Record) { r.Details[0]++ }, "no details": func(r *Record) { r.Details = nil },
		"first byte of the ID": func(r *Record) { r.ID[0]++ }, "last byte of the ID": func(r *Record) { r.ID[31]++ },
	} {
		other := sample()
		change(&other)
		if bytes.Equal(other.associated(PartIdentity), covered) {
			t.Errorf("%s can be changed without breaking the seal", name)
		}
	}
	if bytes.Equal(r.associated(PartTokens), covered) {
		t.Error("the parts can be exchanged without breaking the seal")
	}
}

// FuzzDecodeRecord reads what may stand in the store, a record or a lease, of this release, another one or none: what is taken would be written as it
// was read.
func FuzzDecodeRecord(f *testing.F) {
	r := sample()
	f.Add(r.ID[:], r.Encode(PartIdentity), r.Encode(PartTokens))
	f.Add(r.ID[:], []byte{2}, []byte{})
	f.Add(r.ID[:], append([]byte{2}, r.Encode(PartIdentity)[1:]...), []byte{})
	f.Add([]byte{}, []byte{}, []byte(nil))
	f.Add([]byte{}, lease{state: leaseHeld, ends: time.UnixMilli(1)}.encode(), []byte{})
	f.Add([]byte{}, bytes.Repeat([]byte{0xff}, 17), bytes.Repeat([]byte{'h'}, 18))
	f.Fuzz(func(t *testing.T, name, identity, tokens []byte) {
		if l, err := decodeLease(identity); err == nil && !bytes.Equal(l.encode(), identity) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%x reads as %+v, %v", identity, l, err)
		}
		var id ID
		copy(id[:], name)
		got, err := DecodeRecord(id, identity, tokens)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLaterFormat) && !errors.Is(err, ErrForeign) {
				t.Errorf("%v is none of the errors", err)
			}
			return
		}
		if !bytes.Equal(got.Encode(PartIdentity), identity) || tokens != nil && !bytes.Equal(got.Encode(PartTokens), tokens) {
			t.Error("it is written differently than it was read")
		}
	})
}

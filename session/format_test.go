package session

import (
	"context"
	"errors"
	"testing"
	"time"
)

// oneRecord is a store of the one record that it was given last.
type oneRecord struct {
	Store
	identity, tokens []byte
}

func (s *oneRecord) keep(r Record) error {
	s.identity, s.tokens = r.Encode(PartIdentity), nil
	if r.Tokens != nil {
		s.tokens = r.Encode(PartTokens)
	}
	return nil
}

func (s *oneRecord) Create(_ context.Context, r Record) error { return s.keep(r) }

func (s *oneRecord) Swap(_ context.Context, r Record) error {
	if !Replaceable(s.identity, r.Version-1) {
		return ErrVersion
	}
	return s.keep(r)
}

func (s *oneRecord) LoadWithTokens(_ context.Context, id ID) (Record, error) {
	r, err := DecodeRecord(id, s.identity, s.tokens)
	r.TTL = time.Hour
	return r, err
}

// A manager writes the format that it is told at the moment, over any that it reads, and the session is the same in each.
func TestManagerWritesTheFormatThatItIsTold(t *testing.T) {
	store, format := &oneRecord{}, byte(OldestRecordFormat)
	m := &Manager{
		Store: store, Keyring: ring(t, 1), Site: "main", IdleTimeout: time.Hour, AbsoluteTimeout: 2 * time.Hour, Format: func() byte { return format },
	}
	token, _, err := m.Begin(t.Context(), Session{Issuer: "https://id.example", Subject: "jane"}, Tokens{RefreshToken: "first"})
	if err != nil {
		t.Fatal(err)
	}
	for _, next := range []byte{OldestRecordFormat, RecordFormat, RecordFormat, OldestRecordFormat} {
		s, tokens, err := m.LoadWithTokens(t.Context(), token)
		if err != nil || s.Subject != "jane" || tokens.RefreshToken == "" {
			t.Fatalf("format %d: %+v, %v", format, s, err)
		}
		if store.identity[0] != format || store.tokens[0] != format {
			t.Errorf("written in formats %d and %d, want %d", store.identity[0], store.tokens[0], format)
		}
		format = next
		if _, err := m.Rotate(t.Context(), token, s, Tokens{RefreshToken: "next"}); err != nil {
			t.Fatal(err)
		}
	}

	// The format cannot be changed behind its back, nor may the parts differ in it.
	store.tokens[0]++
	if _, _, err := m.LoadWithTokens(t.Context(), token); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLaterFormat) {
		t.Errorf("parts of two formats: %v", err)
	}
	store.identity[0]++
	if _, _, err := m.LoadWithTokens(t.Context(), token); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrLaterFormat) {
		t.Errorf("with another format in its header: %v", err)
	}
	m.Format = nil
	if _, _, err = m.Begin(t.Context(), Session{Subject: "jane"}, Tokens{}); err != nil || store.identity[0] != RecordFormat {
		t.Errorf("without others: format %d, %v", store.identity[0], err)
	}
}

func TestReplaceable(t *testing.T) {
	const version = 0x0102030405060708
	value := func(format byte) []byte { return AppendVersion([]byte{format}, version) }
	for format := range 256 {
		known := format >= OldestRecordFormat && format <= RecordFormat
		if got := Replaceable(value(byte(format)), version); got != known {
			t.Errorf("format %d: %v", format, got)
		}
	}
	if Replaceable(value(RecordFormat), version+1) || Replaceable(value(RecordFormat)[:HeaderVersion-1], version) || Replaceable(nil, 0) {
		t.Error("another version, or none, may be replaced")
	}
}

func TestFormatToWrite(t *testing.T) {
	for _, tt := range []struct {
		name   string
		others []int
		want   byte
	}{
		{"alone", nil, RecordFormat},
		{"all alike", []int{RecordFormat, RecordFormat}, RecordFormat},
		{"a later release", []int{RecordFormat + 1, 1000}, RecordFormat},
		{"the release before", []int{RecordFormat, OldestRecordFormat}, OldestRecordFormat},
		{"one that does not say", []int{0, RecordFormat + 1}, OldestRecordFormat},
	} {
		if got := FormatToWrite(tt.others...); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

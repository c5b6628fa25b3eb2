package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

const (
	idle     = 30 * time.Minute
	absolute = 12 * time.Hour
)

func newRing(t *testing.T, fill ...byte) *session.Keyring {
	t.Helper()
	var secrets [][]byte
	for _, b := range fill {
		secrets = append(secrets, bytes.Repeat([]byte{b}, session.MasterKeySize))
	}
	k, err := session.NewKeyring(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// spy is a store that counts, remembers what was written, and can be told to do wrong.
type spy struct {
	session.Store

	mu      sync.Mutex
	touched int
	written map[session.ID]session.Record
	fail    error                               // unless nil, of every operation
	change  func(session.Record) session.Record // what comes back instead
}

func (s *spy) Create(ctx context.Context, r session.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.written == nil {
		s.written = map[session.ID]session.Record{}
	}
	s.written[r.ID] = r
	return s.Store.Create(ctx, r)
}

func (s *spy) Touch(ctx context.Context, id session.ID, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	s.touched++
	return s.Store.Touch(ctx, id, ttl)
}

func (s *spy) Load(ctx context.Context, id session.ID) (session.Record, error) {
	return s.load(s.Store.Load(ctx, id))
}

func (s *spy) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	return s.load(s.Store.LoadWithoutTTL(ctx, id))
}

func (s *spy) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	return s.load(s.Store.LoadWithTokens(ctx, id))
}

func (s *spy) load(r session.Record, err error) (session.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return session.Record{}, s.fail
	}
	if s.change != nil && err == nil {
		r = s.change(r)
	}
	return r, err
}

func (s *spy) Delete(ctx context.Context, id session.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	return s.Store.Delete(ctx, id)
}

func newManager(t *testing.T) (*session.Manager, *spy) {
	t.Helper()
	store := &spy{Store: memstore.New(nil)}
	return &session.Manager{Store: store, Keyring: newRing(t, 1), Site: "main", IdleTimeout: idle, AbsoluteTimeout: absolute}, store
}

var (
	jane = session.Session{
		Issuer: "https://id.example", Subject: "subject-of-jane", ProviderSession: "provider-session", ACR: "acr-value",
		AuthTime: time.Unix(1_311_280_969, 0), Claims: map[string]any{"email": "jane@example.com", "groups": []any{"staff"}},
	}
	janesTokens = session.Tokens{AccessToken: "access-token", RefreshToken: "refresh-token", IDToken: "id-token"}
)

func begin(t *testing.T, m *session.Manager) (session.Token, session.Session) {
	t.Helper()
	token, s, err := m.Begin(t.Context(), jane, janesTokens)
	if err != nil {
		t.Fatal(err)
	}
	return token, s
}

func alive(t *testing.T, m *session.Manager, token session.Token) session.Session {
	t.Helper()
	s, err := m.Load(t.Context(), token)
	if err != nil {
		t.Fatalf("after %v: %v", time.Since(s.Created), err)
	}
	return s
}

// over checks that both ways to load end in the error and in no other.
func over(t *testing.T, m *session.Manager, token session.Token, want error) {
	t.Helper()
	s, err := m.Load(t.Context(), token)
	_, tokens, errTokens := m.LoadWithTokens(t.Context(), token)
	for _, err := range []error{err, errTokens} {
		for _, sentinel := range []error{session.ErrNotFound, session.ErrCorrupt} {
			if errors.Is(err, sentinel) != (sentinel == want) {
				t.Errorf("%v, want %v", err, want)
			}
		}
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if !reflect.DeepEqual(s, session.Session{}) || tokens != (session.Tokens{}) {
		t.Error("an error came with a session")
	}
}

func TestBeginAndLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newManager(t)
		token, s := begin(t, m)
		if s.ID != token.ID() || s.Version != 1 || s.Site != "main" || !s.Created.Equal(time.Now()) ||
			!s.Expires.Equal(time.Now().Add(absolute)) || !s.IdleExpires.Equal(time.Now().Add(idle+idle/10)) {
			t.Errorf("Begin gave %+v", s)
		}
		got, tokens, err := m.LoadWithTokens(t.Context(), token)
		if err != nil || tokens != janesTokens {
			t.Errorf("LoadWithTokens: %v", err)
		}
		for _, got := range []session.Session{got, alive(t, m, token)} {
			got.Created, got.Expires, got.IdleExpires, got.AuthTime = got.Created.UTC(), got.Expires.UTC(), got.IdleExpires.UTC(), got.AuthTime.UTC()
			want := s
			want.Created, want.Expires, want.IdleExpires, want.AuthTime = s.Created.UTC().Round(0), s.Expires.UTC().Round(0), s.IdleExpires.UTC().Round(0), s.AuthTime.UTC()
			got.IdleExpires = got.IdleExpires.Round(0)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("loaded %+v\nwant   %+v", got, want)
			}
		}
		other, _ := begin(t, m)
		if other == token {
			t.Error("two logins gave one token")
		}
		bare, _, err := m.Begin(t.Context(), jane, session.Tokens{})
		if err != nil {
			t.Fatal(err)
		}
		if _, tokens, err := m.LoadWithTokens(t.Context(), bare); err != nil || tokens != (session.Tokens{}) {
			t.Errorf("a session without tokens: %v", err)
		}
	})
}

func TestIdleTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newManager(t)
		token, _ := begin(t, m)
		time.Sleep(idle)
		alive(t, m, token)
		time.Sleep(idle/10 - time.Millisecond)
		alive(t, m, token)
		time.Sleep(time.Millisecond)
		over(t, m, token, session.ErrNotFound)
	})
}

func TestAbsoluteTimeoutAndRareTouches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newManager(t)
		token, begun := begin(t, m)
		for {
			time.Sleep(10 * time.Second)
			if !time.Now().Before(begun.Expires) {
				break
			}
			s := alive(t, m, token)
			if err := m.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			s = alive(t, m, token)
			if left := time.Until(s.IdleExpires); left < idle && s.IdleExpires.Before(s.Expires) {
				t.Fatalf("%v is left after a touch", left)
			}
			if s.IdleExpires.After(s.Expires) {
				t.Fatal("it would live beyond its end")
			}
		}
		over(t, m, token, session.ErrNotFound)
		if most := int(absolute / (idle / 10)); store.touched > most || store.touched < most/2 {
			t.Errorf("the store was written %d times, want about %d", store.touched, most)
		}
	})
}

func TestTouchOfASessionThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := newManager(t)
		token, s := begin(t, m)
		time.Sleep(idle / 2)
		if err := m.End(t.Context(), token.ID()); err != nil {
			t.Fatal(err)
		}
		if err := m.Touch(t.Context(), s); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
		over(t, m, token, session.ErrNotFound)
	})
}

// A replica with a shorter idle time takes nothing away.
func TestTouchNeverShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newManager(t)
		token, _ := begin(t, m)
		shorter := *m
		shorter.IdleTimeout = time.Minute
		time.Sleep(idle / 2)
		s := alive(t, m, token)
		s.IdleExpires = time.Now() // so that it writes
		if err := shorter.Touch(t.Context(), s); err != nil || store.touched != 1 {
			t.Fatalf("%d touches, %v", store.touched, err)
		}
		time.Sleep(idle/2 + idle/20)
		alive(t, m, token)
	})
}

// A key whose expiry somebody took away does not make a session immortal.
func TestRecordsOwnEndCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, store := newManager(t)
		token, s := begin(t, m)
		if err := store.Touch(t.Context(), token.ID(), 1000*time.Hour); err != nil {
			t.Fatal(err)
		}
		time.Sleep(absolute - time.Second)
		if got := alive(t, m, token); got.IdleExpires.After(got.Expires) || !got.Expires.Equal(s.Expires) {
			t.Errorf("it ends at %v, %v", got.IdleExpires, got.Expires)
		}
		time.Sleep(time.Second)
		over(t, m, token, session.ErrNotFound)
	})
}

func TestEnd(t *testing.T) {
	m, store := newManager(t)
	token, s := begin(t, m)
	other, _ := begin(t, m)
	for range 2 {
		if err := m.End(t.Context(), s.ID); err != nil {
			t.Error(err)
		}
		over(t, m, token, session.ErrNotFound)
	}
	alive(t, m, other)
	store.fail = errors.New("no answer")
	if err := m.End(t.Context(), other.ID()); !errors.Is(err, store.fail) {
		t.Errorf("%v, want the store's error", err)
	}
}

func TestOtherSite(t *testing.T) {
	m, _ := newManager(t)
	token, _ := begin(t, m)
	other := *m
	other.Site = "other"
	over(t, &other, token, session.ErrNotFound)
	if _, err := other.Keyring.ParseToken(session.PurposeSession, other.Site, token.Reveal()); !errors.Is(err, session.ErrTokenInvalid) {
		t.Errorf("%v, want ErrTokenInvalid", err)
	}
	alive(t, m, token)
}

func TestKeyRotation(t *testing.T) {
	m, _ := newManager(t)
	before, _ := begin(t, m)
	rotated := *m
	rotated.Keyring = newRing(t, 2, 1)
	alive(t, &rotated, before)
	after, _ := begin(t, &rotated)
	alive(t, &rotated, after)
	m.Keyring = newRing(t, 1, 2) // a replica that has both and still signs with the old one
	alive(t, m, after)
	done := *m
	done.Keyring = newRing(t, 2)
	alive(t, &done, after)
	over(t, &done, before, session.ErrUnknownKey)
	replica := *m // one that does not have the new key yet
	replica.Keyring = newRing(t, 1)
	over(t, &replica, after, session.ErrUnknownKey)
}

// Whoever has all that is stored and the master keys, but no token, opens nothing; nor does who has a token and other keys.
func TestDumpOpensNothing(t *testing.T) {
	m, store := newManager(t)
	tokens := []session.Token{}
	for range 3 {
		token, _ := begin(t, m)
		tokens = append(tokens, token)
	}
	// What a thief may try as the secret of a seal: everything that is stored, and tokens of their own.
	known := [][]byte{nil, {}, []byte("main"), m.Keyring.NewToken(session.PurposeSession, "main").Secret()}
	for id, r := range store.written {
		known = append(known, id[:], []byte(id.String()), r.Identity, r.Tokens, r.Encode(session.PartIdentity), r.Encode(session.PartTokens))
	}
	for id, r := range store.written {
		for _, part := range []session.Part{session.PartIdentity, session.PartTokens} {
			value := r.Encode(part)
			for _, plain := range []string{"jane", "example", "staff", "subject", "provider-session", "acr-value", "access-token", "refresh-token", "id-token"} {
				if bytes.Contains(value, []byte(plain)) {
					t.Errorf("%q shows in what is stored", plain)
				}
			}
			for _, token := range tokens {
				if bytes.Contains(value, token.Secret()[5:37]) || strings.Contains(id.String(), token.Reveal()[:20]) {
					t.Error("a token shows in what is stored")
				}
			}
		}
		header := r.Encode(session.PartIdentity)
		header = header[:len(header)-len(r.Identity)]
		for part, sealed := range map[session.Part][]byte{session.PartIdentity: r.Identity, session.PartTokens: r.Tokens} {
			associated := append(append([]byte{byte(part)}, id[:]...), header...)
			for _, purpose := range []string{"record identity", "record tokens"} {
				for _, secret := range known {
					if _, err := m.Keyring.Open(purpose, secret, associated, sealed); !errors.Is(err, session.ErrSealed) {
						t.Errorf("it opens without its token: %v", err)
					}
				}
			}
		}
	}
	stolen := *m
	stolen.Keyring = newRing(t, 2, 3)
	for _, token := range tokens {
		over(t, &stolen, token, session.ErrUnknownKey)
		alive(t, m, token)
	}
	// The test's own idea of how to open is right: with the token it works.
	r := store.written[tokens[0].ID()]
	header := r.Encode(session.PartIdentity)
	associated := append(append([]byte{byte(session.PartIdentity)}, r.ID[:]...), header[:len(header)-len(r.Identity)]...)
	if _, err := m.Keyring.Open("record identity", tokens[0].Secret(), associated, r.Identity); err != nil {
		t.Errorf("it does not open with its token either: %v", err)
	}
}

// What somebody with access to the store may do to a record ends the session and never changes it.
func TestRecordsThatWereChanged(t *testing.T) {
	for name, change := range map[string]func(r, other session.Record) session.Record{
		"another's identity": func(r, other session.Record) session.Record { r.Identity = other.Identity; return r },
		"a later end":        func(r, _ session.Record) session.Record { r.Expires = r.Expires.Add(time.Hour); return r },
		"another version":    func(r, _ session.Record) session.Record { r.Version++; return r },
		"tokens as identity": func(r, _ session.Record) session.Record {
			if r.Tokens != nil {
				r.Identity = r.Tokens
			} else {
				r.Identity = append(bytes.Clone(r.Identity[:4]), "tokens are not loaded here"...) // behind the key's name
			}
			return r
		},
		"a bit of the identity": func(r, _ session.Record) session.Record {
			r.Identity = bytes.Clone(r.Identity)
			r.Identity[len(r.Identity)/2] ^= 1
			return r
		},
		"a cut identity":         func(r, _ session.Record) session.Record { r.Identity = r.Identity[:len(r.Identity)-1]; return r },
		"a record of the future": func(r, other session.Record) session.Record { other.ID = r.ID; return other },
	} {
		t.Run(name, func(t *testing.T) {
			m, store := newManager(t)
			token, _ := begin(t, m)
			another, _ := begin(t, m)
			store.change = func(r session.Record) session.Record { return change(r, store.written[another.ID()]) }
			over(t, m, token, session.ErrCorrupt)
		})
	}
	m, store := newManager(t)
	token, _ := begin(t, m)
	another, _ := begin(t, m)
	store.change = func(r session.Record) session.Record {
		if r.Tokens != nil {
			r.Tokens = store.written[another.ID()].Tokens
		}
		return r
	}
	alive(t, m, token)
	if _, tokens, err := m.LoadWithTokens(t.Context(), token); !errors.Is(err, session.ErrCorrupt) || tokens != (session.Tokens{}) {
		t.Errorf("another's tokens: %v, want ErrCorrupt", err)
	}
}

// Not to know is not to be signed out.
func TestCannotTell(t *testing.T) {
	for _, cause := range []error{errors.New("no answer"), session.ErrForeign, session.ErrLaterFormat, context.DeadlineExceeded} {
		m, store := newManager(t)
		token, s := begin(t, m)
		store.fail = fmt.Errorf("store: %w", cause)
		over(t, m, token, cause)
		s.IdleExpires = time.Now()
		if err := m.Touch(t.Context(), s); !errors.Is(err, cause) {
			t.Errorf("Touch: %v, want %v", err, cause)
		}
		if token, _, err := m.Begin(t.Context(), jane, janesTokens); !errors.Is(err, cause) || !token.IsZero() {
			t.Errorf("Begin: %v, want %v and no token", err, cause)
		}
		store.fail = nil
		alive(t, m, token)
	}
}

func TestBeginOfWhatIsTooLarge(t *testing.T) {
	m, store := newManager(t)
	large := jane
	large.Claims = map[string]any{"claim": strings.Repeat("x", 100<<10)}
	for name, begin := range map[string]func() (session.Token, session.Session, error){
		"claims": func() (session.Token, session.Session, error) { return m.Begin(t.Context(), large, janesTokens) },
		"tokens": func() (session.Token, session.Session, error) {
			return m.Begin(t.Context(), jane, session.Tokens{IDToken: strings.Repeat("x", 300<<10)})
		},
	} {
		if token, _, err := begin(); !errors.Is(err, session.ErrTooLarge) || !token.IsZero() {
			t.Errorf("%s: %v, want ErrTooLarge and no token", name, err)
		}
	}
	if len(store.written) != 0 {
		t.Error("something was stored")
	}
}

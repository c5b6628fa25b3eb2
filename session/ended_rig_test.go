package session_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// listing makes a manager whose sessions are on lists, with a link of its own to the store; fill names the keys of its ring.
func listing(t *testing.T, store *memstore.Store, fill ...byte) (*session.Manager, *indexLink) {
	l := &indexLink{Store: store}
	return &session.Manager{
		Store: l, Slots: l, Index: l, Endings: &session.Endings{Store: l}, Keyring: newRing(t, fill...), Site: "main",
		IdleTimeout: idle, AbsoluteTimeout: absolute,
	}, l
}

// indexLink is a connection to a store that can be told what to do before each operation, and that fails those of which
// this makes an error.
type indexLink struct {
	*memstore.Store
	hook atomic.Value // a func(operation string) error
}

func (l *indexLink) before(do func(operation string) error) { l.hook.Store(do) }

func (l *indexLink) mend() { l.before(failing()) }

func (l *indexLink) do(operation string) error {
	if do, ok := l.hook.Load().(func(string) error); ok {
		return do(operation)
	}
	return nil
}

func (l *indexLink) Load(ctx context.Context, id session.ID) (session.Record, error) {
	if err := l.do("load"); err != nil {
		return session.Record{}, err
	}
	return l.Store.Load(ctx, id)
}

func (l *indexLink) Create(ctx context.Context, r session.Record) error {
	if err := l.do("create"); err != nil {
		return err
	}
	return l.Store.Create(ctx, r)
}

func (l *indexLink) Delete(ctx context.Context, id session.ID) error {
	if err := l.do("delete"); err != nil {
		return err
	}
	return l.Store.Delete(ctx, id)
}

func (l *indexLink) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) ([]byte, bool, error) {
	if err := l.do("claim"); err != nil {
		return nil, false, err
	}
	return l.Store.Claim(ctx, name, value, ttl)
}

func (l *indexLink) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (bool, error) {
	if err := l.do("replace"); err != nil {
		return false, err
	}
	return l.Store.Replace(ctx, name, old, value, ttl)
}

func (l *indexLink) ReadSlot(ctx context.Context, name session.SlotName) ([]byte, error) {
	if err := l.do("readslot"); err != nil {
		return nil, err
	}
	return l.Store.ReadSlot(ctx, name)
}

func (l *indexLink) Note(ctx context.Context, names []session.IndexName, entry session.IndexEntry) error {
	if err := l.do("note"); err != nil {
		return err
	}
	return l.Store.Note(ctx, names, entry)
}

func (l *indexLink) Noted(ctx context.Context, name session.IndexName) ([]session.IndexEntry, error) {
	if err := l.do("noted"); err != nil {
		return nil, err
	}
	return l.Store.Noted(ctx, name)
}

func (l *indexLink) Forget(ctx context.Context, name session.IndexName, id session.ID) error {
	if err := l.do("forget"); err != nil {
		return err
	}
	return l.Store.Forget(ctx, name, id)
}

func failing(operations ...string) func(string) error {
	return func(operation string) error {
		if slices.Contains(operations, operation) {
			return errCut
		}
		return nil
	}
}

// beginAs signs somebody in.
func beginAs(t *testing.T, m *session.Manager, issuer, subject, sid string) session.Token {
	t.Helper()
	token, _, err := m.Begin(t.Context(), session.Session{Issuer: issuer, Subject: subject, ProviderSession: sid}, janesTokens)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func lives(t *testing.T, m *session.Manager, token session.Token) bool {
	t.Helper()
	_, err := m.Load(t.Context(), token)
	if err != nil && !errors.Is(err, session.ErrNotFound) {
		t.Fatal(err)
	}
	return err == nil
}

func userOf(issuer, subject string) session.Group {
	return session.Group{Kind: session.KindUser, Issuer: issuer, Value: subject}
}

func sidOf(issuer, sid string) session.Group {
	return session.Group{Kind: session.KindSID, Issuer: issuer, Value: sid}
}

// noted counts the entries that a manager's lists of a group have.
func noted(t *testing.T, m *session.Manager, g session.Group) int {
	t.Helper()
	count := 0
	for _, name := range m.Keyring.Names(g.Kind, m.Site, g.Issuer, g.Value) {
		entries, err := m.Index.Noted(t.Context(), session.IndexName{Kind: g.Kind, Hash: name})
		if err != nil {
			t.Fatal(err)
		}
		count += len(entries)
	}
	return count
}

// actor does something in steps, each of which is one store operation. It lives in a synctest bubble.
type actor struct{ turn, done chan struct{} }

func act(l *indexLink, do func()) *actor {
	a := &actor{make(chan struct{}), make(chan struct{})}
	l.before(func(string) error { <-a.turn; return nil })
	go func() {
		defer close(a.done)
		do()
	}()
	synctest.Wait()
	return a
}

// step lets the actor do one operation, and reports whether it had one left.
func (a *actor) step() bool {
	select {
	case a.turn <- struct{}{}:
		synctest.Wait()
		return true
	case <-a.done:
		return false
	}
}

// interleave lets two actors go on by the bits of order, and then to their ends.
func interleave(order, steps int, actors [2]*actor) {
	for step := range steps {
		actors[order>>step&1].step()
	}
	for _, a := range actors {
		for a.step() {
		}
	}
}

package session_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

var errUnavailable = errors.New("the provider is not available")

// strictProvider rotates refresh tokens and ends a family when a token comes twice. It does its work when it is asked, and
// answers after the delay.
type strictProvider struct {
	mu       sync.Mutex
	delay    time.Duration
	fail     error // unless nil, of every request; nothing is granted then
	lenient  bool  // the token before the last one is good too
	families map[string]*family
	asked    int
	grants   int
	reuses   int
}

type family struct {
	generation int
	revoked    bool
}

// grant begins a family.
func (p *strictProvider) grant(name string) session.Tokens {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.families[name] = &family{}
	return tokensOf(name, 0)
}

func tokensOf(name string, generation int) session.Tokens {
	return session.Tokens{
		AccessToken: fmt.Sprintf("access/%s/%d", name, generation), RefreshToken: fmt.Sprintf("%s/%d", name, generation),
		Expiry: time.Now().Add(tokenLife),
	}
}

func (p *strictProvider) refresh(ctx context.Context, s session.Session, t session.Tokens) (session.Session, session.Tokens, error) {
	renewed, err := p.decide(t.RefreshToken)
	p.mu.Lock()
	delay := p.delay
	p.mu.Unlock()
	select {
	case <-time.After(delay):
		return s, renewed, err
	case <-ctx.Done():
		return s, t, fmt.Errorf("%w: %w", errUnavailable, ctx.Err())
	}
}

func (p *strictProvider) decide(refreshToken string) (session.Tokens, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.fail != nil {
		return session.Tokens{}, p.fail
	}
	name, text, _ := strings.Cut(refreshToken, "/")
	f := p.families[name]
	generation, err := strconv.Atoi(text)
	if err != nil || f == nil || f.revoked {
		return session.Tokens{}, session.ErrRefused
	}
	if generation != f.generation && !p.lenient {
		p.reuses++
		f.revoked = true
		return session.Tokens{}, session.ErrRefused
	}
	f.generation++
	p.grants++
	return tokensOf(name, f.generation), nil
}

// saw fails the test unless the provider granted so many refreshes and saw so many reuses.
func (p *strictProvider) saw(t *testing.T, grants, reuses int) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.grants != grants || p.reuses != reuses {
		t.Errorf("the provider granted %d refreshes and saw %d reuses, want %d and %d", p.grants, p.reuses, grants, reuses)
	}
}

func (p *strictProvider) tries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// set changes how the provider behaves.
func (p *strictProvider) set(change func(*strictProvider)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

var (
	errCut         = errors.New("the store does not answer")
	everyOperation = []string{"load", "swap", "delete", "claim", "replace"}
)

// link is a replica's connection to the store. It can be cut, or lose the answer of what was done.
type link struct {
	*memstore.Store
	mu    sync.Mutex
	down  []string
	loses []string // the answers of the next operations of these names, once each
}

func (l *link) cut(operations ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = operations
}

func (l *link) mend() { l.cut() }

func (l *link) lose(operation string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loses = append(l.loses, operation)
}

func (l *link) do(operation string, ask func() error) error {
	l.mu.Lock()
	down, lose := slices.Contains(l.down, operation), slices.Index(l.loses, operation)
	if lose >= 0 {
		l.loses = slices.Delete(l.loses, lose, lose+1)
	}
	l.mu.Unlock()
	if down {
		return errCut
	}
	err := ask()
	if lose >= 0 {
		return cmp.Or(err, errCut)
	}
	return err
}

func (l *link) LoadWithTokens(ctx context.Context, id session.ID) (r session.Record, err error) {
	err = l.do("load", func() (err error) { r, err = l.Store.LoadWithTokens(ctx, id); return err })
	return r, err
}

func (l *link) Swap(ctx context.Context, r session.Record) error {
	return l.do("swap", func() error { return l.Store.Swap(ctx, r) })
}

func (l *link) Delete(ctx context.Context, id session.ID) error {
	return l.do("delete", func() error { return l.Store.Delete(ctx, id) })
}

func (l *link) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) (holder []byte, claimed bool, err error) {
	err = l.do("claim", func() (err error) { holder, claimed, err = l.Store.Claim(ctx, name, value, ttl); return err })
	return holder, claimed, err
}

func (l *link) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (replaced bool, err error) {
	err = l.do("replace", func() (err error) { replaced, err = l.Store.Replace(ctx, name, old, value, ttl); return err })
	return replaced, err
}

package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

const (
	tokenLife = 5 * time.Minute
	before    = time.Minute
	wait      = 2 * time.Second
	lease     = 6 * time.Second  // the default
	pause     = 10 * time.Second // the default; at most a tenth longer

	untilDue     = tokenLife - before*9/10
	untilExpired = tokenLife + time.Second
)

// cluster is replicas that renew the sessions of one store with one provider. It lives in a synctest bubble.
type cluster struct {
	t        *testing.T
	store    *memstore.Store
	manager  *session.Manager // with a link that never fails
	provider *strictProvider
	replicas []*replica
}

// replica is one process: its own flights and its own link to the store.
type replica struct {
	*session.Renewer
	link *link
	// early and late, unless nil, stop the replica before and after the provider does its work, until they are closed; see freezeIn.
	early, late chan struct{}

	mu      sync.Mutex
	results []string
}

func newCluster(t *testing.T, replicas int) *cluster {
	c := &cluster{t: t, store: memstore.New(nil), provider: &strictProvider{families: map[string]*family{}}}
	manager := func(store session.Store) *session.Manager {
		return &session.Manager{Store: store, Keyring: newRing(t, 1), Site: "main", IdleTimeout: idle, AbsoluteTimeout: absolute}
	}
	c.manager = manager(c.store)
	for range replicas {
		r := &replica{link: &link{Store: c.store}}
		r.Renewer = &session.Renewer{Manager: manager(r.link), Slots: r.link, Before: before, Refresh: r.refresh(c.provider), Report: r.report}
		c.replicas = append(c.replicas, r)
	}
	return c
}

func (r *replica) refresh(p *strictProvider) session.RefreshFunc {
	return func(ctx context.Context, s session.Session, t session.Tokens) (session.Session, session.Tokens, error) {
		if r.early != nil {
			<-r.early
		}
		s, t, err := p.refresh(ctx, s, t)
		if r.late != nil {
			<-r.late
		}
		return s, t, err
	}
}

func (r *replica) report(result string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.results = append(r.results, result)
}

// freezeIn has the session renewed by the replica, and stops that at the point as SIGSTOP would: it neither goes on nor reaches the store.
// The returned function lets it go on.
func (c *cluster) freezeIn(r *replica, point *chan struct{}, token session.Token) (thaw func()) {
	stopped := make(chan struct{})
	*point = stopped
	go c.ask(c.t.Context(), r, token)
	synctest.Wait()
	r.link.cut(everyOperation...)
	return func() {
		r.link.mend()
		close(stopped)
	}
}

// reported fails the test unless these results were reported, in any order, by the given replicas together.
func (c *cluster) reported(replicas []*replica, want ...string) {
	c.t.Helper()
	synctest.Wait()
	var got []string
	for _, r := range replicas {
		r.mu.Lock()
		got = append(got, r.results...)
		r.mu.Unlock()
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("results %v, want %v", got, want)
	}
}

// begin signs somebody in, whose tokens are of their own family.
func (c *cluster) begin(name string) session.Token {
	c.t.Helper()
	token, _, err := c.manager.Begin(c.t.Context(), jane, c.provider.grant(name))
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// verdict is what one request got.
type verdict struct {
	session session.Session
	access  string // the access token if it is valid
	err     error
	took    time.Duration
}

// ask does what a verdict does: it loads the session and has it renewed. A session that is gone is an error.
func (c *cluster) ask(ctx context.Context, r *replica, token session.Token) verdict {
	began := time.Now()
	s, t, err := c.manager.LoadWithTokens(ctx, token)
	if err == nil {
		s, t, err = r.Renew(ctx, token, s, t, wait)
	}
	v := verdict{session: s, err: err, took: time.Since(began)}
	if time.Now().Before(t.Expiry) {
		v.access = t.AccessToken
	}
	return v
}

// burst asks each replica n times at once.
func (c *cluster) burst(n int, token session.Token) []verdict {
	var (
		group    sync.WaitGroup
		verdicts = make([]verdict, n*len(c.replicas))
	)
	for i := range verdicts {
		group.Go(func() { verdicts[i] = c.ask(c.t.Context(), c.replicas[i%len(c.replicas)], token) })
	}
	group.Wait()
	return verdicts
}

// pass fails the test unless everyone passes, at most after the longest wait and with this valid access token; "" is none.
func (c *cluster) pass(verdicts []verdict, longest time.Duration, access string) {
	c.t.Helper()
	for _, v := range verdicts {
		if v.err != nil || v.session.Subject != jane.Subject || v.took > longest || v.access != access {
			c.t.Fatalf("a request got access token %q and error %v after %v; want %q within %v", v.access, v.err, v.took, access, longest)
		}
	}
}

// stored returns the session as the store has it.
func (c *cluster) stored(token session.Token) (session.Session, session.Tokens) {
	c.t.Helper()
	s, t, err := c.manager.LoadWithTokens(c.t.Context(), token)
	if err != nil {
		c.t.Fatal(err)
	}
	return s, t
}

// gone fails the test unless the session has ended for good.
func (c *cluster) gone(token session.Token) {
	c.t.Helper()
	if _, err := c.manager.Load(c.t.Context(), token); !errors.Is(err, session.ErrNotFound) {
		c.t.Errorf("the session lives, or nobody can tell: %v", err)
	}
}

// idle fails the test if any replica is still at work a second later.
func (c *cluster) idle() {
	c.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	for i, r := range c.replicas {
		if n := r.Flights(); n != 0 {
			c.t.Errorf("replica %d has %d flights", i, n)
		}
	}
}

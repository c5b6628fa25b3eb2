package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/e2e/rig"
)

// parallel is how many requests a person sends at once.
const parallel = 20

// flagship is what runs, and the rows so far.
type flagship struct {
	*rig.Rig
	shifted string // the program, with a clock that can be wrong
	say     func(format string, args ...any)
	rows    []*row
	pulse   rig.Pulse
}

// scenario makes rows.
type scenario struct {
	number string
	people func(o flags) int
	run    func(f *flagship, ctx context.Context, people []*person) error
}

// upTo is a number of people for a scenario in which the size proves nothing more.
func upTo(n int) func(flags) int { return func(o flags) int { return min(o.users, n) } }

// scenarios are all of them, apart from 1, with which 2 begins.
var scenarios = []scenario{
	{"2", func(o flags) int { return o.users }, (*flagship).fallsDue},
	{"3", func(o flags) int { return min(o.users, o.slowUsers) }, (*flagship).slowProvider},
	{"4", upTo(240), (*flagship).killed},
	{"5", upTo(300), (*flagship).hangUp},
	{"6", upTo(200), (*flagship).signOutRace},
	{"7", upTo(80), (*flagship).paused},
	{"8", upTo(200), (*flagship).logout},
	{clocksNumber, upTo(300), (*flagship).clocks},
	{"10", upTo(120), (*flagship).deaf},
	{"11", upTo(120), (*flagship).endedByProvider},
}

// before is what was counted before a row began.
type before struct {
	start   time.Time
	records int
	counts  idptest.Counts
}

func (f *flagship) begin(ctx context.Context) (before, error) {
	f.pulse.Take()
	n, err := f.Records(ctx)
	return before{time.Now(), n, f.Provider.TotalCounts()}, err
}

// grants is how many refreshes the provider has granted since then.
func (f *flagship) grants(b before) int {
	return f.Provider.TotalCounts().Refreshes - b.counts.Refreshes
}

func (f *flagship) reuses(b before) int {
	return f.Provider.TotalCounts().RefreshReuses - b.counts.RefreshReuses
}

// awaitGrants waits until the provider has granted n, at most for limit. Whether it has is the row's to say.
func (f *flagship) awaitGrants(ctx context.Context, b before, n int, limit time.Duration) {
	rig.WaitFor(ctx, limit, func(context.Context) error {
		if f.grants(b) < n {
			return errors.New("not yet")
		}
		return nil
	})
}

// settled leaves a moment for what the provider has answered to be written, and for what must not happen to happen.
func (f *flagship) settled(ctx context.Context) {
	rig.Pass(ctx, time.Now().Add(500*time.Millisecond))
}

// close fills what every row counts from the beginning of the row on.
func (f *flagship) close(ctx context.Context, r *row, b before, t *tally) error {
	n, err := f.Records(ctx)
	if err != nil {
		return err
	}
	counts := f.Provider.TotalCounts()
	r.Records = n - b.records
	r.Grants, r.Reuse = counts.Refreshes-b.counts.Refreshes, counts.RefreshReuses-b.counts.RefreshReuses
	r.Seconds = time.Since(b.start).Seconds()
	if slow := f.pulse.Take(); len(slow) > 0 {
		longest := slices.MaxFunc(slow, func(a, b rig.Slowness) int { return cmp.Compare(a.Took, b.Took) }).Took
		r.note("the machine was too busy: %d times Redis took longer than %v for a PING, up to %v", len(slow), storeTimeout, longest.Round(time.Millisecond))
	}
	if t != nil {
		r.count(t)
	}
	return nil
}

// add puts a row that is complete into the table and tells it.
func (f *flagship) add(r *row) {
	f.rows = append(f.rows, r)
	f.say("%s", r.verdict())
}

// loggedOut lets everybody ask once, and returns who is not let in.
func (f *flagship) loggedOut(ctx context.Context, people []*person) (out []string) {
	var t tally
	inTurn(ctx, people, 4*workers, 0, ripeNow, func(ctx context.Context, p *person) { t.add(p, p.Ask)(ctx) }, noProgress)
	return slices.Sorted(maps.Keys(t.refused))
}

// signInAll signs people in whose tokens live for life.
func (f *flagship) signInAll(ctx context.Context, people []*person, life time.Duration) error {
	f.Provider.TokensLive(life)
	defer f.Provider.TokensLive(rig.LongLife)
	var failed failures
	inTurn(ctx, people, workers, 0, ripeNow, func(ctx context.Context, p *person) { failed.add(p.SignIn(ctx)) }, noProgress)
	return errors.Join(failed.err(), ctx.Err())
}

// signInExpired signs people in and returns when the tokens of all have expired.
func (f *flagship) signInExpired(ctx context.Context, people []*person) error {
	const life = 4 * time.Second // half of it is enough for a login, so that none is due before
	if err := f.signInAll(ctx, people, life); err != nil {
		return err
	}
	for _, p := range people {
		rig.Pass(ctx, p.SignedIn.Add(life+100*time.Millisecond))
	}
	return ctx.Err()
}

// passesSomewhere tells where somebody still passes, of those who must not.
func (f *flagship) passesSomewhere(ctx context.Context, people []*person) (somewhere []string) {
	for _, one := range f.Replicas {
		var t tally
		inTurn(ctx, people, workers, 0, ripeNow, func(ctx context.Context, p *person) {
			t.add(p, func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, one) })(ctx)
		}, noProgress)
		if n := t.others(http.StatusUnauthorized); n > 0 {
			somewhere = append(somewhere, fmt.Sprintf("%d at %s", n, one.Name))
		}
	}
	return somewhere
}

// failures counts errors and keeps the first few. It is safe for concurrent use.
type failures struct {
	mu    sync.Mutex
	first []error
	all   int
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all++; len(f.first) < 3 {
		f.first = append(f.first, err)
	}
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == 0 {
		return nil
	}
	return fmt.Errorf("%d failed, such as: %w", f.all, errors.Join(f.first...))
}

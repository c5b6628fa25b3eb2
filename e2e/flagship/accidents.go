package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// killed is scenario 4: a replica dies with refreshes under way. Half of the people have a provider that has not rotated yet, for half it has.
func (f *flagship) killed(ctx context.Context, people []*person) error {
	half := (len(people) + 1) / 2
	if err := f.killedMidRefresh(ctx, people[:half], &row{Number: "4a", What: "replica killed before the provider has rotated", Incumbent: incumbentKilled}, false); err != nil {
		return err
	}
	return f.killedMidRefresh(ctx, people[half:], &row{Number: "4b", What: "replica killed after it has; its answers are lost"}, true)
}

func (f *flagship) killedMidRefresh(ctx context.Context, people []*person, r *row, rotated bool) error {
	n := len(people)
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.Provider.Honest()
	if err := f.signInExpired(ctx, people); err != nil {
		return err
	}
	release := make(chan struct{})
	f.Provider.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		if rotated {
			f.Provider.RotateAndHold(w, r, next, release)
			return
		}
		f.Provider.Hold(r, release)
		if r.Context().Err() == nil {
			next.ServeHTTP(w, r)
		}
	})

	var t tally
	var bursts sync.WaitGroup
	bursts.Go(func() {
		inTurn(ctx, people, n, arrival, ripeNow, func(ctx context.Context, p *person) { p.burst(ctx, parallel, &t) }, noProgress)
	})
	askAll := func() {
		inTurn(ctx, people, n, 5*time.Millisecond, ripeNow, func(ctx context.Context, p *person) { t.add(p, p.Ask)(ctx) }, noProgress)
	}
	if err := f.awaitHeld(ctx, people, askAll); err != nil {
		return err
	}
	victim := f.Replicas[0]
	if err := victim.Kill(); err != nil {
		return err
	}
	rig.Pass(ctx, time.Now().Add(time.Second)) // the provider sees that they have gone
	mine := n - int(f.Provider.Held.Load())
	close(release)
	bursts.Wait()

	// They work on, until each has new tokens or is out.
	lost := f.Provider.WhoLost()
	deadline := time.Now().Add(10 * leaseLife)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		askAll()
		if f.grants(b) >= n && f.reuses(b) >= len(lost) && f.outOf(&t, lost) == len(lost) {
			break
		}
		rig.Pass(ctx, time.Now().Add(250*time.Millisecond))
	}
	f.settled(ctx)

	r.Users = n
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	out := f.loggedOut(ctx, people)
	r.LoggedOut = len(out)
	r.note("%d of %d refreshes were the killed replica's; %d answers died with it", mine, n, len(lost))
	r.expect("refresh grants", r.Grants, n)
	if mine == 0 {
		r.fail("the killed replica had no refresh under way, so that nothing was tried")
	}
	for _, name := range out {
		if !lost[name] {
			r.fail("%s is logged out, and no answer of theirs was lost", name)
		}
	}
	for name, statuses := range t.refused {
		if !lost[name] || len(statuses) > 1 || statuses[http.StatusUnauthorized] == 0 {
			r.fail("%s got %v", name, statuses)
		}
	}
	if r.Reuse > len(lost) {
		r.fail("%d reuse rejections for %d lost answers", r.Reuse, len(lost))
	}
	r.expect("records", r.Records, n-len(out))
	if r.Max > milliseconds(leaseLife) {
		r.fail("somebody waited for %.0f ms, longer than the lease, %v", r.Max, leaseLife)
	}
	f.Provider.Honest()
	f.add(r)
	if err := victim.Start(); err != nil {
		return err
	}
	if err := victim.AwaitReady(ctx); err != nil {
		return err
	}
	// nginx leaves it alone for a second, then tries it with one request, and what comes next waits in refreshes.
	rig.Pass(ctx, time.Now().Add(1500*time.Millisecond))
	f.loggedOut(ctx, people)
	return ctx.Err()
}

// outOf counts those among the people who have been refused.
func (f *flagship) outOf(t *tally, names map[string]bool) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range names {
		if t.refused[name] != nil {
			n++
		}
	}
	return n
}

// awaitHeld waits until the provider holds a refresh of everybody. On a machine that is too busy a replica may fail to begin one; then it begins
// when they ask again, which they do.
func (f *flagship) awaitHeld(ctx context.Context, people []*person, again func()) error {
	const tries = 5 // in all less than the 20 s after which a replica gives the provider up
	var err error
	for range tries {
		err = rig.WaitFor(ctx, 3*time.Second, func(context.Context) error {
			if held := f.Provider.Held.Load(); held < int64(len(people)) {
				return fmt.Errorf("the provider has %d refreshes; waiting for %d", held, len(people))
			}
			return nil
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		again()
	}
	return err
}

// hangUp is scenario 5: every browser goes away while the refresh that it caused is under way.
func (f *flagship) hangUp(ctx context.Context, people []*person) error {
	n := len(people)
	r := &row{Number: "5", What: "500 ms; all browsers hang up after 200 ms", Users: n, Incumbent: incumbentHangUp}
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if err := f.signInExpired(ctx, people); err != nil {
		return err
	}
	f.Provider.AnswersAfter(500 * time.Millisecond)
	var t tally
	inTurn(ctx, people, n, 20*time.Millisecond, ripeNow, func(ctx context.Context, p *person) {
		ctx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		p.burst(ctx, parallel, &t)
	}, noProgress)
	f.awaitGrants(ctx, b, n, 10*time.Second)
	rig.Pass(ctx, time.Now().Add(time.Second))
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	r.LoggedOut = len(f.loggedOut(ctx, people))
	f.settled(ctx)
	r.note("%s of %s requests were given up", thousands(t.hungUp), thousands(parallel*n))
	r.Grants, r.Reuse = f.grants(b), f.reuses(b) // with those of people who had hung up before nginx came to their requests
	r.expect("records", r.Records, n)
	r.expect("refresh grants", r.Grants, n)
	r.expect("reuse rejections", r.Reuse, 0)
	r.expect("logged out", r.LoggedOut, 0)
	r.expect("answers other than 200", r.Non200, 0)
	if t.hungUp == 0 {
		r.fail("nobody hung up, so that nothing was tried")
	}
	f.add(r)
	return nil
}

// signOutRace is scenario 6. Half of the people sign out while the provider holds the answer back; half at about the moment in which it comes.
func (f *flagship) signOutRace(ctx context.Context, people []*person) error {
	half := len(people) / 2
	if err := f.signOutRacing(ctx, people[:half], &row{Number: "6a", What: "sign out while the provider has the refresh"}, true); err != nil {
		return err
	}
	return f.signOutRacing(ctx, people[half:], &row{Number: "6b", What: "sign out as the refresh comes back"}, false)
}

func (f *flagship) signOutRacing(ctx context.Context, people []*person, r *row, holding bool) error {
	n := len(people)
	r.Users = n
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.Provider.Honest()
	if err := f.signInExpired(ctx, people); err != nil {
		return err
	}
	var t tally
	var failed failures
	signOut := func(ctx context.Context, p *person) { failed.add(p.SignOut(ctx, f.URL)) }
	if holding {
		release := make(chan struct{})
		f.Provider.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
			f.Provider.RotateAndHold(w, r, next, release)
		})
		var bursts sync.WaitGroup
		bursts.Go(func() {
			inTurn(ctx, people, n, arrival, ripeNow, func(ctx context.Context, p *person) { p.burst(ctx, parallel, &t) }, noProgress)
		})
		again := func() {
			inTurn(ctx, people, n, 5*time.Millisecond, ripeNow, func(ctx context.Context, p *person) { t.add(p, p.Ask)(ctx) }, noProgress)
		}
		if err := f.awaitHeld(ctx, people, again); err != nil {
			return err
		}
		inTurn(ctx, people, workers, 0, ripeNow, signOut, noProgress)
		close(release)
		bursts.Wait()
	} else {
		const delay = 40 * time.Millisecond
		f.Provider.AnswersAfter(delay)
		moment := map[*person]time.Duration{} // from 0 to twice the delay
		for i, p := range people {
			moment[p] = time.Duration(i) * 2 * delay / time.Duration(n)
		}
		inTurn(ctx, people, workers, 20*time.Millisecond, ripeNow, func(ctx context.Context, p *person) {
			var both sync.WaitGroup
			both.Go(func() { p.burst(ctx, parallel, &t) })
			both.Go(func() {
				rig.Pass(ctx, time.Now().Add(moment[p]))
				signOut(ctx, p)
			})
			both.Wait()
		}, noProgress)
	}
	if err := failed.err(); err != nil {
		r.fail("%v", err)
	}
	// For a while nothing comes back.
	for range 4 {
		if where := f.passesSomewhere(ctx, people); where != nil {
			r.fail("signed out, and still let in: %v", where)
			break
		}
		f.settled(ctx)
	}
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	r.LoggedOut = n // as they wanted
	r.expect("records that are left", r.Records, 0)
	r.expect("reuse rejections", r.Reuse, 0)
	if r.Grants > n {
		r.fail("%d refresh grants for %d people", r.Grants, n)
	}
	if others := t.others(http.StatusOK, http.StatusUnauthorized); others > 0 {
		r.fail("%d answers other than 200 and 401", others)
	}
	f.add(r)
	return ctx.Err()
}

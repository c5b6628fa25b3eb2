package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

const (
	cacheLife = 5 * time.Second // session.cache_ttl, the default: the promise
	// lossNoticed is within what a replica notices that it does not hear Redis any more, and a moment for a busy machine.
	lossNoticed = 1200*time.Millisecond + storeTimeout
)

// deaf is scenario 10: one replica does not hear any more what Redis tells of changes, in three ways, or nothing at all, while people who are in its cache sign out
// at another.
func (f *flagship) deaf(ctx context.Context, people []*person) error {
	wire, err := f.startWire(f.Socket)
	if err != nil {
		return err
	}
	third := len(f.Replicas) - 1
	if err := f.Restart(ctx, f.Replicas[third:], rig.Change{Env: []string{"AUTHSVC_STORE_URL=" + wire.url()}}); err != nil {
		return err
	}
	part := len(people) / 4
	for i, c := range []struct {
		row  row
		harm harm
	}{
		{row{Number: "10a", What: "logout; one does not hear it: connection silent"}, silence},
		{row{Number: "10b", What: "logout; one does not hear it: pushes held back"}, deafness},
		{row{Number: "10c", What: "logout; one does not hear it: connection reset"}, reset},
		{row{Number: "10d", What: "logout; one does not reach Redis at all"}, blackout},
	} {
		if err := f.deafTo(ctx, people[i*part:(i+1)*part], &c.row, f.Replicas[third], wire, c.harm); err != nil {
			return err
		}
	}
	return nil
}

// deafTo begins the harm again and again, each time for a few people, at another moment of the replica's own checks.
func (f *flagship) deafTo(ctx context.Context, people []*person, r *row, one *rig.Replica, wire *wire, h harm) error {
	const group = 8
	n := len(people)
	r.Users = n
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if err := f.signInAll(ctx, people, rig.LongLife); err != nil {
		return err
	}
	var t tally
	var mu sync.Mutex
	var failed failures
	var until []time.Duration
	hits, feeds := 0, 0
	for rest := people; len(rest) > 0 && ctx.Err() == nil; {
		few := rest[:min(group, len(rest))]
		rest = rest[len(few):]
		hits += cache(ctx, one, few, &failed)
		feeds += wire.feeds()
		wire.do(h)
		inTurn(ctx, few, group, 50*time.Millisecond, ripeNow, func(ctx context.Context, p *person) {
			if err := p.SignOut(ctx, "http://"+f.Replicas[0].Address); err != nil {
				failed.add(err)
				return
			}
			answered := time.Now()
			ask := func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, one) }
			for ctx.Err() == nil && time.Since(answered) < 2*cacheLife {
				asked := time.Now()
				if t.add(p, ask)(ctx).Status != http.StatusOK {
					mu.Lock()
					defer mu.Unlock()
					until = append(until, asked.Sub(answered))
					return
				}
				rig.Pass(ctx, asked.Add(5*time.Millisecond))
			}
		}, noProgress)
		wire.do(noHarm)
		for _, p := range few {
			failed.add(rig.WaitFor(ctx, cacheLife, func(ctx context.Context) error {
				a, err := p.AskAt(ctx, one)
				if err == nil && a.Status != http.StatusUnauthorized {
					err = fmt.Errorf("after it hears again, it answers %d", a.Status)
				}
				return err
			}))
		}
	}
	f.settled(ctx) // what was held back has come
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	if err := failed.err(); err != nil {
		r.fail("%v", err)
	}
	r.times(until)
	// A store that cannot be reached, or is late on a busy machine, lets nobody in either.
	r.Non200 = t.others(http.StatusOK, http.StatusUnauthorized, http.StatusServiceUnavailable)
	r.LoggedOut = len(f.loggedOut(ctx, people))
	r.note("the times are from the logout's answer until somebody asks whom that replica refuses; promised within cache_ttl, %v, and the loss is noticed within %v; %d answers still let somebody in",
		cacheLife, lossNoticed-storeTimeout, t.statuses[http.StatusOK])
	if where := f.passesSomewhere(ctx, people); where != nil {
		r.fail("signed out, and let in afterwards: %v", where)
	}
	f.expectCached(r, hits, n)
	if feeds == 0 {
		r.fail("the replica had no connection on which Redis tells of changes, so that nothing was tried")
	}
	r.expect("people whom the replica refused at last", len(until), n)
	r.expect("records that are left", r.Records, 0)
	r.expect("logged out", r.LoggedOut, n)
	r.expect("answers of other kinds", r.Non200, 0)
	if longest := percentile(until, 1); longest > lossNoticed {
		r.fail("somebody was let in until %v after the logout's answer", longest.Round(time.Millisecond))
	}
	f.add(r)
	return ctx.Err()
}

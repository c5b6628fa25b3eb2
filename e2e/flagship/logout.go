package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// logoutBound is within what all replicas refuse after a logout at one, at the 99th percentile.
const logoutBound = 50 * time.Millisecond

// logout is scenario 8: each signs out at one replica, and the other two, which have the session in their caches, are asked again and again from the
// moment in which the logout is answered.
func (f *flagship) logout(ctx context.Context, people []*person) error {
	n := len(people)
	r := &row{Number: "8", What: "logout at one replica, until the others refuse", Users: n}
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if err := f.signInAll(ctx, people, rig.LongLife); err != nil {
		return err
	}
	var known, t tally
	var mu sync.Mutex
	var failed failures
	var until []time.Duration
	hits, asked := 0, 0
	for i, p := range people {
		if len(until) > 20 && percentile(until, .5) > logoutBound {
			break // the row has failed; with a cache that hears nothing it would take minutes to tell no more
		}
		asked++
		at := i % len(f.Replicas)
		var others []*rig.Replica
		for k, one := range f.Replicas {
			if k != at {
				others = append(others, one)
			}
		}
		// The others have the session in their caches: the second answer comes from there.
		for _, one := range others {
			hits -= cacheHits(ctx, one, &failed)
			for range 2 {
				known.add(p, func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, one) })(ctx)
			}
			hits += cacheHits(ctx, one, &failed)
		}
		if err := p.SignOut(ctx, "http://"+f.Replicas[at].Address); err != nil {
			failed.add(err)
			continue
		}
		answered := time.Now()
		var polls sync.WaitGroup
		for _, one := range others {
			polls.Go(func() {
				for ctx.Err() == nil && time.Since(answered) < 10*time.Second {
					a := t.add(p, func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, one) })(ctx)
					if a.Status == http.StatusUnauthorized {
						mu.Lock()
						defer mu.Unlock()
						until = append(until, time.Since(answered))
						return
					}
				}
			})
		}
		polls.Wait()
	}
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	if err := failed.err(); err != nil {
		r.fail("%v", err)
	}
	r.times(until)
	r.Non200 = t.others(http.StatusOK, http.StatusUnauthorized)
	r.LoggedOut = len(f.loggedOut(ctx, people))
	r.expect("answers other than 200 before the logout", known.others(http.StatusOK), 0)
	r.expect("people who signed out", asked, n)
	f.expectCached(r, hits, 2*asked)
	r.note("p50, p99 and max are the times from the logout's answer until a replica refuses; %d answers still let somebody in", t.statuses[http.StatusOK])
	r.expect("replicas that refuse within 10 s", len(until), 2*asked)
	r.expect("records that are left", r.Records, 0)
	r.expect("logged out", r.LoggedOut, n)
	r.expect("answers other than 200 and 401", r.Non200, 0)
	if p99 := percentile(until, .99); p99 > logoutBound {
		r.fail("the 99th percentile is %v, expected at most %v", p99, logoutBound)
	}
	f.add(r)
	return ctx.Err()
}

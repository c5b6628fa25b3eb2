package main

import (
	"context"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// paused is scenario 7: a replica has had its answers from the provider, stands still for longer than its lease, and writes then. Four
// cases tell what the others have done meanwhile.
func (f *flagship) paused(ctx context.Context, people []*person) error {
	quarter := (len(people) + 3) / 4
	for i, c := range []pausedCase{
		{row: row{Number: "7a", What: "paused beyond its lease; nobody else came"}},
		{row: row{Number: "7b", What: "paused; another has renewed (provider with grace)"}, sibling: true, grace: true},
		{row: row{Number: "7c", What: "paused; another was refused, and waits"}, sibling: true},
		{row: row{Number: "7d", What: "paused; another was refused, and gave up"}, sibling: true, gaveUp: true},
	} {
		from, to := min(i*quarter, len(people)), min((i+1)*quarter, len(people))
		if from == to {
			continue
		}
		f.Provider.Honest()
		if err := f.pausedWriter(ctx, people[from:to], c); err != nil {
			return err
		}
	}
	return nil
}

type pausedCase struct {
	row     row
	sibling bool // another replica tries meanwhile
	grace   bool // the provider takes the old refresh token again and rotates from the newest
	gaveUp  bool // the other replica has ended the session before the paused one writes
}

func (f *flagship) pausedWriter(ctx context.Context, people []*person, c pausedCase) error {
	n, r := len(people), &c.row
	r.Users = n
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if err := f.signInExpired(ctx, people); err != nil {
		return err
	}
	release := make(chan struct{})
	f.holdFirst(release, c.grace)
	one, other := f.Replicas[0], f.Replicas[1]
	var t tally
	askAll := func(at *rig.Replica) {
		inTurn(ctx, people, n, 5*time.Millisecond, ripeNow, func(ctx context.Context, p *person) {
			t.add(p, func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, at) })(ctx)
		}, noProgress)
	}
	askAll(one)
	if err := f.awaitHeld(ctx, people, func() { askAll(one) }); err != nil {
		return err
	}
	if err := one.Pause(); err != nil {
		return err
	}
	stopped := time.Now()
	defer one.Resume() // whatever happens below; a second time does nothing
	if c.sibling {
		if c.grace {
			f.Provider.TokensLive(2 * time.Second) // so that it is soon seen whether the newest tokens were kept
		}
		for deadline := time.Now().Add(10 * leaseLife); time.Now().Before(deadline) && ctx.Err() == nil; {
			askAll(other)
			if c.grace && f.grants(b) >= 2*n || !c.grace && !c.gaveUp && f.reuses(b) >= n || c.gaveUp && f.outOf(&t, namesOf(people)) >= n {
				break
			}
			rig.Pass(ctx, time.Now().Add(100*time.Millisecond))
		}
		f.Provider.TokensLive(rig.LongLife)
	}
	rig.Pass(ctx, stopped.Add(leaseLife+time.Second))
	close(release)
	if err := one.Resume(); err != nil {
		return err
	}
	rig.Pass(ctx, time.Now().Add(2*time.Second)) // it writes; a sibling that waits sees it
	if c.grace {
		rig.Pass(ctx, time.Now().Add(time.Second)) // and the sibling's tokens have expired
		askAll(other)
		f.awaitGrants(ctx, b, 3*n, 10*time.Second)
	}
	askAll(f.Replicas[2])
	f.settled(ctx)
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	r.LoggedOut = len(f.loggedOut(ctx, people))
	if c.gaveUp {
		r.expect("logged out", r.LoggedOut, n)
		r.expect("records that came back", r.Records, 0)
		r.expect("reuse rejections", r.Reuse, n)
		r.expect("answers other than 200 and 401", t.others(http.StatusOK, http.StatusUnauthorized), 0)
	} else {
		r.expect("logged out", r.LoggedOut, 0)
		r.expect("records", r.Records, n)
		r.expect("answers other than 200", r.Non200, 0)
		wantReuse := 0
		if c.sibling && !c.grace {
			wantReuse = n
		}
		r.expect("reuse rejections", r.Reuse, wantReuse)
	}
	want := n
	if c.grace {
		want = 3 * n // the paused one's, the sibling's, and the one that shows whose tokens were kept
	}
	r.expect("refresh grants", r.Grants, want)
	f.add(r)
	return ctx.Err()
}

func namesOf(people []*person) map[string]bool {
	names := map[string]bool{}
	for _, p := range people {
		names[p.Name] = true
	}
	return names
}

// holdFirst rotates at the first coming of each refresh token and holds that answer back. With grace, a second coming counts as if the
// token that the first answer carries had come; without, it is reuse.
func (f *flagship) holdFirst(release <-chan struct{}, grace bool) {
	var mu sync.Mutex
	successors := map[string]string{}
	f.Provider.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, refreshToken string) {
		mu.Lock()
		successor, again := successors[refreshToken]
		if !again {
			successors[refreshToken] = ""
		}
		mu.Unlock()
		switch {
		case !again && !isClosed(release):
			f.Provider.RotateThen(w, r, next, release, func(t rig.TokenAnswer) {
				mu.Lock()
				successors[refreshToken] = t.RefreshToken
				mu.Unlock()
			})
		case again && grace:
			next.ServeHTTP(w, rig.WithRefreshToken(r, successor))
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

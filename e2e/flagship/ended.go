package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// endedByProvider is scenario 11: the provider ends the sessions of people by a back-channel logout while it has a login or a refresh of theirs,
// or at about the moment in which it answers that.
func (f *flagship) endedByProvider(ctx context.Context, people []*person) error {
	quarter := len(people) / 4
	for i, c := range []endedCase{
		{row: row{Number: "11a", What: "back-channel logout while a callback hangs"}, grant: rig.LoginGrant, holding: true},
		{row: row{Number: "11b", What: "back-channel logout as a callback comes back"}, grant: rig.LoginGrant},
		{row: row{Number: "11c", What: "back-channel logout while a refresh hangs"}, grant: rig.RefreshGrant, holding: true},
		{row: row{Number: "11d", What: "back-channel logout as a refresh comes back"}, grant: rig.RefreshGrant},
	} {
		f.Provider.Honest()
		if err := f.endedMidGrant(ctx, people[i*quarter:(i+1)*quarter], c); err != nil {
			return err
		}
	}
	return nil
}

type endedCase struct {
	row     row
	grant   string
	holding bool // until the logout has been answered
}

func (f *flagship) endedMidGrant(ctx context.Context, people []*person, c endedCase) error {
	n, r := len(people), &c.row
	r.Users = n
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	if c.grant == rig.RefreshGrant {
		if err := f.signInExpired(ctx, people); err != nil {
			return err
		}
	}
	const delay = 40 * time.Millisecond
	release := make(chan struct{})
	granted := map[string]chan struct{}{} // closed when the provider has the answer for that person
	for _, p := range people {
		granted[p.Name] = make(chan struct{})
	}
	f.Provider.OnGrant(c.grant, func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		held := (<-chan struct{})(release)
		if !c.holding {
			ctx, cancel := context.WithTimeout(r.Context(), delay)
			defer cancel()
			held = ctx.Done()
		}
		f.Provider.RotateThen(w, r, next, held, func(t rig.TokenAnswer) {
			if one := granted[t.Subject()]; one != nil && !isClosed(one) {
				close(one) // each person has one grant: a second one would be a failure of other rows, too
			}
		})
	})

	var t tally
	var failed failures
	var mu sync.Mutex
	callbacks := map[int]int{} // answers by status
	var acts, logouts sync.WaitGroup
	for i, p := range people {
		acts.Go(func() {
			if c.grant == rig.RefreshGrant {
				p.burst(ctx, parallel, &t)
				return
			}
			a, err := p.CallBack(ctx)
			failed.add(err)
			mu.Lock()
			defer mu.Unlock()
			callbacks[a.Status]++
		})
		logouts.Go(func() {
			select {
			case <-granted[p.Name]:
			case <-time.After(10 * time.Second):
				failed.add(fmt.Errorf("%s: the provider has seen no grant, so that nothing was tried", p.Name))
			case <-ctx.Done():
				return
			}
			if !c.holding {
				rig.Pass(ctx, time.Now().Add(time.Duration(i)*2*delay/time.Duration(n)))
			}
			failed.add(f.endByProvider(ctx, p, i%2 == 0))
		})
		rig.Pass(ctx, time.Now().Add(arrival))
	}
	logouts.Wait()
	close(release)
	acts.Wait()

	var signedIn []*person
	for _, p := range people {
		if p.Cookie != "" {
			signedIn = append(signedIn, p)
		}
	}
	for range 4 { // for a while nothing comes back
		if where := f.passesSomewhere(ctx, signedIn); where != nil {
			r.fail("ended by the provider, and still let in: %v", where)
			break
		}
		f.settled(ctx)
	}
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	if err := failed.err(); err != nil {
		r.fail("%v", err)
	}
	r.LoggedOut = n // as it wants
	if c.grant == rig.LoginGrant {
		r.note("callbacks by status: %v; %d of them with a cookie, which opens nothing", callbacks, len(signedIn))
	}
	r.expect("records that are left", r.Records, 0)
	r.expect("reuse rejections", r.Reuse, 0)
	if r.Grants > n {
		r.fail("%d refresh grants for %d people", r.Grants, n)
	}
	r.expect("answers other than 200 and 401", t.others(http.StatusOK, http.StatusUnauthorized), 0)
	f.add(r)
	return ctx.Err()
}

// endByProvider lets the provider send a logout token, by subject or by its session, and again where it is asked to.
func (f *flagship) endByProvider(ctx context.Context, p *person, bySubject bool) error {
	subject, sid := p.Name, ""
	if !bySubject {
		sids := f.Provider.SessionIDs(p.Name)
		if len(sids) != 1 {
			return fmt.Errorf("%s has %d sessions at the provider", p.Name, len(sids))
		}
		subject, sid = "", sids[0]
	}
	err := rig.WaitFor(ctx, 3*time.Second, func(ctx context.Context) error {
		status, err := f.Provider.SendBackchannelLogout(ctx, rig.ClientID, subject, sid, nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("/backchannel-logout answers %d", status)
		}
		return err
	})
	if errors.Is(err, context.Canceled) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"authsvc/e2e/rig"
	"authsvc/e2e/shifted"
)

const clocksNumber = "9"

// clockShifts are by how much the clocks of the replicas are wrong; the third is right.
var clockShifts = []time.Duration{4 * time.Minute, -4 * time.Minute, 0}

// clocks is scenario 9: the clocks of two replicas are wrong, so that they differ by eight minutes, and each by four from everybody else's.
// Twice the tokens of all fall due; then sessions that live for seconds only end when they should.
func (f *flagship) clocks(ctx context.Context, people []*person) error {
	wrong := func(settings ...string) (changes []rig.Change) {
		for _, shift := range clockShifts {
			changes = append(changes, rig.Change{Program: f.shifted, Env: append([]string{shifted.Variable + "=" + shift.String()}, settings...)})
		}
		return changes
	}
	if err := f.Restart(ctx, f.Replicas, wrong()...); err != nil {
		return err
	}
	third := (len(people) + 2) / 3
	signIn := &row{Number: "9a", What: "clocks 4 minutes fast and slow: sign in"}
	for i, one := range f.Replicas {
		off, err := clockOff(one)
		if err != nil {
			return err
		}
		if signIn.note("the clock of %s is %v off", one.Name, off.Round(time.Second)); (off - clockShifts[i]).Abs() > 30*time.Second {
			signIn.fail("the clock of %s is not shifted by %v, so that nothing was tried", one.Name, clockShifts[i])
		}
	}
	err := f.refreshing(ctx, people[third:], refreshing{
		signIn:    signIn,
		due:       &row{Number: "9b", What: "clocks 4 minutes fast and slow: due"},
		expired:   &row{Number: "9c", What: "clocks 4 minutes fast and slow: expired"},
		life:      10 * time.Second,
		settle:    10 * time.Second,
		atOnce:    3 * workers,
		interval:  arrival,
		answering: f.Provider.Honest,
	})
	if err != nil {
		return err
	}
	settings := []string{"AUTHSVC_SESSION_IDLE_TIMEOUT=" + idleLife.String(), "AUTHSVC_SESSION_ABSOLUTE_TIMEOUT=" + absoluteLife.String()}
	if err := f.Restart(ctx, f.Replicas, wrong(settings...)...); err != nil {
		return err
	}
	return f.lifetimes(ctx, people[:third])
}

// clockOff is by how much the clock is off by which the replica dates the lines of its log.
func clockOff(one *rig.Replica) (time.Duration, error) {
	text, err := os.ReadFile(one.Log)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", one.Name, err)
	}
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	var last struct {
		Time time.Time `json:"time"`
	}
	if err := json.Unmarshal(lines[len(lines)-1], &last); err != nil {
		return 0, fmt.Errorf("%s: the last line of its log: %w", one.Name, err)
	}
	return time.Until(last.Time), nil
}

// Lifetimes of the sessions whose end is awaited.
const (
	idleLife     = 4 * time.Second
	absoluteLife = 10 * time.Second
)

// lifetimes is a row about session.idle_timeout and session.absolute_timeout. Half of the people work on, at all replicas in turn, until they are
// refused; the others come again once, when they have been away for too long.
func (f *flagship) lifetimes(ctx context.Context, people []*person) error {
	n := len(people)
	r := &row{Number: "9d", What: "clocks 4 minutes fast and slow: sessions end", Users: n}
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.Provider.TokensLive(rig.LongLife)
	var t tally
	var failed failures
	var mu sync.Mutex
	var lives []time.Duration
	var early, late int
	var all sync.WaitGroup
	for i, p := range people {
		if err := p.SignIn(ctx); err != nil {
			failed.add(err)
			continue
		}
		at := func(k int) func(context.Context) rig.Answer {
			return t.add(p, func(ctx context.Context) (rig.Answer, error) { return p.AskAt(ctx, f.Replicas[k%len(f.Replicas)]) })
		}
		if i%2 == 0 {
			all.Go(func() {
				rig.Pass(ctx, p.SignedIn.Add(idleLife+idleLife/2)) // touching sets 1.1 × idle_timeout
				if a := at(i / 2)(ctx); a.Status != http.StatusUnauthorized {
					mu.Lock()
					defer mu.Unlock()
					late++
				}
			})
			continue
		}
		all.Go(func() {
			// The login itself takes a moment, and the session begins within it.
			for k := i; ctx.Err() == nil && time.Since(p.SignedIn) < 2*absoluteLife; k++ {
				asked := time.Now()
				if a := at(k)(ctx); a.Status == http.StatusUnauthorized {
					mu.Lock()
					defer mu.Unlock()
					if lives = append(lives, asked.Sub(p.SignedIn)); time.Since(p.Began) < absoluteLife {
						early++
					}
					return
				}
				rig.Pass(ctx, asked.Add(200*time.Millisecond))
			}
		})
	}
	all.Wait()
	if err := f.close(ctx, r, b, &t); err != nil {
		return err
	}
	if err := failed.err(); err != nil {
		r.fail("%v", err)
	}
	r.Non200 = t.others(http.StatusOK, http.StatusUnauthorized)
	r.LoggedOut = len(f.loggedOut(ctx, people))
	longest := percentile(lives, 1)
	r.note("idle_timeout %v, absolute_timeout %v: who worked on was refused after %v to %v", idleLife, absoluteLife,
		percentile(lives, 0).Round(time.Millisecond), longest.Round(time.Millisecond))
	r.expect("people who worked on and were refused at last", len(lives), n/2)
	r.expect("of them, before absolute_timeout was over", early, 0)
	r.expect("people who were away for longer than idle_timeout, and were let in", late, 0)
	r.expect("answers other than 200 and 401", r.Non200, 0)
	if limit := absoluteLife + 2*time.Second; longest > limit {
		r.fail("somebody was let in until %v after the login", longest)
	}
	f.add(r)
	return ctx.Err()
}

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

const (
	trickle = 4  // logouts a second, and as many logins
	haunted = 10 // of so many verdicts, one is about a session that has ended
	ghosts  = 30 // sessions that have ended last and are still asked for
)

// load is the people's work: verdicts at an even pace, whatever becomes of those before, and a trickle of logouts and logins.
type load struct {
	*stage
	history *history.History
	buttons bool // nobody signs out through the provider
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu    sync.Mutex
	ended []shown
	out   []*visitor // who is signed out
}

// startLoad begins the work; end ends it.
func (s *stage) startLoad(ctx context.Context, h *history.History, buttons bool) *load {
	l := &load{stage: s, history: h, buttons: buttons}
	pacing, cancel := context.WithCancel(ctx)
	l.cancel = cancel
	l.running.Go(func() { l.evenly(pacing, s.rate, func(i int, due time.Time) { l.verdict(ctx, i, due) }) })
	l.running.Go(func() { l.evenly(pacing, trickle, func(i int, _ time.Time) { l.change(ctx, i) }) })
	return l
}

// end ends the work and returns when all has been answered.
func (l *load) end() {
	l.cancel()
	l.running.Wait()
}

// evenly does something so many times a second. What takes long does not delay the next.
func (l *load) evenly(ctx context.Context, rate int, do func(i int, due time.Time)) {
	start := time.Now()
	for i := 0; ; i++ {
		due := start.Add(time.Duration(i) * time.Second / time.Duration(rate))
		rig.Pass(ctx, due)
		if ctx.Err() != nil {
			return
		}
		l.running.Go(func() { do(i, due) })
	}
}

// verdict asks about the next session, or about one that has ended, at the next replica.
func (l *load) verdict(ctx context.Context, i int, due time.Time) {
	var at *rig.Replica
	if !l.own.nginx {
		at = l.Replicas[i%len(l.Replicas)]
	}
	if i%haunted == 0 {
		l.mu.Lock()
		show := shown{}
		if n := len(l.ended); n > 0 {
			show = l.ended[n-1-rand.IntN(min(n, ghosts))]
		}
		l.mu.Unlock()
		if show.session != "" {
			l.ask(ctx, show, at, due, l.history)
			return
		}
	}
	for k := range l.people { // the next who is signed in
		if show, in := l.people[(i+k)%len(l.people)].shown(); in {
			l.ask(ctx, show, at, due, l.history)
			return
		}
	}
}

// change lets somebody sign out, in every fourth case by the provider, and somebody who is out sign in.
func (l *load) change(ctx context.Context, i int) {
	v := l.people[rand.IntN(len(l.people))]
	if had, in := v.signOut(ctx, l.replica(), i%4 == 3 && !l.buttons, l.history); in {
		l.mu.Lock()
		l.ended = append(l.ended, had)
		l.out = append(l.out, v)
		l.mu.Unlock()
	}
	l.mu.Lock()
	var back *visitor
	if len(l.out) > 5 { // they stay away for a second or so
		back, l.out = l.out[0], l.out[1:]
	}
	l.mu.Unlock()
	if back != nil {
		back.signIn(ctx, l.replica(), l.replica(), l.history) // whoever fails is recorded, and stays out
	}
}

// sweep asks about every session that lives, and about those that have ended. Whoever is told that nobody knows asks again, for a while: how soon all is well is not what a sweep is for.
func (s *stage) sweep(ctx context.Context, h *history.History, ended ...shown) error {
	next := make(chan shown, len(s.people)+len(ended))
	for _, show := range ended {
		next <- show
	}
	for _, v := range s.people {
		if show, in := v.shown(); in {
			next <- show
		}
	}
	close(next)
	var all sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		all.Go(func() {
			at := i
			for show := range next {
				at++
				errs[i] = cmp.Or(errs[i], rig.WaitFor(ctx, s.patiently(settle), func(ctx context.Context) error {
					if status := s.ask(ctx, show, s.Replicas[at%len(s.Replicas)], time.Now(), h); status == 0 || status >= 500 {
						return fmt.Errorf("the sweep in the end: still %d", status)
					}
					return nil
				}))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

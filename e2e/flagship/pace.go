package main

import (
	"context"
	"runtime"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// workers is how many people are served at once where nobody has to wait: enough to keep the machine busy, few enough that
// a request does not spend its 150 ms in a queue that only the test makes.
var workers = 2 * runtime.NumCPU()

// tide brings people through a first and a second act, of which the second has a time: it may begin at ripe(p), and should within
// the window after that. Who is ripe goes before who is new, and no more wait between the acts than the machine has shown
// to serve within the window. So the machine is busy, whatever it is, and nearly nobody is late.
type tide struct {
	people        []*person
	first, second func(context.Context, *person)
	ripe          func(*person) time.Time
	window        time.Duration
	progress      func(done int)

	mu      sync.Mutex
	next    int       // the first who is new
	between int       // those who are between the acts, or in the first
	queue   []*person // those who are between the acts
	done    int
	each    time.Duration // what a second act takes, of one worker
}

func (t *tide) run(ctx context.Context) {
	var all sync.WaitGroup
	for range workers {
		all.Go(func() { t.work(ctx) })
	}
	all.Wait()
}

func (t *tide) work(ctx context.Context) {
	for ctx.Err() == nil {
		p, second, wait := t.take()
		switch {
		case p == nil && wait == 0:
			return
		case p == nil:
			rig.Pass(ctx, time.Now().Add(wait))
		case second:
			start := time.Now()
			t.second(ctx, p)
			t.finish(time.Since(start))
		default:
			t.first(ctx, p)
			t.mu.Lock()
			t.queue = append(t.queue, p)
			t.mu.Unlock()
		}
	}
}

// take returns the next person and the act, or how long to wait; nothing when all is done or about to be.
func (t *tide) take() (p *person, second bool, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 && !time.Now().Before(t.ripe(t.queue[0])) {
		p, t.queue = t.queue[0], t.queue[1:]
		return p, true, 0
	}
	if t.next < len(t.people) && t.between < t.limit() {
		p = t.people[t.next]
		t.next++
		t.between++
		return p, false, 0
	}
	if t.next == len(t.people) && t.between == 0 {
		return nil, false, 0
	}
	return nil, false, 5 * time.Millisecond
}

// limit is how many may be between the acts.
func (t *tide) limit() int {
	const unknown = 200
	if t.each == 0 {
		return unknown
	}
	return max(workers, int(0.6*float64(t.window)*float64(workers)/float64(t.each)))
}

func (t *tide) finish(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.between--
	t.done++
	if t.each == 0 {
		t.each = took
	}
	t.each += (took - t.each) / 50 // a moving average
	t.progress(t.done)
}

// inTurn serves people in their order, so many at once, one after the other by at least interval, and nobody before ripe.
func inTurn(ctx context.Context, people []*person, atOnce int, interval time.Duration, ripe func(*person) time.Time, serve func(context.Context, *person), progress func(done int)) {
	places := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	var mu sync.Mutex
	done := 0
	next := time.Now()
	for _, p := range people {
		if at := ripe(p); at.After(next) {
			next = at
		}
		rig.Pass(ctx, next)
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		next = time.Now().Add(interval)
		all.Go(func() {
			serve(ctx, p)
			<-places
			mu.Lock()
			defer mu.Unlock()
			done++
			progress(done)
		})
	}
	all.Wait()
}

// arrival is the time between two people whose 20 requests wait for refresh_wait, each with two connections of an nginx that has 4,096.
const arrival = 40 * time.Millisecond

// ripeNow is for those who need not wait.
func ripeNow(*person) time.Time { return time.Time{} }

func noProgress(int) {}

package main

import (
	"context"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// person is somebody with a browser.
type person struct {
	rig.Person
	asked time.Time // when the last burst was answered
}

// burst opens n pages at once and adds what came to the tally.
func (p *person) burst(ctx context.Context, n int, t *tally) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() { t.add(p, p.Ask)(ctx) })
	}
	all.Wait()
	p.asked = time.Now()
}

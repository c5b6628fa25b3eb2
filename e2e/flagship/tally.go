package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

// tally counts answers. It is safe for concurrent use.
type tally struct {
	mu       sync.Mutex
	took     []time.Duration
	statuses map[int]int            // 0: no answer
	refused  map[string]map[int]int // by who asked; what was not 200
	hungUp   int                    // requests that were given up on purpose
	wrong    []string               // answers that took a person for another
}

// add returns ask as a function that counts its answer.
func (t *tally) add(p *person, ask func(context.Context) (rig.Answer, error)) func(context.Context) rig.Answer {
	return func(ctx context.Context) rig.Answer {
		a, err := ask(ctx)
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.statuses == nil {
			t.statuses, t.refused = map[int]int{}, map[string]map[int]int{}
		}
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
			t.hungUp++
			return a
		}
		if err != nil {
			a.Status = 0
		}
		t.took = append(t.took, a.Took)
		t.statuses[a.Status]++
		switch {
		case a.Status != http.StatusOK:
			if t.refused[p.Name] == nil {
				t.refused[p.Name] = map[int]int{}
			}
			t.refused[p.Name][a.Status]++
		case a.User != p.Name:
			t.wrong = append(t.wrong, fmt.Sprintf("%s was taken for %q", p.Name, a.User))
		}
		return a
	}
}

// loggedOutOf returns who was asked to sign in.
func loggedOutOf(tallies ...*tally) map[string]bool {
	out := map[string]bool{}
	for _, t := range tallies {
		t.mu.Lock()
		for name, statuses := range t.refused {
			if statuses[http.StatusUnauthorized] > 0 {
				out[name] = true
			}
		}
		t.mu.Unlock()
	}
	return out
}

// others counts the answers that have none of these statuses.
func (t *tally) others(statuses ...int) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for status, count := range t.statuses {
		if !slices.Contains(statuses, status) {
			n += count
		}
	}
	return n
}

// percentile of the times, from 0 to 1; 1 is the longest.
func percentile(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

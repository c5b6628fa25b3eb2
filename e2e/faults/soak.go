package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// soak plays rows in random order, with random pauses, on the parts of one topology, until the time is over. The last result tells what each replica holds
// more of than in the beginning.
func soak(ctx context.Context, o options, dir string, plays []play, say func(string, ...any)) (results []result, err error) {
	on := plays[0].topology
	plays = slices.DeleteFunc(plays, func(p play) bool {
		return p.topology != on || p.row.own.any() || p.row.own.shifted || p.row.missing != nil && p.row.missing() != ""
	})
	if len(plays) == 0 {
		return nil, errors.New("-soak: none of these rows shares its parts with others")
	}
	for o.seed == 0 {
		o.seed = rand.Uint64()
	}
	say("%d rows on %s for %v; -seed %d plays them in this order again", len(plays), on, o.soak, o.seed)
	s := &stage{Rig: &rig.Rig{Program: o.program, Dir: folder(dir, on, 0, 1)}, options: o, topology: on, say: say}
	defer func() { err = errors.Join(err, s.strike()) }()
	if err := s.raise(ctx); err != nil {
		return nil, fmt.Errorf("the parts on %s: %w", on, err)
	}
	random := rand.New(rand.NewPCG(o.seed, 0))
	end := time.Now().Add(o.soak)
	// The first row fills pools and caches.
	first, err := s.soaked(ctx, plays[random.IntN(len(plays))].row, &results)
	if err != nil {
		return results, err
	}
	last := first
	for time.Now().Before(end) && ctx.Err() == nil {
		s.pause = time.Duration(random.IntN(5000)) * time.Millisecond
		if last, err = s.soaked(ctx, plays[random.IntN(len(plays))].row, &results); err != nil {
			return results, err
		}
	}
	if ctx.Err() != nil {
		return results, errors.New("interrupted")
	}
	return append(results, s.grown(first, last)), nil
}

// soaked plays one row, brings the stage in order, and returns what replicas hold then.
func (s *stage) soaked(ctx context.Context, r row, results *[]result) (map[string]holdings, error) {
	result, _, err := playConclusively(ctx, play{r, s.topology}, s.say, func(int) (*stage, error) { return s, nil })
	if err != nil {
		return nil, err
	}
	*results = append(*results, result)
	s.say("%-5s %-6s %s: %s (%.0f s)", result.ID, result.verdict(), result.Name, result.seen(), result.Seconds)
	for _, failure := range result.Failures {
		s.say("      FAILED: %s", failure)
	}
	if err := s.settle(ctx); err != nil {
		return nil, fmt.Errorf("after %s: %w", r.id, err)
	}
	return s.measure(ctx)
}

// grown is the result that compares the end with the beginning.
func (s *stage) grown(first, last map[string]holdings) result {
	r := result{ID: "soak", Name: fmt.Sprintf("%v of random faults", s.soak), Topology: s.topology, Bound: "nothing grows"}
	for _, one := range s.Replicas {
		was, is := first[one.Name], last[one.Name]
		r.Notes = append(r.Notes, fmt.Sprintf("%s: goroutines %.0f to %.0f, files %.0f to %.0f, MiB %.0f to %.0f, of %.0f to %.0f resident", one.Name,
			was.Goroutines, is.Goroutines, was.Files, is.Files, was.Memory/(1<<20), is.Memory/(1<<20), was.resident/(1<<20), is.resident/(1<<20)))
		is.PID = was.PID // also when it was started anew
		for _, text := range history.LeftOver(was.Resources, is.Resources, s.slack()) {
			r.fail("%s holds %s", one.Name, text)
		}
	}
	return r
}

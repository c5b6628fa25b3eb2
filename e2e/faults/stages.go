package main

import (
	"context"
	"errors"
	"fmt"

	"authsvc/e2e/rig"
)

// playAll plays the rows one after the other. Rows of one topology share a stage, unless a row needs one of its own. What stops a stage from standing ends everything;
// a row that fails does not.
func playAll(ctx context.Context, o options, dir string, plays []play, say func(string, ...any)) (results []result, err error) {
	var shared *stage
	strike := func() {
		if shared != nil {
			err = errors.Join(err, shared.strike())
			shared = nil
		}
	}
	defer strike()
	for i, p := range plays {
		if ctx.Err() != nil {
			return results, errors.Join(err, errors.New("interrupted"))
		}
		if p.row.missing != nil {
			if why := p.row.missing(); why != "" {
				results = append(results, result{ID: p.row.id, Name: p.row.name, Topology: p.topology, Bound: p.row.bound, NotRun: why})
				say("%-5s %-10s not run: %s", p.row.id, p.topology, why)
				continue
			}
		}
		if shared != nil && shared.topology != p.topology {
			strike()
		}
		r, s, oops := playConclusively(ctx, p, say, func(try int) (*stage, error) {
			if shared != nil && !p.row.own.any() {
				return shared, nil
			}
			s := &stage{Rig: &rig.Rig{Program: o.program, Dir: folder(dir, p.topology, i, try)}, options: o, topology: p.topology, own: p.row.own, say: say}
			if err := s.raise(ctx); err != nil {
				return nil, errors.Join(fmt.Errorf("the parts for %s on %s: %w", p.row.id, p.topology, err), s.strike())
			}
			if !p.row.own.any() {
				shared = s
			}
			return s, nil
		})
		if oops != nil {
			return results, errors.Join(err, oops)
		}
		if ctx.Err() != nil { // it proves nothing
			if s != shared {
				err = s.strike()
			}
			return results, errors.Join(err, errors.New("interrupted"))
		}
		results = append(results, r)
		say("%-5s %-10s %-6s %s: %s (%.0f s)", r.ID, r.Topology, r.verdict(), r.Name, r.seen(), r.Seconds)
		for _, failure := range r.Failures {
			say("      FAILED: %s", failure)
		}
		switch {
		case s != shared:
			err = errors.Join(err, s.strike())
		case !r.holds(): // who knows what it left
			strike()
		default:
			if oops := s.settle(ctx); oops != nil {
				say("      the stage is no good any more, so another one: %v", oops)
				strike()
			}
		}
		if err != nil {
			return results, err
		}
	}
	return results, err
}

// playConclusively plays a row, and again, on the stage that it is given for each try, where the machine was too busy to prove anything. The last stage stands.
func playConclusively(ctx context.Context, p play, say func(string, ...any), raise func(try int) (*stage, error)) (result, *stage, error) {
	const tries = 3
	for try := 1; ; try++ {
		s, err := raise(try)
		if err != nil {
			return result{}, nil, err
		}
		r := s.play(ctx, p.row)
		if !r.inconclusive || ctx.Err() != nil {
			return r, s, nil
		}
		if try == tries {
			r.fail("the machine was too busy to prove anything, each of %d times", tries)
			return r, s, nil
		}
		say("%-5s %-10s was played on a machine that was too busy to prove anything; once more", p.row.id, p.topology)
		if s.own.any() {
			err = s.strike()
		} else {
			err = s.settle(ctx)
		}
		if err != nil {
			return result{}, nil, fmt.Errorf("after %s on %s: %w", p.row.id, p.topology, err)
		}
	}
}

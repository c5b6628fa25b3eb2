package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"authsvc/e2e/rig"
)

const (
	// fewPeople leave the machine idle most of the time, while tokens and leases run out, so that several scenarios can run at once.
	fewPeople = 1000
	// tries is how often a scenario is tried in all that fails while the machine is too busy to prove anything.
	tries = 3
)

// runAll runs the scenarios, first those with many people one by one, then the others, some at once, and returns their rows by number; those so
// far, where something fails. What failed while the machine was too busy to prove anything is tried again at the end, one by one.
func runAll(ctx context.Context, o flags, dir string, chosen []scenario, say func(string, ...any)) (rows []*row, err error) {
	say("for each scenario: redis-server, a provider, %d replicas of authsvc, nginx and an application", replicaCount)
	var many, few, again []scenario
	for _, s := range chosen {
		if s.people(o) > fewPeople {
			many = append(many, s)
		} else {
			few = append(few, s)
		}
	}
	turn := func(scenarios []scenario, atOnce, try int) {
		if err == nil {
			var done []*row
			var inconclusive []scenario
			done, inconclusive, err = runOnce(ctx, o, dir, scenarios, atOnce, try, say)
			rows, again = append(rows, done...), append(again, inconclusive...)
		}
	}
	turn(many, 1, 1)
	turn(few, o.atOnce, 1)
	for try := 2; try <= tries; try++ {
		failed := again
		again = nil
		turn(failed, 1, try)
	}
	slices.SortFunc(rows, func(a, b *row) int {
		return cmp.Or(cmp.Compare(scenarioOf(a), scenarioOf(b)), strings.Compare(a.Number, b.Number))
	})
	return rows, err
}

// runOnce runs each of the scenarios once. It returns those that are to be tried again.
func runOnce(ctx context.Context, o flags, dir string, chosen []scenario, atOnce, try int, say func(string, ...any)) (rows []*row, again []scenario, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan scenario, len(chosen))
	for _, s := range chosen {
		next <- s
	}
	close(next)
	var mu sync.Mutex
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for s := range next {
				f := &flagship{Rig: &rig.Rig{Program: o.program, Dir: filepath.Join(dir, fmt.Sprintf("%s-%d", s.number, try))}, shifted: o.shifted, say: say, pulse: rig.Pulse{Limit: storeTimeout}}
				oops := f.run(ctx, s, s.people(o))
				mu.Lock()
				switch {
				case ctx.Err() != nil:
					err = errors.Join(err, fmt.Errorf("scenario %s: interrupted", s.number))
				case try < tries && f.pulse.WasSlow() && (oops != nil || slices.ContainsFunc(f.rows, (*row).failed)):
					say("%-3s failed on a machine that was too busy to prove anything; later once more (%v)", s.number, cmp.Or(oops, errors.New("as above")))
					again = append(again, s)
				case oops != nil:
					err = errors.Join(err, fmt.Errorf("scenario %s: %w", s.number, oops))
					cancel()
					fallthrough
				default:
					for _, r := range f.rows {
						if try > 1 {
							r.note("try %d; before, the machine was too busy", try)
						}
					}
					rows = append(rows, f.rows...)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return rows, again, err
}

// scenarioOf is the row's number without its letter.
func scenarioOf(r *row) int {
	n, err := strconv.Atoi(strings.TrimRight(r.Number, "abcdefgh"))
	if err != nil {
		panic(fmt.Sprintf("a row has the number %q", r.Number))
	}
	return n
}

// run starts all parts, runs the scenario for so many people, and stops them.
func (f *flagship) run(ctx context.Context, s scenario, n int) (err error) {
	if err := os.Mkdir(f.Dir, 0o700); err != nil {
		return fmt.Errorf("a folder of its own: %w", err)
	}
	defer func() { err = errors.Join(err, f.Stop()) }()
	people, names := make([]*person, n), make([]string, n)
	for i := range people {
		names[i] = fmt.Sprintf("user-%s-%05d", s.number, i)
		people[i] = &person{Person: rig.Person{Rig: f.Rig, Name: names[i]}}
	}
	if err := f.start(ctx, names); err != nil {
		return err
	}
	feeling, rest := context.WithCancel(ctx)
	var pulse sync.WaitGroup
	defer pulse.Wait()
	defer rest()
	pulse.Go(func() { f.pulse.Feel(feeling, f.Redis) })
	return s.run(f, ctx, people)
}

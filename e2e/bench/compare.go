package main

import (
	"context"
	"fmt"
	"time"
)

// reading is what came of one load.
type reading struct {
	answers
	cpu      float64 // milliseconds for 1,000 requests
	mallocs  float64 // a request
	commands float64 // of Redis, for 1,000 requests
}

// measure lets its crowd ask the subject. An answer other than a pass is an error: the figures would be of something else.
func (b *bench) measure(ctx context.Context, s subject, connections, seconds int) (r reading, err error) {
	idle, err := s.counters(ctx)
	if err != nil {
		return r, err
	}
	before, err := s.counters(ctx)
	if err != nil {
		return r, err
	}
	cpu, err := s.cpu()
	if err != nil {
		return r, err
	}
	if r.answers, err = wrk(ctx, s.address, s.crowd, connections, seconds); err != nil {
		return r, fmt.Errorf("%s: %w", s.name, err)
	}
	after, err := s.cpu()
	if err != nil {
		return r, err
	}
	counted, err := s.counters(ctx)
	if err == nil {
		err = r.err()
	}
	if refused := counted.refused - before.refused; err == nil && refused > 0 {
		err = fmt.Errorf("%.0f of %d verdicts were not to let in", refused, r.requests)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", s.name, err)
	}
	n := float64(r.requests)
	r.cpu = (after - cpu).Seconds() * 1e6 / n
	// Without what it takes to tell them: that was told before, too.
	r.mallocs = (counted.mallocs - before.mallocs - (before.mallocs - idle.mallocs)) / n
	r.commands = (counted.commands - before.commands) * 1000 / n
	return r, nil
}

func (s subject) cpu() (sum time.Duration, err error) {
	for _, pid := range s.pids {
		one, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// pair is one round: the limit and ours, one right after the other.
type pair struct{ limit, ours reading }

// compare measures both in turn, round after round; who is first changes. Before the first round each has a moment to get warm.
func (b *bench) compare(ctx context.Context, limit, ours subject) (pairs []pair, err error) {
	for _, s := range []subject{limit, ours} {
		if _, err := b.measure(ctx, s, b.connections, 1); err != nil {
			return nil, err
		}
	}
	for round := range b.rounds {
		var p pair
		order := []func() error{
			func() (err error) { p.limit, err = b.measure(ctx, limit, b.connections, b.seconds); return err },
			func() (err error) { p.ours, err = b.measure(ctx, ours, b.connections, b.seconds); return err },
		}
		if round%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, measure := range order {
			if err := measure(); err != nil {
				return nil, err
			}
		}
		pairs = append(pairs, p)
		b.say("round %d: %s %s /s, %.1f ms of CPU; %s %s /s, %.1f ms", round+1, limit.name, decimal(p.limit.rate()), p.limit.cpu, ours.name, decimal(p.ours.rate()), p.ours.cpu)
	}
	return pairs, nil
}

// figureOf takes a sample of each pair.
func figureOf(pairs []pair, sample func(p pair) float64) figure {
	samples := make([]float64, len(pairs))
	for i, p := range pairs {
		samples[i] = sample(p)
	}
	return newFigure(samples...)
}

// Samples of a pair.
func rateRatio(p pair) float64    { return p.ours.rate() / p.limit.rate() }
func cpuRatio(p pair) float64     { return p.ours.cpu / p.limit.cpu }
func limitRate(p pair) float64    { return p.limit.rate() }
func limitCPU(p pair) float64     { return p.limit.cpu }
func ourCPU(p pair) float64       { return p.ours.cpu }
func moreMallocs(p pair) float64  { return p.ours.mallocs - p.limit.mallocs }
func limitMallocs(p pair) float64 { return p.limit.mallocs }

// latencies tells the tails of both, for people.
func latencies(pairs []pair) string {
	milliseconds := func(of func(p pair) time.Duration) string {
		return decimal(figureOf(pairs, func(p pair) float64 { return of(p).Seconds() * 1e3 }).Median)
	}
	return fmt.Sprintf("p50/p99 ms: %s/%s, the limit %s/%s",
		milliseconds(func(p pair) time.Duration { return p.ours.p50 }), milliseconds(func(p pair) time.Duration { return p.ours.p99 }),
		milliseconds(func(p pair) time.Duration { return p.limit.p50 }), milliseconds(func(p pair) time.Duration { return p.limit.p99 }))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// bench is what all scenarios have to hand.
type bench struct {
	options
	dir   string
	calm  time.Duration // before each scenario, in which the machine is looked at
	say   func(format string, args ...any)
	stops []func() error
	rows  []*row // of the scenario that runs

	verdicts *verdicts // nil until a scenario needs it
	big      *crowded
	sizing   *sizing // nil but for scale
}

// scenario makes rows.
type scenario struct {
	name string
	rows []row
	run  func(b *bench, ctx context.Context) error
}

func (b *bench) onStop(stop func() error) { b.stops = append(b.stops, stop) }

func (b *bench) stop() error {
	var errs []error
	for _, stop := range slices.Backward(b.stops) {
		errs = append(errs, stop())
	}
	b.stops = nil
	return errors.Join(errs...)
}

// row is the one of that ID, of the scenario that runs.
func (b *bench) row(id string) *row {
	i := slices.IndexFunc(b.rows, func(r *row) bool { return r.ID == id })
	return b.rows[i]
}

// fill says what came of a row, and what of its limit.
func (b *bench) fill(id string, f figure, limit string, args ...any) *row {
	r := b.row(id)
	r.Measured, r.Limit = &f, fmt.Sprintf(limit, args...)
	return r
}

// play runs a scenario. Whatever comes of it, each of its rows says so.
func (b *bench) play(ctx context.Context, s scenario) []*row {
	b.rows = nil
	for _, r := range s.rows {
		b.rows = append(b.rows, &r)
	}
	idle, err := lookAtMachine()
	var begun, ended machine
	if err == nil {
		pause(ctx, b.calm)
		begun, err = lookAtMachine()
	}
	if err == nil {
		b.say("%s; other programs use %.1f cores", s.name, begun.others(idle))
		err = s.run(b, ctx)
	}
	if last, lastErr := lookAtMachine(); lastErr == nil {
		ended = last
	} else {
		err = errors.Join(err, lastErr)
	}
	for _, r := range b.rows {
		if err != nil {
			r.fail("%v", err)
		}
		if !begun.at.IsZero() && !ended.at.IsZero() {
			r.Before, r.During = begun.others(idle), ended.others(begun)
		}
		r.judge()
		b.say("%s  %s: %s, target %v", r.verdict(), r.Case, r.measured(), r.Target)
	}
	return b.rows
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

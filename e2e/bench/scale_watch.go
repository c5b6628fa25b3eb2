package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"authsvc/e2e/rig"
)

// watch finds out what held Redis up, by its own latency monitor, and by a sign of life that it is asked for all the while.
type watch struct {
	d     *deployment
	pulse rig.Pulse
	stop  context.CancelFunc
	ended chan struct{}
}

// watchRedis begins to look.
func (d *deployment) watchRedis(ctx context.Context) (*watch, error) {
	for _, args := range [][]any{
		{"CONFIG", "SET", "latency-monitor-threshold", 1, "slowlog-log-slower-than", 1000}, // a millisecond each
		{"LATENCY", "RESET"}, {"SLOWLOG", "RESET"},
	} {
		if err := d.Redis.Do(ctx, args...).Err(); err != nil {
			return nil, fmt.Errorf("%v: %w", args[:2], err)
		}
	}
	w := &watch{d: d, ended: make(chan struct{})}
	feeling, stop := context.WithCancel(ctx)
	w.stop = stop
	go func() {
		defer close(w.ended)
		w.pulse.Feel(feeling, d.Redis)
	}()
	return w, nil
}

// end returns the longest that Redis did nothing else, in milliseconds, and what that was and how long an answer took, for people. A second time it fails.
func (w *watch) end(ctx context.Context) (longest float64, told string, err error) {
	w.stop()
	<-w.ended
	var parts []string
	events, err := w.d.Redis.Do(ctx, "LATENCY", "LATEST").Slice()
	if err != nil {
		return 0, "", fmt.Errorf("LATENCY LATEST: %w", err)
	}
	for _, event := range events {
		fields, _ := event.([]any) // its name, when it was last, how long that took, and how long it ever took
		if len(fields) < 4 {
			return 0, "", errors.New("LATENCY LATEST is not as expected")
		}
		most, ok := fields[3].(int64)
		if !ok {
			return 0, "", errors.New("LATENCY LATEST is not as expected")
		}
		longest = max(longest, float64(most))
		parts = append(parts, fmt.Sprintf("%v %d ms", fields[0], most))
	}
	commands, err := w.d.Redis.SlowLogGet(ctx, -1).Result()
	if err != nil {
		return 0, "", fmt.Errorf("SLOWLOG GET: %w", err)
	}
	var slowest time.Duration
	command := ""
	for _, one := range commands {
		if one.Duration > slowest {
			slowest, command = one.Duration, one.Args[0]
		}
	}
	longest = max(longest, slowest.Seconds()*1e3)
	if slowest > 0 {
		parts = append(parts, fmt.Sprintf("%s %s ms", command, decimal(slowest.Seconds()*1e3)))
	}
	var ping time.Duration
	for _, beat := range w.pulse.Take() {
		ping = max(ping, beat.Took)
	}
	parts = append(parts, fmt.Sprintf("a PING was answered after %s ms at the longest", decimal(ping.Seconds()*1e3)))
	return longest, strings.Join(parts, "; "), nil
}

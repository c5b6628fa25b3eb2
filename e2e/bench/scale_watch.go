package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/e2e/rig"
)

// watched finds out what holds Redis up while something happens, by its own latency monitor, and by a sign of life that it is asked for all the while. It
// returns the longest that Redis did nothing else, in milliseconds, and what that was, and after how long an answer came, for people.
func (d *deployment) watched(ctx context.Context, happens func() error) (longest float64, told string, err error) {
	for _, args := range [][]any{
		{"CONFIG", "SET", "latency-monitor-threshold", 1, "slowlog-log-slower-than", 1000}, // a millisecond each
		{"LATENCY", "RESET"}, {"SLOWLOG", "RESET"},
	} {
		if err := d.Redis.Do(ctx, args...).Err(); err != nil {
			return 0, "", fmt.Errorf("%v: %w", args[:2], err)
		}
	}
	var pulse rig.Pulse
	feeling, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pulse.Feel(feeling, d.Redis)
	}()
	err = happens()
	stop()
	<-ended
	if err != nil {
		return 0, "", err
	}
	var parts []string
	events, err := d.latencies(ctx)
	if err != nil {
		return 0, "", err
	}
	for _, name := range slices.Sorted(maps.Keys(events)) {
		longest = max(longest, events[name])
		parts = append(parts, fmt.Sprintf("%s %s ms", name, decimal(events[name])))
	}
	commands, err := d.Redis.SlowLogGet(ctx, -1).Result()
	if err != nil {
		return 0, "", fmt.Errorf("SLOWLOG GET: %w", err)
	}
	if len(commands) > 0 {
		slowest := slices.MaxFunc(commands, func(a, b redis.SlowLog) int { return cmp.Compare(a.Duration, b.Duration) })
		took := slowest.Duration.Seconds() * 1e3
		longest = max(longest, took)
		parts = append(parts, fmt.Sprintf("the slowest command was %s, %s ms", slowest.Args[0], decimal(took)))
	}
	var ping time.Duration
	for _, beat := range pulse.Take() {
		ping = max(ping, beat.Took)
	}
	parts = append(parts, fmt.Sprintf("a PING was answered within %s ms", decimal(ping.Seconds()*1e3)))
	return longest, strings.Join(parts, "; "), nil
}

// latencies are the longest of each kind of event that Redis has seen since LATENCY RESET, in milliseconds.
func (d *deployment) latencies(ctx context.Context) (map[string]float64, error) {
	events, err := d.Redis.Do(ctx, "LATENCY", "LATEST").Slice()
	if err != nil {
		return nil, fmt.Errorf("LATENCY LATEST: %w", err)
	}
	longest := map[string]float64{}
	for _, event := range events {
		fields, _ := event.([]any) // its name, when it was last, how long that took, and how long it ever took
		if len(fields) < 4 {
			return nil, fmt.Errorf("LATENCY LATEST: %v", event)
		}
		most, ok := fields[3].(int64)
		if !ok {
			return nil, fmt.Errorf("LATENCY LATEST: %v", event)
		}
		longest[fmt.Sprint(fields[0])] = float64(most)
	}
	return longest, nil
}

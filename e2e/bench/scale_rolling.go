package main

import (
	"context"
	"fmt"
	"time"

	"authsvc/e2e/rig"
)

const (
	rolled     = 3 // replicas that are replaced
	rollEvery  = 3 * time.Second
	rollSample = 200 * time.Millisecond
)

// rolling replaces the replicas behind nginx, one after the other, while people are at work: each comes with a cold cache.
func (b *bench) rolling(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d, first := c.many, len(c.many.Replicas)
	// For so long a session stays in the cache: whatever is read is for the new replicas.
	if err := d.StartReplicas(ctx, rolled, func(int) []string { return []string{"AUTHSVC_SESSION_CACHE_TTL=10m"} }); err != nil {
		return err
	}
	replicas := d.Replicas[first:]
	var addresses []string
	people := spread(c.manyCookies, someSessions)
	for _, one := range replicas {
		addresses = append(addresses, one.Address)
		if err := d.askForAll(ctx, "http://"+one.Address+"/auth", people); err != nil {
			return err
		}
	}
	site, err := d.site(ctx, "nginx-rolling", false, addresses)
	if err != nil {
		return err
	}
	crowd, err := newCrowd(d.Dir, "rolling", asBrowsers, people, pacePause)
	if err != nil {
		return err
	}
	window := rollEvery * (rolled + 1)
	quiet, quietPeak, quietReads, err := b.underLoad(ctx, d, site, crowd, 3*time.Second, nil)
	if err != nil {
		return err
	}
	if err := quiet.err(); err != nil {
		return err
	}
	seen, peak, reads, err := b.underLoad(ctx, d, site, crowd, window, func(ctx context.Context) error {
		for _, one := range replicas {
			begun := time.Now()
			if err := replace(ctx, one); err != nil {
				return err
			}
			pause(ctx, rollEvery-time.Since(begun))
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.fill("rolling-failed", newFigure(float64(seen.refused+seen.late+seen.broken+seen.unconnected)), "of %s", thousands(seen.requests))
	b.fill("rolling-p99", newFigure(seen.p99.Seconds()*1e3), "%s ms, quiet", decimal(quiet.p99.Seconds()*1e3)).
		note("p50/p99 ms: %s/%s, quiet %s/%s; %s requests a second", decimal(seen.p50.Seconds()*1e3), decimal(seen.p99.Seconds()*1e3),
			decimal(quiet.p50.Seconds()*1e3), decimal(quiet.p99.Seconds()*1e3), decimal(seen.rate()))
	b.fill("rolling-reads", newFigure(reads/float64(rolled*len(people))), "").
		note("%s reads, quiet %s; %s people at work, each asked about at each replica", thousands(int(reads)), thousands(int(quietReads)), thousands(len(people)))
	b.fill("rolling-peak", newFigure(peak), "%s, quiet", decimal(quietPeak))
	return d.retire(first)
}

// replace stops a replica as an orchestrator does, and starts it again.
func replace(ctx context.Context, one *rig.Replica) error {
	if err := one.Stop(); err != nil {
		return err
	}
	if err := one.Start(); err != nil {
		return err
	}
	return one.AwaitReady(ctx)
}

// underLoad lets the crowd ask for so long, whole seconds, while something happens, and tells the commands a second that Redis had at the peak, and how many sessions
// were read from it.
func (b *bench) underLoad(ctx context.Context, d *deployment, address string, c crowd, window time.Duration, happens func(context.Context) error) (seen answers, peak, reads float64, err error) {
	before, err := d.reads(ctx)
	if err != nil {
		return seen, 0, 0, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	peaks, outcome := make(chan float64), make(chan error, 1)
	go func() { peaks <- d.peakCommands(watching) }()
	go func() {
		if happens == nil {
			outcome <- nil
			return
		}
		outcome <- happens(ctx)
	}()
	seen, err = wrk(ctx, address, c, b.connections, int(window.Seconds()))
	stop()
	peak = <-peaks
	if failed := <-outcome; err == nil {
		err = failed
	}
	if err == nil && seen.requests == 0 {
		err = seen.err()
	}
	if err != nil {
		return seen, 0, 0, err
	}
	after, err := d.reads(ctx)
	return seen, peak, after - before, err
}

// peakCommands returns, when ctx has ended, how many commands Redis had a second when it had most.
func (d *deployment) peakCommands(ctx context.Context) (most float64) {
	last, at := -1.0, time.Now()
	for ctx.Err() == nil {
		now, err := d.info(ctx, "stats", "total_commands_processed")
		if err == nil {
			if last >= 0 {
				most = max(most, (now-last)/time.Since(at).Seconds())
			}
			last, at = now, time.Now()
		}
		pause(ctx, rollSample)
	}
	return most
}

// reads is how often a session's record was read from Redis so far.
func (d *deployment) reads(ctx context.Context) (sum float64, err error) {
	for _, master := range d.Masters {
		stats, err := master.InfoMap(ctx, "commandstats").Result()
		if err != nil {
			return 0, err
		}
		var calls float64
		text := stats["Commandstats"]["cmdstat_get"]
		if _, err := fmt.Sscanf(text, "calls=%g,", &calls); err != nil {
			return 0, fmt.Errorf("INFO commandstats: %q: %w", text, err)
		}
		sum += calls
	}
	return sum, nil
}

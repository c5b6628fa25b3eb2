package main

import (
	"context"
	"fmt"
	"time"

	"authsvc/session"
)

const (
	// endsWithin is the time in which a fifth of the sessions ends.
	endsWithin = 5 * time.Second
	// pacePause leaves the machine room: where the cores are full, a tail tells of nothing else.
	pacePause = 10 * time.Millisecond
	// By default Redis looks for dead keys only while it finds that more than a tenth of some are; with the highest effort it leaves a hundredth. (The setting
	// is active-expire-effort.)
	deadKeys = .02
	easeTime = 10 * time.Second // that Redis has by default
)

// expiry has a fifth of the sessions end within seconds, as when all have signed in at the same time of day, and looks at what others see of it.
func (b *bench) expiry(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d, first := c.many, len(c.many.Replicas)
	off, err := d.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL=0")
	if err != nil {
		return err
	}
	others, err := newCrowd(d.Dir, "staying", asGateway, spread(c.manyCookies, 10*someSessions), pacePause)
	if err != nil {
		return err
	}
	_, s, t, err := d.login(ctx, d.Replicas[0], 0)
	if err != nil {
		return err
	}
	address := "http://" + off.Address + "/auth"
	quiet, err := wrk(ctx, address, others, b.connections, int(endsWithin.Seconds()))
	if err == nil {
		err = quiet.err()
	}
	if err != nil {
		return err
	}

	keys, bytes, err := d.holds(ctx)
	if err != nil {
		return err
	}
	n := b.sessions / 5
	lead := 5*time.Second + time.Duration(1.5*float64(n)/c.rate*float64(time.Second)) // a machine that has become slower has half as much again
	begin := d.store.Now().Add(lead)
	ending, err := d.fillBy(ctx, n, 10*someSessions, func(i int) (session.Token, error) {
		one, manager := s, *d.sessions
		one.Subject = fmt.Sprintf("ending-%08d", i)
		if s.ProviderSession != "" {
			one.ProviderSession = uuid()
		}
		manager.AbsoluteTimeout = begin.Add(time.Duration(i) * endsWithin / time.Duration(n)).Sub(d.store.Now())
		token, _, err := manager.Begin(ctx, one, t)
		return token, err
	})
	if err != nil {
		return err
	}
	some := spread(ending, someSessions)
	for _, replica := range []string{address, "http://" + d.Replicas[0].Address + "/auth"} { // by which the other one has them in its cache
		if err := d.askForAll(ctx, replica, some); err != nil {
			return fmt.Errorf("before they end: %w", err)
		}
	}
	keysWith, bytesWith, err := d.holds(ctx)
	if err != nil {
		return err
	}
	wait := begin.Sub(d.store.Now())
	if wait < 0 {
		return fmt.Errorf("the machine is too busy: it needs more than %v to store %d sessions", lead, n)
	}
	pause(ctx, wait)

	w, err := d.watchRedis(ctx)
	if err != nil {
		return err
	}
	seen, err := wrk(ctx, address, others, b.connections, int((2 * endsWithin).Seconds()))
	if err != nil {
		return err
	}
	held, what, err := w.end(ctx)
	if err != nil {
		return err
	}
	pause(ctx, begin.Add(endsWithin+easeTime).Sub(d.store.Now()))
	leftByDefault, _, err := d.left(ctx, keys)
	if err != nil {
		return err
	}
	if w, err = d.watchRedis(ctx); err != nil {
		return err
	}
	if err := d.Redis.ConfigSet(ctx, "active-expire-effort", "10").Err(); err != nil {
		return err
	}
	left, bytesAfter, raised := 1.0, 0.0, time.Now()
	for ctx.Err() == nil && left > deadKeys && time.Since(raised) < time.Minute {
		pause(ctx, 100*time.Millisecond)
		if left, bytesAfter, err = d.left(ctx, keys); err != nil {
			return err
		}
	}
	took := time.Since(raised)
	heldThen, whatThen, err := w.end(ctx)
	if err != nil {
		return err
	}
	if err := d.Redis.ConfigSet(ctx, "active-expire-effort", "1").Err(); err != nil {
		return err
	}
	passed := 0
	for _, replica := range []string{address, "http://" + d.Replicas[0].Address + "/auth"} {
		n, err := d.stillPass(ctx, replica, some)
		if err != nil {
			return err
		}
		passed += n
	}
	percent, err := b.countedOff(ctx, d)
	if err != nil {
		return err
	}
	b.fill("expiry-refused", newFigure(float64(seen.refused+seen.late+seen.broken+seen.unconnected)), "of %s", thousands(seen.requests))
	b.fill("expiry-p99", newFigure(seen.p99.Seconds()*1e3), "%s ms, quiet", decimal(quiet.p99.Seconds()*1e3)).
		note("p50/p99 ms: %s/%s, quiet %s/%s; %s sessions ended", decimal(seen.p50.Seconds()*1e3), decimal(seen.p99.Seconds()*1e3),
			decimal(quiet.p50.Seconds()*1e3), decimal(quiet.p99.Seconds()*1e3), thousands(n))
	b.fill("expiry-passed", newFigure(float64(passed)), "of %s", thousands(2*len(some)))
	b.fill("expiry-held", newFigure(max(held, heldThen)), "").note("%s", what).note("with active-expire-effort 10: %s", whatThen)
	b.fill("expiry-left", newFigure(left), "by default %s", decimal(leftByDefault)).
		note("of %s keys; by default %v after the last session had ended, then %.1f s with active-expire-effort 10; of their %s MiB Redis then held %s",
			thousands(int(keysWith)), easeTime, took.Seconds(), decimal((bytesWith-bytes)/mebibyte), decimal(max(bytesAfter-bytes, 0)/mebibyte))
	b.fill("expiry-off", newFigure(percent), "")
	return d.retire(first)
}

// left is the part of Redis' keys that is dead, where it held so many that are not, and what memory it uses.
func (d *deployment) left(ctx context.Context, alive float64) (part, bytes float64, err error) {
	keys, bytes, err := d.holds(ctx)
	return max(keys-alive, 0) / keys, bytes, err
}

// holds is how many keys Redis holds, and what memory it uses.
func (d *deployment) holds(ctx context.Context) (keys, bytes float64, err error) {
	for _, master := range d.Masters {
		n, err := master.DBSize(ctx).Result()
		if err != nil {
			return 0, 0, err
		}
		keys += float64(n)
	}
	bytes, err = d.memory(ctx)
	return keys, bytes, err
}

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

	endSlack = 200 * time.Millisecond // by which clocks may differ
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
	lead := 5*time.Second + time.Duration(2.5*float64(n)/c.rate*float64(time.Second)) // a machine may become slower
	begin := d.store.Now().Add(lead)
	ending, err := d.fillEnding(ctx, n, begin, s, t)
	if err != nil {
		return err
	}
	keysWith, bytesWith, err := d.holds(ctx)
	if err != nil {
		return err
	}
	const look = 2 * time.Second // before, so that the replica with a cache has them there when they end
	wait := begin.Sub(d.store.Now()) - look
	if wait < 0 {
		return fmt.Errorf("the machine is too busy: it needs more than %v to store %d sessions", lead-look, n)
	}
	pause(ctx, wait)
	both := []string{address, "http://" + d.Replicas[0].Address + "/auth"}
	for _, replica := range both {
		if err := d.askForAll(ctx, replica, ending); err != nil {
			return fmt.Errorf("before they end: %w", err)
		}
	}

	var seen answers
	passed := 0
	held, what, err := d.watched(ctx, func() error {
		var asking sync.WaitGroup
		var askErr error
		asking.Go(func() {
			pause(ctx, begin.Add(endsWithin+endSlack).Sub(d.store.Now()))
			for _, replica := range both {
				n, err := d.stillPass(ctx, replica, ending)
				passed, askErr = passed+n, errors.Join(askErr, err)
			}
		})
		seen, err = wrk(ctx, address, others, b.connections, int((2 * endsWithin).Seconds()))
		asking.Wait()
		return errors.Join(err, askErr)
	})
	if err != nil {
		return err
	}
	pause(ctx, begin.Add(endsWithin+easeTime).Sub(d.store.Now()))
	leftByDefault, _, err := d.left(ctx, keys)
	if err != nil {
		return err
	}
	var after freed
	_, whatThen, err := d.watched(ctx, func() (err error) {
		after, err = d.freeDead(ctx, keys)
		return err
	})
	if err != nil {
		return err
	}
	percent, err := b.countedOff(ctx, d)
	if err != nil {
		return err
	}
	b.fill("expiry-refused", newFigure(float64(seen.refused+seen.late+seen.broken+seen.unconnected)), "of %s", thousands(seen.requests))
	b.fill("expiry-p99", newFigure(seen.p99.Seconds()*1e3), "%s ms, quiet", decimal(quiet.p99.Seconds()*1e3)).
		note("p50/p99 ms: %s/%s, quiet %s/%s; %s sessions ended", decimal(seen.p50.Seconds()*1e3), decimal(seen.p99.Seconds()*1e3),
			decimal(quiet.p50.Seconds()*1e3), decimal(quiet.p99.Seconds()*1e3), thousands(n))
	b.fill("expiry-passed", newFigure(float64(passed)), "of %s", thousands(2*len(ending))).note("with a cache and without, %v after the last had ended", endSlack)
	b.fill("expiry-held", newFigure(held), "").note("%s", what).note("with active-expire-effort 10: %s", whatThen)
	b.fill("expiry-left", newFigure(after.left), "by default %s", decimal(leftByDefault)).
		note("of %s keys; by default %v after the last session had ended, then %.1f s with active-expire-effort 10; of their %s MiB Redis then held %s",
			thousands(int(keysWith)), easeTime, after.took.Seconds(), decimal((bytesWith-bytes)/mebibyte), decimal(max(after.bytes-bytes, 0)/mebibyte))
	b.fill("expiry-off", newFigure(percent), "")
	return d.retire(first)
}

// fillEnding stores n sessions like that one, which end one after the other from the moment on, and returns the cookies of some.
func (d *deployment) fillEnding(ctx context.Context, n int, begin time.Time, s session.Session, t session.Tokens) ([]string, error) {
	return d.fillBy(ctx, n, someSessions, func(i int) (session.Token, error) {
		one, manager := s, *d.sessions
		one.Subject = fmt.Sprintf("ending-%08d", i)
		if s.ProviderSession != "" {
			one.ProviderSession = uuid()
		}
		manager.AbsoluteTimeout = begin.Add(time.Duration(i) * endsWithin / time.Duration(n)).Sub(d.store.Now())
		token, _, err := manager.Begin(ctx, one, t)
		return token, err
	})
}

// freed is what Redis still holds once it has looked for dead keys.
type freed struct {
	left, bytes float64 // the part of its keys that is dead, and its memory
	took        time.Duration
}

// freeDead lets Redis look for dead keys as hard as it can, where it held so many that are not, until nearly all are gone, or for a minute.
func (d *deployment) freeDead(ctx context.Context, alive float64) (f freed, err error) {
	const effort = "active-expire-effort"
	if err := d.Redis.ConfigSet(ctx, effort, "10").Err(); err != nil {
		return f, err
	}
	begun := time.Now()
	for f.left = 1; ctx.Err() == nil && f.left > deadKeys && f.took < time.Minute; f.took = time.Since(begun) {
		pause(ctx, 100*time.Millisecond)
		if f.left, f.bytes, err = d.left(ctx, alive); err != nil {
			return f, err
		}
	}
	return f, d.Redis.ConfigSet(ctx, effort, "1").Err()
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

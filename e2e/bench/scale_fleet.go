package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"authsvc/e2e/rig"
)

const (
	fleetSize    = 8
	fleetLogouts = 20
)

// fleet has many replicas use one Redis: what a verdict costs them beside one alone, whether any is refused, and when all know of a logout at one.
func (b *bench) fleet(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d, first := c.many, len(c.many.Replicas)
	people, err := newCrowd(d.Dir, "fleet", asBrowsers, spread(c.manyCookies, atWork), 0)
	if err != nil {
		return err
	}
	if err := d.StartReplicas(ctx, fleetSize, nil); err != nil {
		return err
	}
	all := d.Replicas[first:]
	var addresses []string
	for _, one := range all {
		addresses = append(addresses, one.Address)
	}
	alone, err := d.site(ctx, "nginx-alone", false, addresses[:1])
	if err != nil {
		return err
	}
	together, err := d.site(ctx, "nginx-fleet", false, addresses)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, d.ofReplicas("one replica", alone, people, all[0]), d.ofReplicas("eight", together, people, all...))
	if err != nil {
		return err
	}
	b.fill("fleet-cpu", figureOf(pairs, cpuRatio), "%s ms", decimal(figureOf(pairs, limitCPU).Median)).
		note("through nginx, cache warm, on the same cores; %s requests a second, one replica %s; %s Redis commands for 1,000 verdicts, one replica %s",
			decimal(figureOf(pairs, func(p pair) float64 { return p.ours.rate() }).Median), decimal(figureOf(pairs, limitRate).Median),
			decimal(figureOf(pairs, func(p pair) float64 { return p.ours.commands }).Median), decimal(figureOf(pairs, func(p pair) float64 { return p.limit.commands }).Median))
	if err := b.fleetLogouts(ctx, d, all); err != nil {
		return err
	}
	if err := d.retire(first); err != nil {
		return err
	}
	if err := b.fleetUncached(ctx, c); err != nil {
		return err
	}
	return d.retire(first)
}

// fleetLogouts has people sign out at one replica, and measures until each of the others refuses them, which had them in its cache.
func (b *bench) fleetLogouts(ctx context.Context, d *deployment, all []*rig.Replica) error {
	_, s, t, err := d.login(ctx, all[0], 0)
	if err != nil {
		return err
	}
	cookies, err := d.fill(ctx, fleetLogouts, fleetLogouts, s, t, nil)
	if err != nil {
		return err
	}
	var times []float64
	for i, cookie := range cookies {
		p := rig.Person{Rig: d.Rig, Name: "somebody", Cookie: strings.TrimPrefix(cookie, rig.SessionCookie+"=")}
		for _, one := range all {
			if a, err := p.AskAt(ctx, one); err != nil || a.Status != http.StatusOK {
				return errors.Join(err, fmt.Errorf("before the logout a verdict is %d", a.Status))
			}
		}
		at := all[i%len(all)]
		if err := p.SignOut(ctx, "http://"+at.Address); err != nil {
			return err
		}
		out := time.Now()
		var asking sync.WaitGroup
		errs := make([]error, len(all))
		for j, one := range all {
			asking.Go(func() {
				errs[j] = rig.WaitFor(ctx, 20*time.Second, func(ctx context.Context) error {
					a, err := p.AskAt(ctx, one)
					if err == nil && a.Status != http.StatusUnauthorized {
						err = fmt.Errorf("%s lets in who has signed out: %d", one.Name, a.Status)
					}
					return err
				})
			})
		}
		asking.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
		times = append(times, time.Since(out).Seconds()*1e3)
	}
	b.fill("fleet-logout", newFigure(slices.Max(times)), "").
		note("the longest of %d logouts, each at one replica of %d that had the session in its cache; the median is %s ms", fleetLogouts, len(all), decimal(newFigure(times...).Median))
	return nil
}

// fleetUncached counts verdicts that eight replicas without a cache refuse, while all that they ask is one Redis.
func (b *bench) fleetUncached(ctx context.Context, c *crowded) error {
	d, first := c.many, len(c.many.Replicas)
	if err := d.StartReplicas(ctx, fleetSize, func(int) []string { return []string{"AUTHSVC_SESSION_CACHE_TTL=0"} }); err != nil {
		return err
	}
	var addresses []string
	for _, one := range d.Replicas[first:] {
		addresses = append(addresses, one.Address)
	}
	site, err := d.site(ctx, "nginx-uncached", false, addresses)
	if err != nil {
		return err
	}
	people, err := newCrowd(d.Dir, "fleet-uncached", asBrowsers, spread(c.manyCookies, 10*someSessions), 0)
	if err != nil {
		return err
	}
	before, err := d.redisCPU(ctx)
	if err != nil {
		return err
	}
	seen, err := wrk(ctx, site, people, b.connections, 3*b.seconds)
	if err == nil && seen.requests == 0 {
		err = seen.err()
	}
	if err != nil {
		return err
	}
	after, err := d.redisCPU(ctx)
	if err != nil {
		return err
	}
	b.sizing.RedisCPU = (after - before) * 1e6 / float64(seen.requests)
	b.fill("fleet-refused", newFigure(float64(seen.refused+seen.late+seen.broken+seen.unconnected)), "of %s", thousands(seen.requests)).
		note("%s a second; Redis used %s ms of CPU for 1,000 verdicts; p50/p99 ms: %s/%s", decimal(seen.rate()), decimal(b.sizing.RedisCPU),
			decimal(seen.p50.Seconds()*1e3), decimal(seen.p99.Seconds()*1e3))
	return nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// crowded are two deployments, one with few sessions and one with very many.
type crowded struct {
	few, many               *deployment
	fewCookies, manyCookies []string // of the many at most sampled
	taken                   []taken  // by the many, and by some of them
	rate                    float64  // at which the many were stored, a second
	// cpu is what 1,000 verdicts cost where there are many, in milliseconds, by growth's rows.
	cpu map[string]float64
}

// sampled is how many sessions of very many are asked for.
const sampled = 300_000

func (b *bench) crowdedParts(ctx context.Context) (*crowded, error) {
	if b.big != nil {
		return b.big, nil
	}
	c := &crowded{cpu: map[string]float64{}}
	for _, of := range []struct {
		name     string
		sessions int
		at       **deployment
		cookies  *[]string
	}{{"few", min(someSessions, b.sessions), &c.few, &c.fewCookies}, {"many", b.sessions, &c.many, &c.manyCookies}} {
		d, err := b.raise(ctx, of.name, 1+(b.rounds+1)*b.loginsARound(), nil)
		if err != nil {
			return nil, err
		}
		*of.at = d
		at, err := d.replica(ctx)
		if err != nil {
			return nil, err
		}
		_, s, t, err := d.login(ctx, at, 0)
		if err != nil {
			return nil, err
		}
		d.countAlways(ctx)
		if *of.cookies, c.taken, c.rate, err = d.fillWatched(ctx, of.sessions, sampled, s, t); err != nil {
			return nil, err
		}
	}
	b.big = c
	return c, nil
}

// growth compares a verdict where there are very many sessions with one where there are few: without the cache, for people all over the store; and with
// it, for as many people at work.
func (b *bench) growth(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	for _, row := range []struct {
		id, setting string
		people      int
	}{{"growth-off", "0", 10 * someSessions}, {"growth-warm", "5s", atWork}} {
		var both [2]subject
		for i, d := range []*deployment{c.few, c.many} {
			cookies := [][]string{c.fewCookies, c.manyCookies}[i]
			at, err := d.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL="+row.setting)
			if err != nil {
				return err
			}
			people, err := newCrowd(d.Dir, row.id, asGateway, spread(cookies, row.people), 0)
			if err != nil {
				return err
			}
			both[i] = d.ofReplicas([]string{"few sessions", "many"}[i], "", people, at)
		}
		pairs, err := b.compare(ctx, both[0], both[1])
		if err != nil {
			return err
		}
		c.cpu[row.id] = figureOf(pairs, ourCPU).Median
		b.fill(row.id, figureOf(pairs, cpuRatio), "%s sessions: %s ms", thousands(someSessions), decimal(figureOf(pairs, limitCPU).Median)).
			note("with %s sessions; requests a second: %s ×; %s", thousands(b.sessions), decimal(figureOf(pairs, rateRatio).Median), latencies(pairs))
	}
	return nil
}

// spread picks n of them, evenly; all where there are fewer.
func spread(cookies []string, n int) (some []string) {
	n = min(n, len(cookies))
	for i := range n {
		some = append(some, cookies[i*len(cookies)/n])
	}
	return some
}

// Memory of a replica, in bytes.
const (
	mebibyte       = 1 << 20
	idleMemory     = 18 * mebibyte
	sessionsCached = 100_000
	bytesBeyond    = 400 // a cached session, above its record
)

// memory looks at what a replica needs when nothing happens, and with its cache full.
func (b *bench) memory(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	// As many at once as there are rounds: they do nothing.
	first := len(c.many.Replicas)
	if err := c.many.StartReplicas(ctx, b.rounds, nil); err != nil {
		return err
	}
	pause(ctx, 5*time.Second)
	var idle []float64
	var program float64 // the part of it that is the program's file, which GOMEMLIMIT does not count
	for _, one := range c.many.Replicas[first:] {
		bytes, files, err := resident(one.PID())
		if err != nil {
			return err
		}
		program = max(program, files)
		idle = append(idle, bytes/mebibyte)
	}
	for _, one := range c.many.Replicas[first:] {
		if err := one.Stop(); err != nil {
			return err
		}
	}
	c.many.Replicas = c.many.Replicas[:first]
	atRest := newFigure(idle...)
	b.fill("memory-idle", atRest, "")

	size, err := c.many.recordSize(ctx)
	if err != nil {
		return err
	}
	cookies := spread(c.manyCookies, sessionsCached)
	budget := int64(atRest.Median*mebibyte) + int64(len(cookies))*(size+bytesBeyond) - int64(program)
	full, err := c.many.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL=10m", "GOMEMLIMIT="+strconv.FormatInt(budget, 10))
	if err != nil {
		return err
	}
	address := "http://" + full.Address + "/auth"
	var hits, heap float64
	for range 2 { // the first time they come into the cache, the second time they are there
		before, err := full.Metrics(ctx)
		if err != nil {
			return err
		}
		if err := c.many.askForAll(ctx, address, cookies); err != nil {
			return err
		}
		after, err := full.Metrics(ctx)
		if err != nil {
			return err
		}
		hits, heap = after[hitMetric]-before[hitMetric], after["go_memstats_heap_inuse_bytes"]
	}
	bytes, _, err := resident(full.PID())
	if err != nil {
		return err
	}
	b.fill("memory-cached", newFigure((bytes-atRest.Median*mebibyte)/max(hits, 1)-float64(size)), "a record has %d bytes", size).
		note("%s MiB resident, %s of them heap; GOMEMLIMIT is %s MiB; of %s sessions %s were in the cache when each was asked for again",
			decimal(bytes/mebibyte), decimal(heap/mebibyte), decimal(float64(budget)/mebibyte), thousands(len(cookies)), thousands(int(hits)))
	return nil
}

const hitMetric = `authsvc_cache_total{result="hit"}`

// askForAll asks for a verdict about each.
func (d *deployment) askForAll(ctx context.Context, address string, cookies []string) error {
	const askers = 16
	errs := make([]error, askers)
	var asking sync.WaitGroup
	for asker := range askers {
		asking.Go(func() {
			for i := asker; i < len(cookies) && errs[asker] == nil; i += askers {
				a, err := d.Get(ctx, address, http.Header{"Cookie": {cookies[i]}, "X-Original-Url": {d.URL + pagePath}, "X-Original-Method": {http.MethodGet}})
				if err == nil && a.Status != http.StatusOK {
					err = fmt.Errorf("a verdict is %d", a.Status)
				}
				errs[asker] = err
			}
		})
	}
	asking.Wait()
	return errors.Join(errs...)
}

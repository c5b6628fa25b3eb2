package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// smallLimit is a GOMEMLIMIT of which half is the most that the cache may take, which holds far fewer sessions than are asked for.
const smallLimit = 256 * mebibyte

// bounded looks at a replica's memory while it is asked for very many sessions, once each.
func (b *bench) bounded(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d, first := c.many, len(c.many.Replicas)
	one, err := d.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL=10m", "GOMEMLIMIT="+strconv.Itoa(smallLimit))
	if err != nil {
		return err
	}
	idle, _, err := resident(one.PID())
	if err != nil {
		return err
	}
	const parts = 5
	most, held := 0.0, 0.0
	grown := []string{decimal(idle / mebibyte)}
	for part := range parts {
		if err := d.askForAll(ctx, "http://"+one.Address+"/auth", c.manyCookies[len(c.manyCookies)*part/parts:len(c.manyCookies)*(part+1)/parts]); err != nil {
			return err
		}
		bytes, files, err := resident(one.PID())
		if err != nil {
			return err
		}
		metrics, err := one.Metrics(ctx)
		if err != nil {
			return err
		}
		cached, told := metrics["authsvc_cache_bytes"]
		if !told {
			return fmt.Errorf("/metrics of %s has no authsvc_cache_bytes", one.Name)
		}
		most, held = max(most, bytes-files), max(held, cached)
		grown = append(grown, decimal(bytes/mebibyte))
	}
	b.fill("bounded-memory", newFigure(most/smallLimit), "%s MiB", decimal(smallLimit/mebibyte)).
		note("MiB idle, and after each fifth of %s sessions: %s", thousands(len(c.manyCookies)), strings.Join(grown, ", "))
	b.fill("bounded-cache", newFigure(held/smallLimit), "%s MiB", decimal(smallLimit/mebibyte))
	return d.retire(first)
}

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// cacheHits is how many verdicts the replica has given from its cache.
func (one *replica) cacheHits(ctx context.Context, failed *failures) int {
	page, err := one.rig.get(ctx, "http://"+one.admin+"/metrics", nil)
	if err == nil && page.status != http.StatusOK {
		err = fmt.Errorf("/metrics of %s answers %d", one.name, page.status)
	}
	failed.add(err)
	for line := range strings.Lines(page.body) {
		if value, of := strings.CutPrefix(line, `authsvc_cache_total{result="hit"} `); of {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			failed.add(err)
			return int(n)
		}
	}
	return 0
}

// cache lets people ask a replica until it answers for all of them from its cache, and returns for how many it did so at last.
func (one *replica) cache(ctx context.Context, people []*person, failed *failures) (hits int) {
	const tries = 200 // a replica that has just heard nothing for a while does not trust its cache at once
	for range tries {
		hits = -one.cacheHits(ctx, failed)
		for range 2 {
			for _, p := range people {
				if _, err := p.askAt(ctx, one); err != nil {
					failed.add(err)
					return 0
				}
			}
		}
		if hits += one.cacheHits(ctx, failed); hits >= len(people) {
			return len(people)
		}
	}
	return hits
}

// expectCached fails the row unless so many verdicts came from a cache: without, nothing was tried.
func (f *flagship) expectCached(r *row, hits, wanted int) {
	if hits < wanted {
		r.fail("%s verdicts of %s came from a cache, so that little was tried", thousands(hits), thousands(wanted))
	}
}

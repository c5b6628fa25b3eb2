package main

import (
	"context"

	"authsvc/e2e/rig"
)

// cacheHits is how many verdicts the replica has given from its cache.
func cacheHits(ctx context.Context, one *rig.Replica, failed *failures) int {
	metrics, err := one.Metrics(ctx)
	failed.add(err)
	return int(metrics[`authsvc_cache_total{result="hit"}`])
}

// cache lets people ask a replica until it answers for all of them from its cache, and returns for how many it did so at last.
func cache(ctx context.Context, one *rig.Replica, people []*person, failed *failures) (hits int) {
	const tries = 200 // a replica that has just heard nothing for a while does not trust its cache at once
	for range tries {
		hits = -cacheHits(ctx, one, failed)
		for range 2 {
			for _, p := range people {
				if _, err := p.AskAt(ctx, one); err != nil {
					failed.add(err)
					return 0
				}
			}
		}
		if hits += cacheHits(ctx, one, failed); hits >= len(people) {
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

package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// cacheHits is how many verdicts the replica has given from its cache; found tells whether it counts them at all.
func (one *replica) cacheHits(ctx context.Context) (hits int, found bool, err error) {
	page, err := one.rig.get(ctx, "http://"+one.admin+"/metrics", nil)
	if err == nil && page.status != http.StatusOK {
		err = fmt.Errorf("/metrics answers %d", page.status)
	}
	if err != nil {
		return 0, false, fmt.Errorf("%s: %w", one.name, err)
	}
	for line := range strings.Lines(page.body) {
		if value, of := strings.CutPrefix(line, `authsvc_cache_total{result="hit"} `); of {
			n, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return int(n), true, err
		}
		found = found || strings.HasPrefix(line, "authsvc_cache_total{")
	}
	return 0, found, nil
}

// cached lets people ask a replica until it answers for all of them from its cache, and reports whether it does.
func (one *replica) cached(ctx context.Context, people []*person) (bool, error) {
	const tries = 100
	for range tries {
		for _, p := range people {
			if _, err := p.askAt(ctx, one); err != nil {
				return false, err
			}
		}
		before, _, err := one.cacheHits(ctx)
		if err != nil {
			return false, err
		}
		for _, p := range people {
			if _, err := p.askAt(ctx, one); err != nil {
				return false, err
			}
		}
		after, found, err := one.cacheHits(ctx)
		if err != nil || !found || after-before >= len(people) {
			return found && err == nil, err
		}
	}
	return false, nil
}

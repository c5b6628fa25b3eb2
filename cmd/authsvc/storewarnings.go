package main

import (
	"context"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session/redisstore"
)

// warnOfStore looks at the store until it has answered once, and logs what an operator should know: rights that are missing, and that it may end
// sessions that are in use. What it may not see it passes over; that it does not answer is told elsewhere.
func warnOfStore(ctx context.Context, store backend, log zerolog.Logger) {
	redis, ok := store.(*redisstore.Store)
	if !ok {
		return
	}
	looks := []func() ([]finding, error){
		func() ([]finding, error) { return serverFindings(ctx, redis) },
		func() ([]finding, error) {
			f, err := rightsFinding(ctx, redis)
			return []finding{f}, err
		},
	}
	look := func(look func() ([]finding, error)) (answered bool) {
		findings, err := look()
		if err != nil {
			return false
		}
		for _, f := range findings {
			if f.level == warning || f.level == problem {
				log.Warn().Str("do", f.do).Msg(f.subject + ": " + f.what)
			}
		}
		return true
	}
	for {
		if redis.Reached() {
			looks = slices.DeleteFunc(looks, look)
		}
		if len(looks) == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

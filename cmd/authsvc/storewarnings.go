package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session/redisstore"
)

// warnOfStore looks at the store once, when it has been reached for the first time, and logs what an operator should know: rights that are missing,
// and that it may end sessions that are in use. What it may not see it passes over.
func warnOfStore(ctx context.Context, store backend, log zerolog.Logger) {
	redis, ok := store.(*redisstore.Store)
	if !ok {
		return
	}
	for !redis.Reached() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
	for _, f := range append(serverFindings(ctx, redis), rightsFinding(ctx, redis)) {
		if f.level == warning || f.level == problem {
			log.Warn().Str("do", f.do).Msg(f.subject + ": " + f.what)
		}
	}
}

package main

import (
	"context"
	"net/http"
	"time"
)

const unavailable = http.StatusServiceUnavailable

// redisFaults are F1 to F9: Redis is gone, stands still, or the way to it is bad.
var redisFaults = []row{
	{
		id: "F1", name: "Redis killed, back empty after 3 s", on: []topology{standalone}, class: "Redis is gone",
		bound: "503; then 401, since the data is gone", shows: []int{unavailable}, loses: true,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Kill()
			s.storeLost()
			s.during(ctx, 3*time.Second)
			redis.Start()
			s.end()
			return nil
		},
	},
	{
		id: "F3", name: "Redis stands still for 3 s (SIGSTOP)", on: everywhere, class: "Redis stands still",
		bound: "503 within 150 ms; then 200", shows: []int{unavailable},
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Pause()
			s.during(ctx, 3*time.Second)
			redis.Resume()
			s.end()
			return nil
		},
	},
	{
		id: "F5a", name: "20 ms more to Redis, ± 10 ms", on: []topology{standalone}, class: "the way to Redis",
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			err := s.eachStoreProxy(func(p *proxy) error { return p.hurt(answers, "latency", map[string]any{"latency": 20, "jitter": 10}) })
			s.during(ctx, 3*time.Second)
			s.eachStoreProxy(func(p *proxy) error { p.heal(); return nil })
			return err
		},
	},
}

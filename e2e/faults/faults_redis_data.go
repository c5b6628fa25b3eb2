package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// redisData are F19 to F21: what Redis holds is not what it was.
var redisData = []row{
	{
		id: "F19", name: "Redis forgets all scripts, 20 times (NOSCRIPT)", on: everywhere,
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			for range 20 {
				for _, redis := range s.store.masters() {
					redis.Do("SCRIPT", "FLUSH")
				}
				s.during(ctx, 150*time.Millisecond)
			}
			return nil
		},
	},
	{
		id: "F20", name: "Redis is emptied (FLUSHALL)", on: everywhere, class: "Redis loses data", out: 300 * time.Millisecond,
		bound: "401 at once, at all replicas", loses: true,
		fault: func(ctx context.Context, s *scene) error {
			s.begin()
			for _, redis := range s.store.masters() {
				redis.Flush()
			}
			s.storeLost()
			s.end()
			return nil
		},
	},
	{
		id: "F21", name: "records are of another type, garbage, or cut short", on: everywhere,
		bound: "401 for these, 200 for all others",
		fault: func(ctx context.Context, s *scene) error {
			client := s.store.client()
			defer client.Close()
			for i, v := range s.people[:9] {
				v.busy.Lock() // until the end they neither sign out nor in
				defer v.busy.Unlock()
				show, in := v.shown()
				if !in {
					continue
				}
				key, err := recordKey(show.cookie)
				if err != nil {
					return err
				}
				text, err := client.Get(ctx, key).Result()
				switch {
				case err != nil:
					return fmt.Errorf("read a record: %w", err)
				case i%3 == 0:
					_, err = client.Del(ctx, key).Result()
					if err == nil {
						err = client.RPush(ctx, key, "of another type").Err()
					}
				case i%3 == 1:
					err = client.Set(ctx, key, "garbage", time.Hour).Err()
				default:
					err = client.Set(ctx, key, text[:len(text)/2], time.Hour).Err()
				}
				if err != nil {
					return fmt.Errorf("spoil a record: %w", err)
				}
				s.storeSpoils(show.session)
			}
			s.during(ctx, time.Second)
			for _, v := range s.people[:9] {
				if seen := s.onEach(ctx, v); len(seen) > 0 {
					for name, status := range seen {
						if status != http.StatusUnauthorized {
							s.fail("%s answers %d to somebody whose record is spoiled", name, status)
						}
					}
				}
			}
			return nil
		},
	},
}

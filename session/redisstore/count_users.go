package redisstore

import (
	"context"
	"encoding/binary"
	"maps"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// Users are counted by sorted sets of a few bytes of their lists' names, by the end of the longest life that was seen: what is sent twice,
// late or by several counts once. There are many sets so that none is large: one that expires is freed at one go.

const (
	userSets = 64
	// maxUsers bounds what one script adds; maxWaiting what waits to be sent while the store takes nothing. Who is left out is seen again.
	maxUsers   = 500
	maxWaiting = 100_000
)

// userMark stands for a user: the beginning of their list's name, a keyed hash. That two of a million share one is as likely as 1 to 10 million.
type userMark [8]byte

// Seen implements session.Counter.
func (s *Store) Seen(user session.IndexName, life time.Duration) {
	s.counts.mark(userMark(user.Hash[:8]), time.Now().Add(life))
}

// gone notes that a list is empty.
func (s *Store) gone(list session.IndexName) {
	if list.Kind == session.KindUser {
		s.counts.mark(userMark(list.Hash[:8]), time.Time{})
	}
}

// mark notes the end of the longest life, by this host's clock, that a user's sessions have; zero if they have none.
func (c *counts) mark(user userMark, ends time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held, waits := c.users[user]
	if !waits && len(c.users) >= maxWaiting || !ends.IsZero() && ends.Before(held) {
		return
	}
	c.users[user] = ends
}

// sendUsers sends who was seen. That it is sent in part, or twice, is no harm.
func (s *Store) sendUsers(ctx context.Context) error {
	c := s.counts
	c.mu.Lock()
	all := c.users
	c.users = map[userMark]time.Time{}
	c.mu.Unlock()
	for len(all) > 0 {
		some := make(map[userMark]time.Time, maxUsers)
		for user, ends := range all {
			some[user] = ends
			delete(all, user)
			if len(some) == maxUsers {
				break
			}
		}
		if err := s.sendSome(ctx, some); err != nil {
			maps.Copy(all, some)
			c.mu.Lock()
			defer c.mu.Unlock()
			maps.Copy(all, c.users) // what was noted meanwhile is newer
			c.users = all
			return err
		}
	}
	return nil
}

func (s *Store) sendSome(ctx context.Context, users map[userMark]time.Time) error {
	now := s.Now()
	keys, args := []string{}, []any{now.UnixMilli()}
	sets := map[uint64]int{}
	for user, ends := range users {
		set := binary.BigEndian.Uint64(user[:]) % userSets
		if sets[set] == 0 {
			keys = append(keys, s.userSetKey(set))
			sets[set] = len(keys)
		}
		var until int64
		if !ends.IsZero() {
			until = now.Add(time.Until(ends)).UnixMilli()
		}
		args = append(args, sets[set], user[:], until)
	}
	return s.do(ctx, "tally_users", func(ctx context.Context) error {
		return addUsers.Run(ctx, s.client, keys, args...).Err()
	})
}

// countUsers asks, with the pipeline's other questions, how many users there are; the function that it returns reads the answers.
func (s *Store) countUsers(ctx context.Context, pipe redis.Pipeliner, now time.Time) func() int64 {
	var sets [userSets]*redis.IntCmd
	for n := range sets {
		sets[n] = pipe.ZCount(ctx, s.userSetKey(uint64(n)), "("+strconv.FormatInt(now.UnixMilli(), 10), "+inf")
	}
	return func() (users int64) {
		for _, set := range sets {
			users += set.Val()
		}
		return users
	}
}

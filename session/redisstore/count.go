package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"authsvc/session"
)

// Sessions are counted by the second in which they end. Each script that writes a record says when it ended and how large it was before
// and is now, so that a move is counted once whoever else moves it at the same moment. The differences are gathered here and
// sent once a second by Run, by Count and by Close: a login costs nothing more. A second that has passed is not read any
// more, so what went wrong once is forgotten with the sessions that it was about.

const (
	// flushEvery is the pause between two sendings.
	flushEvery = time.Second
	// maxSeconds bounds what one script adds, so that it holds up nobody else for more than a millisecond.
	maxSeconds = 500
)

type tally struct{ sessions, bytes int64 }

type counts struct {
	mu      sync.Mutex
	pending map[int64]tally // by the second, since 1970, in which the sessions end
	users   map[userMark]time.Time

	sendMu  sync.Mutex
	sending map[int64]tally // what may have arrived; it is sent with its number until that is known
	process string
	number  int64
}

func newCounts() *counts {
	return &counts{pending: map[int64]tally{}, users: map[userMark]time.Time{}, process: rand.Text()[:10]}
}

// extent is the end, in Unix ms of the store's time, and the size of a record at one moment; no end means no record.
type extent struct{ ends, bytes int64 }

// moved notes that a record was one thing before and is another now.
func (c *counts) moved(before, now extent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(before, -1)
	c.add(now, +1)
}

func (c *counts) add(e extent, sign int64) {
	if e.ends <= 0 {
		return
	}
	n := e.ends / 1000
	held := c.pending[n]
	held.sessions += sign
	held.bytes += sign * e.bytes
	if held == (tally{}) {
		delete(c.pending, n)
		return
	}
	c.pending[n] = held
}

// forgetBefore drops the seconds that have passed, which would otherwise wait for ever where sending fails for ever.
func (c *counts) forgetBefore(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.pending, func(n int64, _ tally) bool { return n < now })
}

// take moves some of what was gathered to sending, if that is empty, and reports whether anything is there.
func (c *counts) take() bool {
	if len(c.sending) > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) <= maxSeconds {
		c.sending, c.pending = c.pending, map[int64]tally{}
	} else {
		c.sending = make(map[int64]tally, maxSeconds)
		for n, held := range c.pending {
			c.sending[n] = held
			delete(c.pending, n)
			if len(c.sending) == maxSeconds {
				break
			}
		}
	}
	c.number++
	return len(c.sending) > 0
}

// flush sends what was gathered. Errors: as Store; what was gathered is kept, and sent with the next.
func (s *Store) flush(ctx context.Context) error {
	c := s.counts
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	c.mu.Lock()
	rounds, users := len(c.sending)+len(c.pending), len(c.users)
	c.mu.Unlock()
	if rounds+users == 0 {
		return nil
	}
	if err := s.measureOnce(ctx); err != nil {
		return err
	}
	c.forgetBefore(s.Now().Unix())
	// What is gathered meanwhile goes with the next flush.
	for range 2 + rounds/maxSeconds {
		if !c.take() {
			break
		}
		if err := s.send(ctx); err != nil {
			return err
		}
		c.sending = nil
	}
	return s.sendUsers(ctx)
}

// send adds what is in sending to the store, once however often it is called.
func (s *Store) send(ctx context.Context) error {
	c, passed := s.counts, s.Now().Unix()
	keys := []string{s.senderKey(c.process), s.hoursKey()}
	args := []any{c.number, passed / 3600, 0}
	hours := map[int64]int{}
	for _, n := range slices.Sorted(maps.Keys(c.sending)) {
		if n < passed {
			continue
		}
		hour := n / 3600
		args[2] = hour
		if hours[hour] == 0 {
			keys = append(keys, s.hourKey(hour))
			hours[hour] = len(keys)
		}
		held := c.sending[n]
		args = append(args, hours[hour], hour, n%3600, held.sessions, held.bytes)
	}
	if len(hours) == 0 {
		return nil
	}
	return s.do(ctx, "tally", func(ctx context.Context) error {
		return addCounts.Run(ctx, s.client, keys, args...).Err()
	})
}

// Count implements session.Counter. While Redis is full, or takes no writes for another reason of its own, it tells what had arrived before.
func (s *Store) Count(ctx context.Context) (session.Totals, error) {
	if err := s.measureOnce(ctx); err != nil {
		return session.Totals{}, err
	}
	if err := s.flush(ctx); err != nil && !onlyReads(err) {
		return session.Totals{}, err
	}
	var totals session.Totals
	err := s.do(ctx, "count", func(ctx context.Context) error {
		now := s.Now()
		hour := now.Unix() / 3600
		pipe := s.client.Pipeline()
		hours, seconds := pipe.HGetAll(ctx, s.hoursKey()), pipe.HGetAll(ctx, s.hourKey(hour))
		users := s.countUsers(ctx, pipe, now)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		later, err := sum(hours.Val(), func(n, value int64) int64 {
			if n <= hour {
				return 0
			}
			return value
		})
		if err != nil {
			return err
		}
		soon, err := sum(seconds.Val(), func(n, value int64) int64 {
			if hour*3600+n < now.Unix() {
				return 0
			}
			return value
		})
		if err != nil {
			return err
		}
		totals.Sessions, totals.Bytes = max(later.sessions+soon.sessions, 0), max(later.bytes+soon.bytes, 0)
		totals.Users = min(users(), totals.Sessions)
		return nil
	})
	if err != nil {
		return session.Totals{}, err
	}
	return totals, nil
}

// onlyReads reports whether a server has refused a write in a state that passes and in which it can be read. Then what it holds is worth knowing. (A right that is
// missing does not pass: nothing would ever have arrived.)
func onlyReads(err error) bool {
	switch Cause(err) {
	case "memory", "readonly", "persistence", "replicas":
		return true
	}
	return false
}

// sum adds up what count makes of the fields of a hash: a number, or a number and "b" for bytes.
func sum(fields map[string]string, count func(n, value int64) int64) (total tally, err error) {
	for field, text := range fields {
		number, isBytes := strings.CutSuffix(field, "b")
		n, err := strconv.ParseInt(number, 10, 64)
		value, errValue := strconv.ParseInt(text, 10, 64)
		if err != nil || errValue != nil {
			return tally{}, fmt.Errorf("%w: a count holds something else", session.ErrCorrupt)
		}
		if isBytes {
			total.bytes += count(n, value)
		} else {
			total.sessions += count(n, value)
		}
	}
	return total, nil
}

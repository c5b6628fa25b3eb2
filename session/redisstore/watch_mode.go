package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// Changes are told by one of two means, never by both: by the server, where it has RESP3 and CLIENT TRACKING and lets this user have it, and else by a message
// that each write publishes. Which it is does not hang on anyone's watching, since who writes may be another process, and all of them must agree: everyone asks
// the server, and again from time to time, as rights can be given and taken.

// finding is what was learned about the server.
type finding struct {
	tracks bool
	at     time.Time
}

// findingLife is how long a process that does not watch relies on what it has learned; one that watches asks each probeInterval.
const findingLife = time.Minute

// probePause is the least between two writes that ask in vain. What is asked may be a master of a Cluster that hangs, while the write goes to one that works.
const probePause = time.Second

// announcement returns the channel and message by which a write tells of a change, or two empty ones. While it cannot be told whether the server does it, the write
// does. What was learned before holds until something else is.
func (s *Store) announcement(ctx context.Context, id session.ID) (channel, message string) {
	known := s.finding.Load()
	if known == nil || time.Since(known.at) > findingLife {
		if found := s.ask(ctx); found != nil {
			known = found
		}
	}
	if known != nil && known.tracks {
		return "", ""
	}
	return s.changesChannel(), string(id[:])
}

// ask probes within a quarter of the time that a write has left. It returns nil if nothing was learned, and at once if another write is asking or has asked
// in vain less than probePause ago.
func (s *Store) ask(ctx context.Context) *finding {
	now, last := time.Now(), s.asked.Load()
	if last != nil && now.Sub(*last) < probePause || !s.asked.CompareAndSwap(last, &now) {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, deadline.Sub(now)/4)
		defer cancel()
	}
	tracks, err := s.probe(ctx)
	if err != nil {
		return nil
	}
	s.asked.Store(nil)
	return s.found(tracks)
}

func (s *Store) found(tracks bool) *finding {
	f := &finding{tracks: tracks, at: time.Now()}
	s.finding.Store(f)
	return f
}

// probe asks for what the push channel needs, in a way that changes nothing for a connection of the pool.
func (s *Store) probe(ctx context.Context) (tracks bool, err error) {
	for _, command := range [][]any{{"HELLO", "2"}, {"CLIENT", "TRACKING", "OFF"}} {
		if err := s.client.Do(ctx, command...).Err(); err != nil {
			if isRefusal(err) {
				return false, nil
			}
			return false, err
		}
	}
	return true, nil
}

// isRefusal reports whether a server that works has said that it does not do this, or not for us.
func isRefusal(err error) bool {
	var reply redis.Error
	if !errors.As(err, &reply) {
		return false
	}
	cause := replyCause(errorCode(reply.Error()))
	return cause == "permission" || cause == "other"
}

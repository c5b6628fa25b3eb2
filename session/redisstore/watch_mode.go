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

// announcement returns the channel and message by which a write tells of a change, or two empty ones. While it cannot be told whether the server does it, the write
// does.
func (s *Store) announcement(ctx context.Context, id session.ID) (channel, message string) {
	known := s.finding.Load()
	if known == nil || time.Since(known.at) > findingLife {
		if tracks, err := s.probe(ctx); err == nil {
			known = s.found(tracks)
		}
	}
	if known != nil && known.tracks {
		return "", ""
	}
	return s.changesChannel(), string(id[:])
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
	cause := replyCause(errorCode(reply.Error()), reply.Error())
	return cause == "permission" || cause == "other"
}

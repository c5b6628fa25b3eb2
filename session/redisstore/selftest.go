package redisstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// A self-test finds out before anyone signs in whether the store's user may do all that the service does. Redis says from within a script
// only that something is missing, so each command is tried by itself: on a key of its own, in a way that leaves nothing
// behind whether it is allowed or not.

// testLife is how long the keys of a self-test live that is cut off.
const testLife = time.Minute

// probes are the commands that the package uses, each with arguments that change nothing but the key, which set gives a short life. What
// they answer does not matter, unless it is that they are not allowed.
var probes = []struct {
	right string
	args  []any // behind the command
}{
	{"+set", []any{probedKey, "", "PX", testLife.Milliseconds()}},
	{"+get", []any{probedKey}},
	{"+pttl", []any{probedKey}},
	{"+pexpire", []any{probedKey, testLife.Milliseconds()}},
	{"+pexpireat", []any{probedKey, "none"}},
	{"+time", nil},
	{"+ping", nil},
	{"+eval", []any{"return 1", 1, probedKey}},
	{"+evalsha", []any{"0000000000000000000000000000000000000000", 1, probedKey}},
	{"+zadd", []any{probedKey, "XX", 1, ""}},
	{"+zrem", []any{probedKey, ""}},
	{"+zrange", []any{probedKey, 0, 0}},
	{"+zcount", []any{probedKey, 0, 0}},
	{"+hgetall", []any{probedKey}},
	{"+hset", []any{probedKey, "", "", ""}},
	{"+hdel", []any{probedKey, ""}},
	{"+hincrby", []any{probedKey, "", "none"}},
	{rightToTrack, []any{"OFF"}},
	{"+del", []any{probedKey}},
}

// probedKey stands for the name of the self-test's key.
type probedKeyName struct{}

var probedKey probedKeyName

// deniedCommand finds what Redis names in an answer that says NOPERM; when it names no command it is about keys.
var deniedCommand = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`'([a-z|]+)' command`) })

// MissingRights returns the rights of an ACL that the service needs and the store's user has not, such as "+pexpire", or "~authsvc:*" when
// it may not use the keys. Errors: as session.Store; the store could not be asked.
func (s *Store) MissingRights(ctx context.Context) (missing []string, err error) {
	key := s.slotKeys(session.SlotName{Kind: "selftest", Hash: randomHash()})[0]
	for _, p := range probes {
		var args []any
		for word := range strings.SplitSeq(strings.TrimPrefix(p.right, "+"), "|") {
			args = append(args, word)
		}
		for _, arg := range p.args {
			if arg == probedKey {
				arg = key
			}
			args = append(args, arg)
		}
		err := s.do(ctx, "selftest", func(ctx context.Context) error {
			answer := s.client.Do(ctx, args...).Err()
			if answer != nil && isReply(explain("selftest", answer)) {
				return nil // what the server thinks of arguments that change nothing is no failure of the store
			}
			return answer
		})
		if Cause(err) == "permission" {
			right := "~" + s.prefix + ":*"
			if named := deniedCommand().FindStringSubmatch(err.Error()); named != nil {
				right = "+" + named[1]
			}
			if !slices.Contains(missing, right) {
				missing = append(missing, right)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	if n := slices.Index(missing, rightToTrack); n >= 0 && s.mayTellChanges(ctx) {
		missing = slices.Delete(missing, n, n+1)
	}
	return missing, nil
}

// rightToTrack lets the server tell of changes; messages can stand in for that.
const rightToTrack = "+client|tracking"

// mayTellChanges reports whether the user may tell of changes to records, and hear of them, by messages, as is needed where the server does not tell by
// itself. It is false also when the store cannot be asked.
func (s *Store) mayTellChanges(ctx context.Context) bool {
	err := s.do(ctx, "selftest", func(ctx context.Context) error {
		if err := s.client.Publish(ctx, s.changesChannel(), "").Err(); err != nil {
			return err
		}
		subscription := s.client.Subscribe(ctx, s.changesChannel())
		defer subscription.Close()
		_, err := subscription.Receive(ctx)
		return err
	})
	return err == nil
}

// isReply reports whether Redis ran the command and did not like it.
func isReply(err error) bool {
	var reply redis.Error
	if errors.Is(err, session.ErrCorrupt) { // a value of another type
		return true
	}
	if !errors.As(err, &reply) {
		return false
	}
	code := errorCode(reply.Error())
	return code == "ERR" || code == "NOSCRIPT"
}

func randomHash() (hash [32]byte) {
	rand.Read(hash[:])
	return hash
}

// SelfTest does all that the service does with the store once, on a record, a slot, a list and a replica's name of its own, which it removes. It
// returns the first error.
func (s *Store) SelfTest(ctx context.Context) error {
	now := s.Now()
	first := session.Record{
		ID: randomHash(), Version: 1, Site: "selftest", Expires: now.Add(2 * testLife).Truncate(time.Millisecond),
		Identity: []byte("identity"), Tokens: []byte("tokens"), TTL: testLife,
	}
	second := first
	second.Version, second.Identity = 2, []byte("second")
	slot := session.SlotName{Kind: "selftest", Hash: first.ID}
	list := session.IndexName{Kind: session.KindUser, Hash: first.ID}
	one, two := []byte("one"), []byte("two")
	name := "selftest " + first.ID.String()
	for _, operation := range []func() error{
		func() error { return s.Ping(ctx) },
		func() error { return s.measure(ctx) },
		func() error {
			return s.Note(ctx, []session.IndexName{list}, session.IndexEntry{ID: first.ID, Expires: first.Expires})
		},
		func() error { return s.Create(ctx, first) },
		func() error { _, err := s.Load(ctx, first.ID); return err },
		func() error { return s.Swap(ctx, second) },
		func() error { return s.Touch(ctx, first.ID, 2*testLife) },
		func() error {
			r, err := s.LoadWithTokens(ctx, first.ID)
			if err == nil && (r.Version != second.Version || !bytes.Equal(r.Tokens, second.Tokens)) {
				err = errors.New("another record came back than was stored")
			}
			return err
		},
		func() error { return done(s.Claim(ctx, slot, one, testLife)) },
		func() error { ok, err := s.Replace(ctx, slot, one, two, testLife); return done(nil, ok, err) },
		func() error { _, err := s.ReadSlot(ctx, slot); return err },
		func() error { ok, err := s.Replace(ctx, slot, two, nil, 0); return done(nil, ok, err) },
		func() error { _, err := s.Noted(ctx, list); return err },
		func() error { s.Seen(list, testLife); _, err := s.Count(ctx); return err },
		func() error { return s.Forget(ctx, list, first.ID) },
		func() error { _, err := s.Announce(ctx, name, one, 0); return err }, // seen by nobody
		func() error { _, err := s.Replicas(ctx); return err },
		func() error { return s.Leave(ctx, name) },
		func() error { return s.Delete(ctx, first.ID) },
		func() error { return s.flush(ctx) },
	} {
		if err := operation(); err != nil {
			return fmt.Errorf("self-test: %w", err)
		}
	}
	return nil
}

func done(_ []byte, ok bool, err error) error {
	if err == nil && !ok {
		err = errors.New("somebody else has written a name that is random")
	}
	return err
}

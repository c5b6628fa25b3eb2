package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// Load implements session.Store.
func (s *Store) Load(ctx context.Context, id session.ID) (session.Record, error) {
	return s.share(ctx, question{id: id, withTTL: true}, false)
}

// LoadWithoutTTL implements session.Store.
func (s *Store) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.share(ctx, question{id: id}, false)
	r.TTL = 0 // that others have asked for
	return r, err
}

// LoadWithTokens implements session.Store.
func (s *Store) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	return s.share(ctx, question{id: id, withTTL: true}, true)
}

// question is one record that is asked for, by any number of callers, and the answer.
type question struct {
	id      session.ID
	withTTL bool
	record  session.Record
	err     error
}

var (
	// errUnasked stands for the answer until there is one.
	errUnasked = errors.New("it was not asked")
	// errUnconfirmed says that one reply says that there is no record.
	errUnconfirmed = errors.New("one reply says that there is none")
)

// load answers questions by one operation.
func (s *Store) load(ctx context.Context, withTokens bool, questions []*question) {
	op, parts := "load", 1
	if withTokens {
		op, parts = "load_tokens", 2
	}
	s.do(ctx, op, func(ctx context.Context) error {
		asked := those(questions, func(err error) bool { return err != nil && !isAnswer(err) }) // all, or those that are worth another try
		if withTokens {
			s.readMarked(ctx, asked, parts)
		} else {
			s.read(ctx, asked)
		}
		s.readDoubtful(ctx, asked, parts)
		return worst(questions)
	})
	for _, q := range questions {
		q.err = explain(op, q.err)
	}
}

// those returns the questions whose answer's error is such. Mostly that is all or none of them; it may be the same list, which nobody may change.
func those(questions []*question, such func(error) bool) []*question {
	n := 0
	for _, q := range questions {
		if such(q.err) {
			n++
		}
	}
	switch n {
	case 0:
		return nil
	case len(questions):
		return questions
	}
	return slices.DeleteFunc(slices.Clone(questions), func(q *question) bool { return !such(q.err) })
}

// worst returns an error that is no answer, if there is any, or else any.
func worst(questions []*question) (err error) {
	for _, q := range questions {
		if err == nil || q.err != nil && isAnswer(err) {
			err = q.err
		}
	}
	return err
}

// readDoubtful asks once more, marked, where one reply says that there is none, and, over new connections, where something came back that is not this
// session's record. A connection that is a reply behind is cured by that; a record that somebody moved stays where it is, and is of no use to anyone.
func (s *Store) readDoubtful(ctx context.Context, questions []*question, parts int) {
	foreign := func(err error) bool { return errors.Is(err, session.ErrForeign) }
	doubtful := those(questions, func(err error) bool {
		return foreign(err) || errors.Is(err, session.ErrCorrupt) || errors.Is(err, errUnconfirmed)
	})
	if len(doubtful) == 0 {
		return
	}
	if slices.ContainsFunc(doubtful, func(q *question) bool { return foreign(q.err) }) {
		s.dialer.renew()
		// Where answers have moved from one question to the next, nothing that came with them is believed.
		doubtful = questions
	}
	s.readMarked(ctx, doubtful, parts)
}

// read asks for identities, and their lives where somebody wants to know, in one round trip. What it gives may be the answer to another question, which the
// bytes of the ID tell; that there is none counts only when two replies say so.
func (s *Store) read(ctx context.Context, questions []*question) {
	pipe := s.client.Pipeline()
	identities, lefts := make([]*redis.StringCmd, len(questions)), make([]*redis.DurationCmd, len(questions))
	for i, q := range questions {
		key := s.recordKey(kindSession, q.id)
		identities[i] = pipe.Get(ctx, key)
		if q.withTTL {
			lefts[i] = pipe.PTTL(ctx, key)
		}
	}
	_, err := pipe.Exec(ctx)
	for i, q := range questions {
		q.record, q.err = s.judge(q.id, identities[i], lefts[i], err)
	}
}

// judge makes an answer of the replies; left is nil where nobody wants to know. The error of the whole counts, too: commands that were never sent, because
// the server refused the connection, have none.
func (s *Store) judge(id session.ID, identity *redis.StringCmd, left *redis.DurationCmd, whole error) (session.Record, error) {
	if errors.Is(identity.Err(), redis.Nil) {
		switch {
		case left == nil:
			return session.Record{}, errUnconfirmed
		case left.Err() != nil:
			return session.Record{}, left.Err()
		case left.Val() != noKey:
			return session.Record{}, session.ErrForeign
		}
		return session.Record{}, session.ErrNotFound
	}
	err := identity.Err()
	if left != nil {
		err = errors.Join(err, left.Err())
	}
	if err != nil {
		return session.Record{}, err
	}
	if whole != nil && identity.Val() == "" {
		return session.Record{}, whole
	}
	life := noExpiry // or unknown
	if left != nil {
		life = left.Val()
	}
	stored, _ := identity.Bytes() // the reply's own, without a copy: nobody writes to the parts of a Record
	return s.decode(id, stored, nil, life)
}

// readMarked asks for one or both parts of each record at one moment, so that they are of one version, and for a mark to come back with
// them: with it the reply is the one to this question, and whatever it holds is what is stored. It is a script because MGET calls a
// value of another type absent, and because a transaction is refused while memory is full, when people still sign out.
func (s *Store) readMarked(ctx context.Context, questions []*question, parts int) {
	first := rand.Uint64()
	replies := make([]*redis.Cmd, len(questions))
	for _, run := range []func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd{readRecord.EvalSha, readRecord.Eval} {
		pipe := s.client.Pipeline()
		for i, q := range questions {
			replies[i] = run(ctx, pipe, s.recordKeys(q.id)[:parts], marking(first, i))
		}
		_, err := pipe.Exec(ctx)
		for i, q := range questions {
			q.record, q.err = s.judgeMarked(q.id, replies[i], marking(first, i), err)
		}
		if !slices.ContainsFunc(questions, func(q *question) bool { return redis.HasErrorPrefix(q.err, "NOSCRIPT") }) {
			return
		}
	}
}

// marking is the mark of one of many questions.
func marking(first uint64, i int) string { return strconv.FormatUint(first+uint64(i), 36) }

func (s *Store) judgeMarked(id session.ID, reply *redis.Cmd, mark string, whole error) (session.Record, error) {
	switch {
	case errors.Is(reply.Err(), redis.Nil): // the script never says that
		return session.Record{}, session.ErrForeign
	case reply.Err() != nil:
		return session.Record{}, reply.Err()
	case whole != nil && reply.Val() == nil: // as in judge
		return session.Record{}, whole
	}
	parts, _ := reply.Val().([]any)
	if len(parts) != 4 || parts[0] != mark {
		return session.Record{}, session.ErrForeign
	}
	identity, held := parts[1].(string)
	if !held {
		return session.Record{}, session.ErrNotFound
	}
	left, _ := parts[2].(int64)
	var tokens []byte
	if text, held := parts[3].(string); held {
		tokens = []byte(text)
	}
	if left > 0 {
		left *= int64(time.Millisecond)
	}
	r, err := s.decode(id, []byte(identity), tokens, time.Duration(left))
	if errors.Is(err, session.ErrForeign) {
		err = fmt.Errorf("%w: the key holds another session's record", session.ErrCorrupt)
	}
	return r, err
}

func (s *Store) decode(id session.ID, identity, tokens []byte, left time.Duration) (session.Record, error) {
	r, err := session.DecodeRecord(id, identity, tokens)
	if err != nil {
		return session.Record{}, err
	}
	switch r.TTL = left; left {
	case noKey:
		// It expired or was deleted between the two commands.
		return session.Record{}, session.ErrNotFound
	case noExpiry:
		// Somebody took the expiry away. The record's own end holds.
		r.TTL = r.Expires.Sub(s.Now())
	}
	if r.TTL <= 0 {
		return session.Record{}, session.ErrNotFound
	}
	return r, nil
}

// What PTTL says, in the unit in which go-redis gives it.
const (
	noExpiry time.Duration = -1
	noKey    time.Duration = -2
)

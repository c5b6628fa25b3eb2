package redisstore

import (
	"context"
	"encoding/base64"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// scanCount is how many keys one step looks at. Redis answers nobody else meanwhile, so a step takes it well below a millisecond.
const scanCount = 500

var _ session.Lister = (*Store)(nil)

// EachRecord implements session.Lister. It needs the right +scan.
func (s *Store) EachRecord(ctx context.Context) iter.Seq2[session.ID, error] {
	return func(yield func(session.ID, error) bool) {
		for names, err := range s.scan(ctx, kindSession) {
			if err != nil {
				yield(session.ID{}, err)
				return
			}
			for _, name := range names {
				if !yield(session.ID(name), nil) {
					return
				}
			}
		}
	}
}

// EachList implements session.Lister. It needs the right +scan.
func (s *Store) EachList(ctx context.Context, kind string) iter.Seq2[session.IndexList, error] {
	return func(yield func(session.IndexList, error) bool) {
		for hashes, err := range s.scan(ctx, kind) {
			if err != nil {
				yield(session.IndexList{}, err)
				return
			}
			lists, err := s.readLists(ctx, kind, hashes)
			if err != nil {
				yield(session.IndexList{}, err)
				return
			}
			for _, list := range lists {
				if !yield(list, nil) {
					return
				}
			}
		}
	}
}

// readLists reads lists in one round trip.
func (s *Store) readLists(ctx context.Context, kind string, hashes [][32]byte) (lists []session.IndexList, err error) {
	if len(hashes) == 0 {
		return nil, nil
	}
	err = s.insist(ctx, "lists", func(ctx context.Context) error {
		lists = lists[:0]
		pipe := s.client.Pipeline()
		ends := make([]*redis.ZSliceCmd, len(hashes))
		now := strconv.FormatInt(s.Now().UnixMilli(), 10)
		for i, hash := range hashes {
			keys, err := s.indexKeys(session.IndexName{Kind: kind, Hash: hash})
			if err != nil {
				return err
			}
			ends[i] = pipe.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{Key: keys[0], Start: "(" + now, Stop: "+inf", ByScore: true})
		}
		if _, err := pipe.Exec(ctx); err != nil && !isWrongType(err) {
			return err
		}
		for i, hash := range hashes {
			switch err := ends[i].Err(); {
			case isWrongType(err):
				continue
			case err != nil:
				return err
			}
			list := session.IndexList{Name: session.IndexName{Kind: kind, Hash: hash}}
			for _, member := range ends[i].Val() {
				id, _ := member.Member.(string)
				if len(id) != len(session.ID{}) {
					continue
				}
				list.Entries = append(list.Entries, session.IndexEntry{ID: session.ID([]byte(id)), Expires: time.UnixMilli(int64(member.Score))})
			}
			lists = append(lists, list)
		}
		return nil
	})
	return lists, err
}

// scan goes through the hash tags of all keys of a kind, those of one step at a time. The keys of a Cluster are on its masters.
func (s *Store) scan(ctx context.Context, kind string) iter.Seq2[[][32]byte, error] {
	return func(yield func([][32]byte, error) bool) {
		var servers []*redis.Client
		err := s.do(ctx, "masters", func(ctx context.Context) (err error) {
			servers, err = s.masters(ctx)
			return err
		})
		if err != nil {
			yield(nil, err)
			return
		}
		begin := s.prefix + ":" + kind + ":{"
		for _, server := range servers {
			for cursor := uint64(0); ; {
				var keys []string
				next := cursor
				err := s.insist(ctx, "scan", func(ctx context.Context) (err error) {
					keys, next, err = server.Scan(ctx, cursor, begin+"*", scanCount).Result()
					return err
				})
				if err != nil {
					yield(nil, err)
					return
				}
				cursor = next
				if !yield(hashTags(keys, begin), nil) {
					return
				}
				if cursor == 0 {
					break
				}
			}
		}
	}
}

// hashTags reads the tags of keys that begin so; what else is named like that is none of ours.
func hashTags(keys []string, begin string) (tags [][32]byte) {
	for _, key := range keys {
		text, found := strings.CutSuffix(strings.TrimPrefix(key, begin), "}")
		tag, err := base64.RawURLEncoding.Strict().DecodeString(text)
		if found && err == nil && len(tag) == 32 {
			tags = append(tags, [32]byte(tag))
		}
	}
	return tags
}

// insist is do for work of minutes, which shall not break off because a busy server was slow once: it tries again, a few times within a second.
func (s *Store) insist(ctx context.Context, op string, f func(ctx context.Context) error) error {
	for pause := 50 * time.Millisecond; ; pause *= 3 {
		err := s.do(ctx, op, f)
		if err == nil || pause > time.Second || Cause(err) == "permission" {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

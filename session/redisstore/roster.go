package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// The roster is a hash by name. A value begins with the end of its life in Unix ms and a blank; the key lives as long as the
// last of them.

// announceReplica: KEYS roster; ARGV name, value, life in ms, how many there may be. Returns the time and the roster as it is then. The entry is
// the first write, so that a full memory is noticed before anything has changed, and the key's expiry follows at once, so that no right
// that is missing leaves it without.
var announceReplica = redis.NewScript(`
local held = redis.pcall('HGETALL', KEYS[1])
if held.err then return held end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life, last, others, gone = tonumber(ARGV[3]), 0, 0, {}
for i = 1, #held, 2 do
  local ends = tonumber(string.match(held[i + 1], '^(%d+) ')) or 0
  if held[i] == ARGV[1] then
    if life <= 0 then table.insert(gone, held[i]) end
  elseif ends <= now then
    table.insert(gone, held[i])
  else
    others, last = others + 1, math.max(last, ends)
  end
end
if life > 0 then
  if others >= tonumber(ARGV[4]) then return {time, 'full'} end
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f ', now + life) .. ARGV[2])
  local given = redis.pcall('PEXPIREAT', KEYS[1], string.format('%.0f', math.max(last, now + life)))
  if type(given) == 'table' then
    redis.call('HDEL', KEYS[1], ARGV[1])
    return given
  end
end
for _, name in ipairs(gone) do redis.call('HDEL', KEYS[1], name) end
return {time, redis.call('HGETALL', KEYS[1])}
`)

// readRoster: KEYS roster. Returns the time and the roster.
var readRoster = redis.NewScript(`
local held = redis.pcall('HGETALL', KEYS[1])
if held.err then return held end
return {redis.call('TIME'), held}
`)

// Announce implements session.Roster. Errors besides the contract's: ErrRosterFull; ErrCorrupt when something else is stored there. It
// measures the store's clock as well, so that Now is right from the first announcement on.
func (s *Store) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (replicas map[string][]byte, err error) {
	if err := session.CheckRosterEntry(name, value); err != nil {
		return nil, err
	}
	err = s.do(ctx, "announce", func(ctx context.Context) error {
		asked := time.Now()
		stored, err := announceReplica.Run(ctx, s.client, s.rosterKeys(), name, value, ttl.Milliseconds(), session.MaxReplicas).Slice()
		if err != nil {
			return err
		}
		var now time.Time
		if now, replicas, err = decodeRoster(stored); err == nil {
			s.reading.Store(&reading{theirs: now, ours: asked.Add(time.Since(asked) / 2)})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return replicas, nil
}

// Replicas implements session.Roster. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Replicas(ctx context.Context) (replicas map[string][]byte, err error) {
	err = s.do(ctx, "replicas", func(ctx context.Context) error {
		stored, err := readRoster.Run(ctx, s.client, s.rosterKeys()).Slice()
		if err != nil {
			return err
		}
		_, replicas, err = decodeRoster(stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return replicas, nil
}

// Leave implements session.Roster. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Leave(ctx context.Context, name string) error {
	return s.do(ctx, "leave", func(ctx context.Context) error {
		return s.client.HDel(ctx, s.rosterKeys()[0], name).Err()
	})
}

// errRosterReply says that something came back that is no roster.
var errRosterReply = errors.New("redis answered with something else than a roster")

// decodeRoster reads what both scripts give, and leaves out what has expired.
func decodeRoster(stored []any) (now time.Time, replicas map[string][]byte, err error) {
	if len(stored) != 2 {
		return time.Time{}, nil, errRosterReply
	}
	if stored[1] == "full" {
		return time.Time{}, nil, session.ErrRosterFull
	}
	clock, _ := stored[0].([]any)
	held, isList := stored[1].([]any)
	if len(clock) != 2 || !isList || len(held)%2 != 0 {
		return time.Time{}, nil, errRosterReply
	}
	seconds, errSeconds := strconv.ParseInt(fmt.Sprint(clock[0]), 10, 64)
	micros, errMicros := strconv.ParseInt(fmt.Sprint(clock[1]), 10, 64)
	if err := errors.Join(errSeconds, errMicros); err != nil {
		return time.Time{}, nil, fmt.Errorf("%w: %w", errRosterReply, err)
	}
	now = time.Unix(seconds, micros*1000)
	replicas = make(map[string][]byte, len(held)/2)
	for pair := range slices.Chunk(held, 2) {
		name, _ := pair[0].(string)
		text, _ := pair[1].(string)
		end, value, _ := strings.Cut(text, " ")
		if ends, err := strconv.ParseInt(end, 10, 64); err == nil && now.UnixMilli() < ends {
			replicas[name] = []byte(value)
		}
	}
	return now, replicas, nil
}

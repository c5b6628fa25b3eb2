package redisstore

import "github.com/redis/go-redis/v9"

// A list is a sorted set of IDs by their end beside a hash of details, because of what both cost: up to 128 entries a
// sorted set of so short members is one packed block, and with thousands a login or a logout still costs the same. (One
// list or string of whole entries is 120 bytes smaller for each session, and reads all of them for each login: ending 5,000 sessions
// of one user would take Redis half a minute.)
//
// Whatever the number of entries, each script leaves both keys with the life of the entry that ends last, so neither can outlive
// the sessions. A score is read with tonumber and written with %.0f: some releases of Redis write 2e+12.

// noteEntry: KEYS IDs, details; ARGV ID, end in Unix ms, details or "". Adding to the sorted set is the first write, so
// that a full memory is noticed before anything has changed, and what creates a key is followed by its expiry at once, so that no
// right that is missing leaves it without. Details without a list are what an eviction left.
var noteEntry = redis.NewScript(`
local held = redis.pcall('HGET', KEYS[2], ARGV[1])
if type(held) == 'table' then return held end
local last = redis.pcall('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last.err then return last end
local ends = string.format('%.0f', math.max(tonumber(last[2] or ARGV[2]), tonumber(ARGV[2])))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local given = redis.pcall('PEXPIREAT', KEYS[1], ends)
if type(given) == 'table' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return given
end
if not last[1] then redis.call('DEL', KEYS[2]) end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('PEXPIREAT', KEYS[2], ends)
else
  redis.call('HDEL', KEYS[2], ARGV[1])
end
local now = redis.call('TIME')
now = string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], id)
  redis.call('HDEL', KEYS[2], id)
end
last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last)))
  end
end
return 1
`)

// readEntries: KEYS IDs, details. Returns IDs and ends in Unix ms by turns, of the entries that have not expired, by their end; and IDs
// and details by turns.
var readEntries = redis.NewScript(`
local now = redis.call('TIME')
now = string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
local ends = redis.pcall('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE', 'WITHSCORES')
if ends.err then return ends end
local details = redis.pcall('HGETALL', KEYS[2])
if details.err then return details end
return {ends, details}
`)

// forgetEntry: KEYS IDs, details; ARGV ID. Returns whether entries are left. None of its commands is refused when the memory is full.
var forgetEntry = redis.NewScript(`
local removed = redis.pcall('ZREM', KEYS[1], ARGV[1])
if type(removed) == 'table' then return removed end
local details = redis.pcall('HDEL', KEYS[2], ARGV[1])
if type(details) == 'table' then return details end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then
  for _, key in ipairs(KEYS) do
    redis.call('PEXPIREAT', key, string.format('%.0f', tonumber(last)))
  end
end
return last and 1 or 0
`)

package redisstore

import "github.com/redis/go-redis/v9"

// A list is a sorted set of IDs by their end: up to 128 entries are one packed block, and with thousands a login or a logout still costs the
// same. What is known of a session stands in its record, since a second value for each list would cost more than all that it holds.
//
// Whatever the number of entries, each script leaves the list with the life of the entry that ends last, so that it cannot outlive
// the sessions. A score is read with tonumber and written with %.0f: some releases of Redis write 2e+12.

// noteEntry: KEYS list; ARGV ID, end in Unix ms. Adding is the first write, so that a full memory is noticed before anything has changed,
// and what creates the key is followed by its expiry at once, so that no right that is missing leaves it without.
var noteEntry = redis.NewScript(`
local last = redis.pcall('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last.err then return last end
local ends = string.format('%.0f', math.max(tonumber(last[2] or ARGV[2]), tonumber(ARGV[2])))
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local given = redis.pcall('PEXPIREAT', KEYS[1], ends)
if type(given) == 'table' then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return given
end
local now = redis.call('TIME')
now = string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE')) do
  redis.call('ZREM', KEYS[1], id)
end
last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last))) end
return 1
`)

// readEntries: KEYS list. Returns IDs and ends in Unix ms by turns, of the entries that have not expired, by their end.
var readEntries = redis.NewScript(`
local now = redis.call('TIME')
now = string.format('%.0f', tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000))
return redis.pcall('ZRANGE', KEYS[1], '(' .. now, '+inf', 'BYSCORE', 'WITHSCORES')
`)

// forgetEntry: KEYS list; ARGV ID. Returns whether entries are left. None of its commands is refused when the memory is full.
var forgetEntry = redis.NewScript(`
local removed = redis.pcall('ZREM', KEYS[1], ARGV[1])
if type(removed) == 'table' then return removed end
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2]
if last then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', tonumber(last))) end
return last and 1 or 0
`)

package redisstore

import "github.com/redis/go-redis/v9"

// Scripts run alone on the server, so both keys of a record change together or not at all. Each first reads, then
// decides, then writes, and every write carries its expiry. Redis does not roll back a script that
// fails half-way (a full memory or a lost quorum is noticed before its first write, though), so the tokens go first: what could
// remain is a part that nothing reads and that expires.
//
// GET runs by pcall and its error is returned as it came: raised by call, Redis 6 would wrap it, and nobody could tell a
// value of another type from a failure.
//
// A command that is sent again because its answer was lost must find its own work: a value that is held already
// and is byte for byte the one to be written is ours, since every seal has a random nonce.

// swapRecord, touchRecord and deleteRecord end in a channel and a message, which are published when the identity part has changed; both are
// empty where the server tells of changes by itself (see watch_mode.go). A message that is refused does not undo the write: without the right nobody
// listens, as Watch checks it first.

// readRecord: KEYS identity and, unless they are not asked for, tokens; ARGV mark. Returns the mark, identity or nil, what is left of
// its life as PTTL says it, and tokens or nil.
var readRecord = redis.NewScript(`
local identity = redis.pcall('GET', KEYS[1])
if type(identity) == 'table' then return identity end
local tokens = KEYS[2] and redis.pcall('GET', KEYS[2]) or false
if type(tokens) == 'table' then return tokens end
return {ARGV[1], identity, redis.call('PTTL', KEYS[1]), tokens}
`)

// createRecord: KEYS identity, tokens; ARGV identity, tokens or "", life in ms. Returns when it ends in Unix ms, 0 if its life is over, or -1
// if there is another.
var createRecord = redis.NewScript(measuring + `
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if held then
  if held == ARGV[1] then return ends(redis.call('PTTL', KEYS[1])) end
  return -1
end
if tonumber(ARGV[3]) > 0 then
  if ARGV[2] ~= '' then
    redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[3])
  else
    redis.call('DEL', KEYS[2])
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
end
return ends(tonumber(ARGV[3]))
`)

// swapRecord: KEYS identity, tokens; ARGV identity, tokens or "", the version that the held value has behind its format, life in ms, absolute
// end in Unix ms, channel, message, the oldest and the latest format that may be replaced. Returns 1, 0 for another version, -1 for no record;
// and if it changed something when the record ended, how large it was, and when it ends now, else zeros. A record that nobody gave an expiry ends
// at its absolute end.
var swapRecord = redis.NewScript(measuring + `
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if not held then return {-1, 0, 0, 0} end
if held == ARGV[1] then return {1, 0, 0, 0} end
local format = string.byte(held, 1) or 0
if format < tonumber(ARGV[8]) or format > tonumber(ARGV[9]) or string.sub(held, 2, 1 + #ARGV[3]) ~= ARGV[3] then return {0, 0, 0, 0} end
local limit = tonumber(ARGV[5]) - now
local left = redis.call('PTTL', KEYS[1])
local bytes = size(KEYS)
local life = left
if life < 0 then life = limit end
life = math.min(math.max(life, tonumber(ARGV[4])), limit)
if life <= 0 then
  redis.call('DEL', KEYS[1], KEYS[2])
  if ARGV[6] ~= '' then redis.pcall('PUBLISH', ARGV[6], ARGV[7]) end
  return {-1, ends(left), bytes, 0}
end
local new = ends(life)
life = string.format('%.0f', life)
if ARGV[2] ~= '' then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', life)
else
  redis.call('DEL', KEYS[2])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', life)
if ARGV[6] ~= '' then redis.pcall('PUBLISH', ARGV[6], ARGV[7]) end
return {1, ends(left), bytes, new}
`)

// touchRecord: KEYS identity, tokens; ARGV life in ms, channel, message. Returns whether there is a record, when it ended, when it ends now, and
// its size. PTTL is -2 for no key and -1 for one without expiry, which gets one here.
var touchRecord = redis.NewScript(measuring + `
local life = tonumber(ARGV[1])
local before = redis.call('PTTL', KEYS[1])
if before == -2 then return {0, 0, 0, 0} end
local bytes = size(KEYS)
for _, key in ipairs(KEYS) do
  local left = redis.call('PTTL', key)
  if left ~= -2 and life > left then
    redis.call('PEXPIRE', key, ARGV[1])
    if key == KEYS[1] and ARGV[2] ~= '' then redis.pcall('PUBLISH', ARGV[2], ARGV[3]) end
  end
end
return {1, ends(before), ends(math.max(before, life)), bytes}
`)

// deleteRecord: KEYS identity, tokens; ARGV channel, message. Returns when the record ended, 0 if there was none, and its size. None of its commands is refused when the
// memory is full.
var deleteRecord = redis.NewScript(measuring + `
local left, bytes = redis.call('PTTL', KEYS[1]), size(KEYS)
if redis.call('DEL', KEYS[1], KEYS[2]) > 0 and ARGV[1] ~= '' then redis.pcall('PUBLISH', ARGV[1], ARGV[2]) end
return {ends(left), bytes}
`)

// claimSlot: KEYS slot; ARGV value, life in ms. Returns the value that holds the slot afterwards.
var claimSlot = redis.NewScript(`
local held = redis.pcall('GET', KEYS[1])
if held then return held end
if tonumber(ARGV[2]) > 0 then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return ARGV[1]
`)

// replaceSlot: KEYS slot; ARGV old without its mark, value, life in ms, where a value begins behind its mark. Returns whether
// value is stored.
var replaceSlot = redis.NewScript(`
local held = redis.pcall('GET', KEYS[1])
if type(held) == 'table' then return held end
if held == ARGV[2] then return 1 end
if not held or string.sub(held, tonumber(ARGV[4])) ~= ARGV[1] then return 0 end
if tonumber(ARGV[3]) > 0 then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
else
  redis.call('DEL', KEYS[1])
end
return 1
`)

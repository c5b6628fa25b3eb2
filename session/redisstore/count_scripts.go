package redisstore

import "github.com/redis/go-redis/v9"

// measuring is the beginning of the scripts that tell when a record ends, in Unix ms or 0 for none, and how large it is. What is no string has no
// size. (STRLEN would be one more right, and PEXPIRETIME Redis 7.)
const measuring = `
local function size(keys)
  local sum = 0
  for _, key in ipairs(keys) do
    local value = redis.pcall('GET', key)
    if type(value) == 'string' then sum = sum + #value end
  end
  return sum
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function ends(left)
  if left <= 0 then return 0 end
  return now + left
end
`

// addCounts: KEYS what the process sent last, totals of the hours, seconds of hours; ARGV number of this sending, the hour that passes, the last
// one that it is about, and by fives: which of KEYS, hour since 1970, second within the hour, sessions, bytes. Returns whether they were added now. The
// number is written first: what fails half-way is lost, and not added again and again. What creates a key is followed by its
// expiry at once, so that no right that is missing leaves it without.
var addCounts = redis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return 0 end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local function after(hour) return (tonumber(hour) + 1) * 3600000 end
local last = math.max(now + redis.call('PTTL', KEYS[2]), after(ARGV[3]))
redis.call('SET', KEYS[1], ARGV[1], 'PX', 3600000)
local lives, added = {}, false
local function add(key, ends, field, n)
  local wrong = redis.pcall('HINCRBY', key, field, n)
  if type(wrong) ~= 'table' and not lives[key] then
    lives[key] = true
    wrong = redis.pcall('PEXPIREAT', key, string.format('%.0f', ends))
    if type(wrong) == 'table' then redis.call('DEL', key) end
  end
  if type(wrong) == 'table' then
    if not added then redis.call('DEL', KEYS[1]) end
    return wrong
  end
  added = true
end
local sums = {}
for i = 4, #ARGV, 5 do
  local seconds, hour = KEYS[tonumber(ARGV[i])], ARGV[i + 1]
  local wrong = add(seconds, after(hour), ARGV[i + 2], ARGV[i + 3]) or add(seconds, after(hour), ARGV[i + 2] .. 'b', ARGV[i + 4])
  if wrong then return wrong end
  sums[hour] = (sums[hour] or 0) + tonumber(ARGV[i + 3])
  sums[hour .. 'b'] = (sums[hour .. 'b'] or 0) + tonumber(ARGV[i + 4])
end
for field, n in pairs(sums) do
  local wrong = add(KEYS[2], last, field, string.format('%.0f', n))
  if wrong then return wrong end
end
local hours = redis.call('HGETALL', KEYS[2])
for i = 1, #hours, 2 do
  if tonumber((string.gsub(hours[i], 'b', ''))) < tonumber(ARGV[2]) then redis.call('HDEL', KEYS[2], hours[i]) end
end
return 1
`)

// addUsers: KEYS sets of users; ARGV the time, and by threes: which of KEYS, mark of a user, end in Unix ms of the longest life of their
// sessions, or 0 if they have none. It drops who is no longer there, some at a time, and leaves each key with the life of the one who stays longest. A score is
// read with tonumber and written with %.0f, as in index_scripts.go.
var addUsers = redis.NewScript(`
local function live(key)
  local last = redis.call('ZRANGE', key, -1, -1, 'WITHSCORES')[2]
  if last then return redis.pcall('PEXPIREAT', key, string.format('%.0f', tonumber(last))) end
end
local lives = {}
for i = 2, #ARGV, 3 do
  local key = KEYS[tonumber(ARGV[i])]
  if ARGV[i + 2] == '0' then
    redis.call('ZREM', key, ARGV[i + 1])
  else
    redis.call('ZADD', key, 'GT', ARGV[i + 2], ARGV[i + 1])
    local wrong = not lives[key] and live(key)
    lives[key] = true
    if type(wrong) == 'table' then
      redis.call('DEL', key)
      return wrong
    end
  end
end
for _, key in ipairs(KEYS) do
  for _, user in ipairs(redis.call('ZRANGE', key, '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, 1000)) do
    redis.call('ZREM', key, user)
  end
  live(key)
end
return 1
`)

// Package redisstore keeps sessions in Redis 6.2 or later: one server, one behind sentinels, or a Cluster. It is the only place
// that knows key names (keys.go) and go-redis.
//
// # What it promises beyond the contract
//
// An operation ends within Options.Timeout, whatever happens to Redis, the network or the caller, and however many
// wait (client.go says by which settings). A Redis that is down, hangs or refuses is tried a few times a second, by one connection, and
// everyone passes again within 200 ms of its return (dial.go). An operation whose answer was lost is sent once more;
// all of them may be (scripts.go).
//
// # The push channel
//
// Store.Watch tells of changes over one connection to each master, asked for a sign of life twice a second (watch.go). By whom changes are told is
// the server's choice, the same for all processes (watch_mode.go):
//
//   - by Redis itself, where it lets this user have CLIENT TRACKING: every change, in any database, expiry, eviction and flush as well. A process that hangs lets
//     the server keep what it was not told; client-output-buffer-limit normal and maxmemory-clients bound that.
//   - else by messages that writes publish: what this package writes, and nothing else. In a Cluster each comes once from every master.
//
// Behind sentinels the channel lives as long as all sentinels of the URL that answer name the same master, and at least one answers (watch_sentinels.go); in a
// Cluster, as long as all masters agree who they are (watch_masters.go). Where that is never so, nothing is told and the store works as without. With a single
// address the channel lives as long as the server that took it, also when the address leads elsewhere by then (see Store.Watch).
//
// # Rights
//
// A user for this service needs the keys of its prefix and these commands, and no others:
//
//	ACL SETUSER authsvc on >password ~authsvc:* resetchannels +get +set +del +pttl +pexpire +pexpireat +time +ping +eval +evalsha +zadd +zrem +zrange +zcount +hgetall +hset +hdel +hincrby +client|tracking
//
// The commands that go through all sessions need +scan as well. SCAN tells the names of all keys of a database, also those of
// other prefixes, so the service itself should not have it: give the commands a user of their own, with the service's rights and this one. All of
// the service's: a user who is told of changes by other means than the replicas are would not tell them of its own.
//
// Without +client|tracking, or on a server that has no such command, changes are told by messages (see Store.Watch), and the user needs these in its place, with
// the prefix of its keys:
//
//	ACL SETUSER authsvc +subscribe +publish &authsvc:changes
//
// With a Cluster also +cluster|slots, and +asking for the time of a resharding; with a database other than 0 also +select. A user of sentinels that ask who one is
// (sentinel_user and sentinel_password) needs this:
//
//	ACL SETUSER authsvc on >password resetchannels &+switch-master &+replica-reconf-done +subscribe +ping +sentinel|get-master-addr-by-name +sentinel|sentinels
package redisstore

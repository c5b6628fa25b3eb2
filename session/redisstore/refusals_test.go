package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

// refusal is a state of a real server in which it refuses commands, and how the store takes that.
type refusal struct {
	// code is how the server's own answer to a command begins.
	code string
	// refuse brings the server into the state, and returns a command that it refuses with the code, and what ends the state.
	refuse func(t *testing.T, server *storetest.Server) (refused []any, end func())
	// reads and writes are the causes that operations fail with; "" means that they succeed.
	reads, writes string
	// deletes tells whether a session can be ended nevertheless.
	deletes bool
}

var refusals = map[string]refusal{
	"a replica": {"READONLY", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("REPLICAOF", "127.0.0.1", "1")
		return []any{"SET", "k", "v", "PX", 1}, func() { server.Do("REPLICAOF", "NO", "ONE") }
	}, "", "readonly", false},
	"a replica, to a script": {"READONLY", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("REPLICAOF", "127.0.0.1", "1")
		return []any{"EVAL", "return redis.call('SET', KEYS[1], 'v', 'PX', 1)", 1, "k"}, func() { server.Do("REPLICAOF", "NO", "ONE") }
	}, "", "readonly", false},
	"a replica without its master": {"MASTERDOWN", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("CONFIG", "SET", "replica-serve-stale-data", "no")
		server.Do("REPLICAOF", "127.0.0.1", "1")
		return []any{"GET", "k"}, func() { server.Do("REPLICAOF", "NO", "ONE") }
	}, "loading", "loading", false},
	"a full memory": {"OOM", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("CONFIG", "SET", "maxmemory", "1")
		return []any{"SET", "k", "v", "PX", 1}, func() { server.Do("CONFIG", "SET", "maxmemory", "0") }
	}, "", "memory", true},
	"a disk that takes nothing": {"MISCONF", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		dir := server.Do("CONFIG", "GET", "dir").([]any)[1].(string)
		dump := filepath.Join(dir, "dump.rdb")
		if err := os.MkdirAll(filepath.Join(dump, "in the way"), 0o700); err != nil {
			t.Fatal(err)
		}
		server.Do("CONFIG", "SET", "save", "3600 1")
		server.Do("BGSAVE")
		return []any{"SET", "k", "v", "PX", 1}, func() {
			server.Do("CONFIG", "SET", "save", "")
			if err := os.RemoveAll(dump); err != nil {
				t.Fatal(err)
			}
		}
	}, "", "persistence", false},
	"too few replicas": {"NOREPLICAS", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("CONFIG", "SET", "min-replicas-to-write", "1")
		return []any{"SET", "k", "v", "PX", 1}, func() { server.Do("CONFIG", "SET", "min-replicas-to-write", "0") }
	}, "", "replicas", false},
	"a script that does not end": {"BUSY", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("CONFIG", "SET", "busy-reply-threshold", "20")
		ended := make(chan error, 1)
		client := server.Client()
		go func() { ended <- client.Do(context.Background(), "EVAL", "while true do end", "0").Err() }()
		return []any{"GET", "k"}, func() {
			storetest.WaitFor(t, "the script to be killed", func() error { return client.ScriptKill(context.Background()).Err() })
			<-ended
		}
	}, "busy", "busy", false},
	"scripts that were forgotten": {"NOSCRIPT", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		server.Do("SCRIPT", "FLUSH")
		return []any{"EVALSHA", strings.Repeat("0", 40), 0}, func() {}
	}, "", "", true},
	"a password that was asked for": {"NOAUTH", func(t *testing.T, server *storetest.Server) ([]any, func()) {
		admin := server.Client().Conn() // stays signed in
		ctx := context.Background()
		for _, command := range [][]any{{"CONFIG", "SET", "requirepass", "nobody-knows"}, {"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"}} {
			if err := admin.Do(ctx, command...).Err(); err != nil {
				t.Fatal(err)
			}
		}
		return []any{"GET", "k"}, func() {
			if err := errors.Join(admin.ConfigSet(ctx, "requirepass", "").Err(), admin.Close()); err != nil {
				t.Error(err)
			}
		}
	}, "auth", "auth", false},
}

// TestRefusals: whatever a server says instead of an answer is never taken for one, is named, and is over when it is.
func TestRefusals(t *testing.T) {
	for name, row := range refusals {
		t.Run(row.code+", "+name, func(t *testing.T) {
			t.Parallel()
			server := storetest.StartRedis(t)
			s := open(t, Options{URL: server.URL, Timeout: time.Second})
			records := stored(t, s, 3)
			refused, end := row.refuse(t, server)
			client := server.Client()
			storetest.WaitFor(t, "the server to refuse", func() error {
				err := client.Do(t.Context(), refused...).Err()
				if err == nil || !strings.HasPrefix(err.Error(), row.code+" ") {
					return fmt.Errorf("%v says %v", refused[0], err)
				}
				return nil
			})

			_, loaded := s.Load(t.Context(), records[0].ID)
			_, unknown := s.Load(t.Context(), record(99).ID)
			if errors.Is(unknown, session.ErrNotFound) && row.reads == "" {
				unknown = nil
			}
			second := records[1]
			second.Version++
			swapped := s.Swap(t.Context(), second)
			deleted := s.Delete(t.Context(), records[2].ID)
			deletes := row.writes
			if row.deletes {
				deletes = ""
			}
			for what, is := range map[string]struct {
				err   error
				cause string
			}{
				"Load": {loaded, row.reads}, "Load of nothing": {unknown, row.reads}, "Create": {s.Create(t.Context(), record(98)), row.writes},
				"Swap": {swapped, row.writes}, "Delete": {deleted, deletes},
			} {
				if Cause(is.err) != is.cause || is.cause != "" && !storetest.CannotTell(is.err) || is.cause == "" && is.err != nil {
					t.Errorf("%s: %v (%s), want %q", what, is.err, Cause(is.err), is.cause)
				}
			}

			end()
			intact(t, s, records[:1])
			storetest.WaitFor(t, "writes to be taken", func() error { return s.Create(t.Context(), record(97)) })
			if _, err := s.Load(t.Context(), records[2].ID); (deleted == nil) != errors.Is(err, session.ErrNotFound) {
				t.Errorf("a session whose Delete said %v: %v", deleted, err)
			}
		})
	}
}

// Redis 6 says of a command that a script runs what went wrong in the middle of its text.
func TestCauseWithinScripts(t *testing.T) {
	const before = "ERR Error running script (call to f_2bab3b661081db58bd2341920e0ba7cf5dc77b25): @user_script:17: @user_script: 17: -"
	for text, want := range map[string]string{
		"READONLY You can't write against a read only replica.":                               "readonly",
		"OOM command not allowed when used memory > 'maxmemory'.":                             "memory",
		"NOREPLICAS Not enough good replicas to write.":                                       "replicas",
		"MISCONF Redis is configured to save RDB snapshots, but it is currently not able to.": "persistence",
	} {
		if got := Cause(explain("swap", reply(before+text))); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	if got := Cause(explain("swap", reply(before[:len(before)-1]+"attempt to index a nil value"))); got != "other" {
		t.Errorf("an error of the script itself: %s", got)
	}
}

// A master is demoted and lives on, and its address leads to the new one: everything passes, though all connections that there are lead to the old one.
func TestReadOnlyElsewhere(t *testing.T) {
	demoted, promoted := storetest.StartRedis(t), storetest.StartRedis(t)
	before := startProxy(t, demoted.Addr)
	s := open(t, Options{URL: "redis://" + before.Addr})
	records := stored(t, s, 3)
	host, port, _ := net.SplitHostPort(demoted.Addr)
	promoted.Do("REPLICAOF", host, port)
	replicated(t, demoted)
	var idle []*redis.Conn // a pool full of connections
	for range 10 {
		c := s.client.(*redis.Client).Conn()
		if err := c.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
	}
	for _, c := range idle {
		c.Close()
	}

	promoted.Do("REPLICAOF", "NO", "ONE")
	host, port, _ = net.SplitHostPort(promoted.Addr)
	demoted.Do("REPLICAOF", host, port)
	before.mu.Lock()
	before.listener.Close() // the connections stay
	before.mu.Unlock()
	after := &proxy{server: promoted.Addr, conns: map[net.Conn]bool{}}
	after.listen(t, before.Addr)
	t.Cleanup(func() { after.close(); after.running.Wait() })

	r := records[0]
	r.Version++
	if err := s.Swap(t.Context(), r); err != nil {
		t.Errorf("Swap: %v", err)
	}
	if err := s.Delete(t.Context(), records[1].ID); err != nil {
		t.Errorf("Delete: %v", err)
	}
	intact(t, s, []session.Record{r, records[2]})
	if n := promoted.Info("total_commands_processed"); n == 0 {
		t.Error("nothing was asked of the new master")
	}
}

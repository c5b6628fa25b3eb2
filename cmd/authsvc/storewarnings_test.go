package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session/memstore"
	"authsvc/session/redisstore"
	"authsvc/session/storetest"
)

// TestWarnOfStore: at the start the log tells of what can end sessions, and of nothing else.
func TestWarnOfStore(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Do("ACL", "SETUSER", "blind", "on", ">pass", "~*", "+@all", "-info")
	server.Do("ACL", "SETUSER", "narrow", "on", ">pass", "~*", "+@all", "-evalsha")
	for name, row := range map[string]struct{ user, policy, want string }{
		"nothing":         {"", "noeviction", ""},
		"only the idle":   {"", "volatile-ttl", ""},
		"anyone":          {"", "volatile-lru", "redis eviction: maxmemory-policy of " + server.Addr + " is volatile-lru"},
		"not to be seen":  {"blind:pass@", "volatile-lru", ""},
		"a missing right": {"narrow:pass@", "noeviction", "redis rights: the user lacks +evalsha"},
	} {
		t.Run(name, func(t *testing.T) {
			server.Do("CONFIG", "SET", "maxmemory-policy", row.policy)
			store, err := redisstore.Open(redisstore.Options{URL: strings.Replace(server.URL, "//", "//"+row.user, 1), Timeout: patience})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			storetest.WaitFor(t, "the store", func() error { return store.Ping(t.Context()) })
			var out bytes.Buffer
			warnOfStore(t.Context(), store, zerolog.New(&out))
			if got := out.String(); (got == "") != (row.want == "") || !strings.Contains(got, row.want) || strings.Count(got, "\n") > 1 {
				t.Errorf("the log is %q, want %q", got, row.want)
			}
		})
	}
	t.Run("silent at first", func(t *testing.T) {
		server.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
		looked := make(chan bool, 1)
		store, err := redisstore.Open(redisstore.Options{URL: server.URL, Timeout: patience, Observe: func(operation string, _ time.Duration, err error) {
			select {
			case looked <- operation == "info" && err != nil:
			default:
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		storetest.WaitFor(t, "the store", func() error { return store.Ping(t.Context()) })
		server.Pause()
		defer server.Resume()
		var out bytes.Buffer
		done := make(chan struct{})
		go func() { warnOfStore(t.Context(), store, zerolog.New(&out)); close(done) }()
		for !<-looked {
		}
		server.Resume()
		<-done
		if !strings.Contains(out.String(), "maxmemory-policy") || strings.Count(out.String(), "\n") != 1 {
			t.Errorf("the log is %q", &out)
		}
	})
	var out bytes.Buffer
	warnOfStore(t.Context(), memory{memstore.New(nil)}, zerolog.New(&out))
	if out.Len() > 0 {
		t.Errorf("of a store in memory: %s", &out)
	}
}

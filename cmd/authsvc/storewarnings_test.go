package main

import (
	"bytes"
	"strings"
	"testing"

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
	var out bytes.Buffer
	warnOfStore(t.Context(), memory{memstore.New(nil)}, zerolog.New(&out))
	if out.Len() > 0 {
		t.Errorf("of a store in memory: %s", &out)
	}
}

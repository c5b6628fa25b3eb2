package redisstore

import (
	"context"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// rights are the rights that doc.go names. TestContractNarrowRights and TestWatchNarrowRights show that they are enough.
func rights(t *testing.T) []string {
	t.Helper()
	return named(t, `ACL SETUSER authsvc on .* (resetchannels( \+[a-z|]+)+)\n`)
}

// messageRights are those by which messages tell of changes, for every prefix of a test. TestWatchMessages shows that they are enough.
func messageRights(t *testing.T) []string {
	t.Helper()
	plain := slices.DeleteFunc(rights(t), func(right string) bool { return right == "+client|tracking" })
	return append(append(plain, named(t, `ACL SETUSER authsvc (( ?\+[a-z]+)+ &authsvc:changes)\n`)...), "&t*:changes")
}

func named(t *testing.T, rule string) []string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(rule).FindStringSubmatch(string(doc))
	if found == nil {
		t.Fatal("doc.go names no such rights")
	}
	return strings.Fields(found[1])
}

func aclRule(name, password, keys string, rights []string) []any {
	rule := []any{"ACL", "SETUSER", name, "reset", "on", ">" + password, "~" + keys}
	for _, right := range rights {
		rule = append(rule, right)
	}
	return rule
}

// narrow opens a store as a user with these rights.
func narrow(t *testing.T, server *storetest.Server, keys string, rights []string) *Store {
	t.Helper()
	server.Do(aclRule("narrow", "pass", keys, rights)...)
	return open(t, Options{URL: strings.Replace(server.URL, "//", "//narrow:pass@", 1)})
}

// Without any one of the rights something does not work, and the self-test names it. It leaves nothing behind.
func TestRightsAreTheNarrowest(t *testing.T) {
	server := storetest.StartRedis(t)
	all := rights(t)
	for i, right := range all {
		if !strings.HasPrefix(right, "+") {
			continue
		}
		server.Flush()
		server.Do("SCRIPT", "FLUSH")
		s := narrow(t, server, "authsvc:*", slices.Delete(slices.Clone(all), i, i+1))
		if missing, err := s.MissingRights(t.Context()); err != nil || !slices.Equal(missing, []string{right}) {
			t.Errorf("without %s the self-test misses %v, %v", right, missing, err)
		}
		err := s.SelfTest(t.Context())
		if err == nil {
			err = watchOnce(t.Context(), s, true)
		}
		if err == nil {
			_, err = s.Announce(t.Context(), "replica", nil, time.Minute) // which the self-test does not do to the replicas of others
		}
		if err == nil {
			t.Errorf("%s is not needed", right)
		}
		lives, err := server.Lives(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for key, left := range lives {
			if left < 0 {
				t.Errorf("without %s, %s is left without expiry", right, key)
			}
		}
	}
}

// watchOnce sets up a push channel of the kind, and returns why there is none.
func watchOnce(ctx context.Context, s *Store, tracking bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	_, err := s.watch(ctx, stopWhenArmed(cancel), tracking)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// stopWhenArmed is an observer that has seen enough when it is armed.
type stopWhenArmed context.CancelFunc

func (stop stopWhenArmed) Armed()             { stop() }
func (stop stopWhenArmed) Changed(session.ID) {}
func (stop stopWhenArmed) Lost(time.Time)     {}

// Without any one of the rights for messages there is no channel; with all there is, and tracking is not tried in vain.
func TestRightsForMessagesAreTheNarrowest(t *testing.T) {
	server := storetest.StartRedis(t)
	all := messageRights(t)
	more := slices.Index(all, "+subscribe")
	for i, right := range append(all[more:len(all):len(all)], "") {
		given := slices.Clone(all)
		if right != "" {
			given = slices.Delete(given, more+i, more+i+1)
		}
		server.Do(aclRule("narrow", "pass", "*", given)...)
		s := open(t, Options{URL: strings.Replace(server.URL, "//", "//narrow:pass@", 1)})
		if err := watchOnce(t.Context(), s, true); !errors.Is(err, errNoTracking) {
			t.Errorf("tracking without the right: %v", err)
		}
		if err := watchOnce(t.Context(), s, false); (err == nil) != (right == "" || strings.HasPrefix(right, "&t")) {
			t.Errorf("messages without %q: %v", right, err)
		}
	}
}

// With all rights the self-test finds nothing, and leaves only what tells who has counted.
func TestSelfTest(t *testing.T) {
	server := storetest.StartRedis(t)
	s := narrow(t, server, "authsvc:*", rights(t))
	if missing, err := s.MissingRights(t.Context()); err != nil || missing != nil {
		t.Errorf("it misses %v, %v", missing, err)
	}
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
	if got := totals(t, s); got != (session.Totals{}) {
		t.Errorf("%+v are counted afterwards", got)
	}
	lives, err := server.Lives(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key := range lives {
		if !strings.HasPrefix(key, "authsvc:count:") {
			t.Errorf("%s is left", key)
		}
	}
}

func TestMissingRights(t *testing.T) {
	server := storetest.StartRedis(t)
	all := rights(t)
	if missing, err := narrow(t, server, "other:*", all).MissingRights(t.Context()); err != nil || !slices.Equal(missing, []string{"~authsvc:*"}) {
		t.Errorf("without the keys it misses %v, %v", missing, err)
	}
	if missing, err := narrow(t, server, "authsvc:*", []string{"-@all"}).MissingRights(t.Context()); err != nil || len(missing) != len(probes) {
		t.Errorf("without any right it misses %v, %v", missing, err)
	}
	untracked := slices.DeleteFunc(slices.Clone(all), func(right string) bool { return right == rightToTrack })
	for want, more := range map[string][]string{"": {"+subscribe", "+publish", "&authsvc:changes"}, rightToTrack: {"+subscribe", "+publish", "&other:changes"}, rightToTrack + " ": {"+publish", "&authsvc:changes"}} {
		missing, err := narrow(t, server, "authsvc:*", append(slices.Clone(untracked), more...)).MissingRights(t.Context())
		if err != nil || strings.Join(missing, " ") != strings.TrimSpace(want) {
			t.Errorf("with %v in place of tracking it misses %v, %v", more, missing, err)
		}
	}
	s := open(t, Options{URL: strings.Replace(server.URL, "//", "//narrow:pass@", 1) + "/3"})
	server.Do(aclRule("narrow", "pass", "authsvc:*", all)...)
	if missing, err := s.MissingRights(t.Context()); err != nil || !slices.Equal(missing, []string{"+select"}) {
		t.Errorf("in another database it misses %v, %v", missing, err)
	}
	server.Kill()
	if missing, err := s.MissingRights(t.Context()); err == nil {
		t.Errorf("of a server that is gone it misses %v", missing)
	}
}

// What a server says of itself needs one more right, and is the same over all topologies.
func TestServers(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Do("CONFIG", "SET", "maxmemory", "50mb", "maxmemory-policy", "allkeys-lru")
	s := narrow(t, server, "authsvc:*", rights(t))
	if _, err := s.Servers(t.Context()); Cause(err) != "permission" {
		t.Errorf("without +info: %v", err)
	}
	s = narrow(t, server, "authsvc:*", append(rights(t), "+info"))
	servers, err := s.Servers(t.Context())
	if err != nil || len(servers) != 1 {
		t.Fatalf("%+v, %v", servers, err)
	}
	got := servers[0]
	if got.Address != server.Addr || got.MaxMemory != 50<<20 || got.UsedMemory <= 0 || got.EvictionPolicy != "allkeys-lru" || !strings.Contains(got.Version, ".") {
		t.Errorf("%+v", got)
	}
	for policy, want := range map[string]bool{"noeviction": false, "volatile-ttl": false, "volatile-lru": true, "allkeys-random": true, "": true} {
		if (Server{EvictionPolicy: policy}).EvictsAny() != want {
			t.Errorf("with %q it evicts any: %t", policy, !want)
		}
	}
	c := storetest.StartCluster(t)
	if servers, err := open(t, Options{URL: c.URL}).Servers(t.Context()); err != nil || len(servers) != 3 {
		t.Errorf("of a Cluster: %+v, %v", servers, err)
	}
}

// TestREADMENamesTheRights: people grant what they read there.
func TestREADMENamesTheRights(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if rule := "ACL SETUSER authsvc on >password ~authsvc:* " + strings.Join(rights(t), " ") + "\n"; !strings.Contains(string(readme), rule) {
		t.Errorf("README.md does not say %s", rule)
	}
}

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

// Without any one of the rights something does not work.
func TestRightsAreTheNarrowest(t *testing.T) {
	server := storetest.StartRedis(t)
	all := rights(t)
	for i, right := range all {
		if !strings.HasPrefix(right, "+") {
			continue
		}
		server.Flush()
		server.Do("SCRIPT", "FLUSH")
		server.Do(aclRule("narrow", "pass", "authsvc:*", slices.Delete(slices.Clone(all), i, i+1))...)
		s := open(t, Options{URL: strings.Replace(server.URL, "//", "//narrow:pass@", 1)})
		if everything(t.Context(), s) == nil {
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

// everything runs every operation and returns the first error.
func everything(ctx context.Context, s *Store) error {
	r, second, name := record(1), record(1), session.SlotName{Kind: "slot"}
	second.Version++
	list := session.IndexName{Kind: "user"}
	entry := session.IndexEntry{ID: r.ID, Expires: r.Expires, Details: []byte("details")}
	for _, op := range []func() error{
		func() error { return s.Ping(ctx) },
		func() error { return s.measure(ctx) },
		func() error { return s.Create(ctx, r) },
		func() error { _, err := s.Load(ctx, r.ID); return err },
		func() error { _, err := s.LoadWithTokens(ctx, r.ID); return err },
		func() error { return s.Swap(ctx, second) },
		func() error { return s.Touch(ctx, r.ID, 2*time.Hour) },
		func() error { _, _, err := s.Claim(ctx, name, []byte("one"), time.Hour); return err },
		func() error { _, err := s.Replace(ctx, name, []byte("one"), []byte("two"), time.Hour); return err },
		func() error { _, err := s.ReadSlot(ctx, name); return err },
		func() error { return s.Note(ctx, []session.IndexName{list}, entry) },
		func() error { _, err := s.Noted(ctx, list); return err },
		func() error { return s.Forget(ctx, list, r.ID) },
		func() error { s.Seen(list, time.Hour); _, err := s.Count(ctx); return err },
		func() error { return s.Delete(ctx, r.ID) },
		func() error { return watchOnce(ctx, s, true) },
	} {
		if err := op(); err != nil {
			return err
		}
	}
	return nil
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

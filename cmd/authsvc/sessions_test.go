package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
	"authsvc/session"
	"authsvc/session/memstore"
)

func TestShieldIDs(t *testing.T) {
	id := session.ID{0xfb}.String() // begins with a dash but for the first letter
	id = "-" + id[1:]
	if _, err := session.ParseID(id); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"sessions show " + id:                 "sessions show -- " + id,
		"sessions show " + id + " --json":     "sessions show --json -- " + id,
		"--config x sessions revoke " + id:    "--config x sessions revoke -- " + id,
		"sessions show -- " + id:              "sessions show -- " + id,
		"sessions show x" + id[1:]:            "sessions show x" + id[1:],
		"nginx render --replica " + id:        "nginx render --replica " + id,
		"sessions revoke --user " + id[:42]:   "sessions revoke --user " + id[:42],
		"sessions list":                       "sessions list",
		"sessions show --json " + id + " one": "sessions show --json one -- " + id,
	} {
		if got := strings.Join(shieldIDs(strings.Fields(args)), " "); got != want {
			t.Errorf("%s became %s, want %s", args, got, want)
		}
	}
	// The whole way: it is understood as an ID, and only the store is missing.
	got := call(t, "sessions show "+id+" --config "+writeConfig(t, t.TempDir(), "app"))
	if got.code != 1 || !strings.Contains(got.stderr, "store.url is memory:") {
		t.Errorf("got %+v", got)
	}
}

func TestSessionsUsage(t *testing.T) {
	environ := []string{"AUTHSVC_CONFIG=" + writeConfig(t, t.TempDir(), "app"), "AUTHSVC_STORE_URL=redis://127.0.0.1:1"}
	for args, code := range map[string]int{
		"sessions": 2, "sessions lst": 2, "sessions list x": 2, "sessions show": 2, "sessions show a b": 2,
		"sessions revoke": 2, "sessions revoke --all --user x": 2, "sessions revoke x --all": 2, "sessions revoke x --user y": 2, "sessions revoke --user=": 2,
		"sessions show x": 1, "sessions revoke x": 1, "sessions stats": 1, "sessions list --user x": 1, "sessions revoke --user x": 1, "sessions revoke --all": 1,
	} {
		if got := call(t, args, environ...); got.code != code || got.stdout != "" || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%s: want %d, got %+v", args, code, got)
		}
	}
}

// blindStore cannot read records.
type blindStore struct{ session.Store }

func (blindStore) Load(context.Context, session.ID) (session.Record, error) {
	return session.Record{}, errors.New("no answer")
}

// TestRevokeUserUnread: who cannot be counted is signed out all the same.
func TestRevokeUserUnread(t *testing.T) {
	config, err := authsvc.Load(writeConfig(t, t.TempDir(), "app"), nil)
	if err != nil {
		t.Fatal(err)
	}
	store := memory{memstore.New(nil)}
	managers, err := authsvc.NewManagers(config, store)
	if err != nil {
		t.Fatal(err)
	}
	d, manager := desk{sites: sitesOf(config, managers), store: store}, managers[0]
	_, begun, err := manager.Begin(t.Context(), session.Session{Issuer: config.OIDC.Issuer, Subject: "jane"}, session.Tokens{})
	if err != nil {
		t.Fatal(err)
	}
	manager.Store = blindStore{store}
	var out bytes.Buffer
	command := &cobra.Command{}
	command.SetContext(t.Context())
	command.SetOut(&out)
	if err := revokeUser(command, d, "jane", false); err != nil || out.String() != "1 session ended\n" {
		t.Errorf("%q, %v", &out, err)
	}
	if _, err := store.Load(t.Context(), begun.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("the session lives: %v", err)
	}
}

func TestAge(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0: "now", 900 * time.Millisecond: "now", time.Second: "1s ago", 119 * time.Second: "119s ago", 2 * time.Minute: "2m ago", -3 * time.Minute: "in 3m",
		119 * time.Minute: "119m ago", 2 * time.Hour: "2h ago", 47 * time.Hour: "47h ago", -48 * time.Hour: "in 2d", 9 * 24 * time.Hour: "9d ago",
	} {
		if got := age(now.Add(-d), now); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

// someSessions are one of which all is known, by a person who plays with the terminal, and one of which nothing is.
func someSessions(now time.Time) []listed {
	return []listed{
		{Listed: session.Listed{ID: session.ID{1}, LastSeen: now.Add(-time.Minute), IdleExpires: now.Add(time.Hour), Expires: now.Add(9 * time.Hour), Details: session.Details{
			Issuer: "https://id.example.com", Subject: "f47ac10b", Label: "jane\x1b[2J\u202e&", Created: now.Add(-3 * time.Hour), Address: "2001:db8::1",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
		}}},
		{Listed: session.Listed{ID: session.ID{2}, Expires: now.Add(3 * 24 * time.Hour)}},
	}
}

func TestTable(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		ages bool
		want [][]string
	}{
		{true, [][]string{
			{session.ID{1}.String(), "f47ac10b", "jane\ufffd[2J\ufffd&", "3h ago", "60s ago", "in 9h", "2001:db8::1", "Firefox on Linux"},
			{session.ID{2}.String(), "-", "-", "-", "-", "in 3d", "-", "-"},
		}},
		{false, [][]string{
			{session.ID{1}.String(), "f47ac10b", "jane\ufffd[2J\ufffd&", "2026-05-01T09:00:00Z", "2026-05-01T11:59:00Z", "2026-05-01T21:00:00Z", "2001:db8::1", "Firefox on Linux"},
			{session.ID{2}.String(), "-", "-", "-", "-", "2026-05-04T12:00:00Z", "-", "-"},
		}},
	} {
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		table := newTable(out, test.ages, now, false)
		for _, l := range someSessions(now) {
			if err := table.row(l); err != nil {
				t.Fatal(err)
			}
		}
		if err := table.end(); err != nil {
			t.Fatal(err)
		}
		out.Flush()
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 3 || !strings.HasPrefix(lines[0], "ID ") {
			t.Fatalf("got\n%s", b.String())
		}
		for i, want := range test.want {
			var got []string
			for cell := range strings.SplitSeq(lines[i+1], "  ") {
				if cell = strings.TrimSpace(cell); cell != "" {
					got = append(got, cell)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		}
	}
}

func TestArray(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 123456789, time.UTC)
	for n := range 3 {
		var b bytes.Buffer
		out := bufio.NewWriter(&b)
		array := newArray(out)
		for _, l := range someSessions(now)[:n] {
			if err := array.row(l); err != nil {
				t.Fatal(err)
			}
		}
		out.Flush()
		if n > 0 && json.Valid(b.Bytes()) {
			t.Errorf("broken off, it is whole: %s", b.String())
		}
		if err := array.end(); err != nil {
			t.Fatal(err)
		}
		out.Flush()
		var got []map[string]any
		if err := json.Unmarshal(b.Bytes(), &got); err != nil || len(got) != n {
			t.Fatalf("%v: %s", err, b.String())
		}
		if n < 2 {
			continue
		}
		if len(got[0]) != 10 || got[0]["label"] != "jane\x1b[2J\u202e&" || got[0]["created_at"] != "2026-05-01T09:00:00Z" {
			t.Errorf("got %v", got[0])
		}
		if len(got[1]) != 2 || got[1]["id"] != (session.ID{2}).String() || got[1]["expires_at"] != "2026-05-04T12:00:00Z" {
			t.Errorf("of what is not known: %v", got[1])
		}
	}
}

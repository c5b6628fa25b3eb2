package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"authsvc/authsvc"
	"authsvc/session/storetest"
)

// roster asks the program who runs.
func (s *stack) roster(t *testing.T) (replicas []authsvc.Replica, code int, err error) {
	t.Helper()
	got := run(t, "replicas --json", variables(s.settings)...)
	if err := json.Unmarshal([]byte(got.stdout), &replicas); err != nil {
		return nil, got.code, fmt.Errorf("authsvc replicas: %w: %+v", err, got)
	}
	return replicas, got.code, nil
}

// awaitRoster waits until so many replicas are on the roster.
func (s *stack) awaitRoster(t *testing.T, what string, n int) []authsvc.Replica {
	t.Helper()
	var replicas []authsvc.Replica
	storetest.WaitFor(t, what, func() error {
		var err error
		if replicas, _, err = s.roster(t); err == nil && len(replicas) != n {
			err = fmt.Errorf("%d are on the roster: %v", len(replicas), replicas)
		}
		return err
	})
	return replicas
}

// listens reports whether a replica takes connections.
func (r *replica) listens() bool {
	conn, err := net.Dial("tcp", r.address)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// isHeldBack waits until a replica says that it is held back, and checks that it names all of this and takes no connection.
func (r *replica) isHeldBack(t *testing.T, names ...string) {
	t.Helper()
	r.awaitState("held back", func(state readiness) bool {
		return state.status == http.StatusServiceUnavailable && strings.Contains(state.Failing["drift"], "differs from")
	})
	state, err := r.readyz("")
	check(t, err)
	for _, name := range names {
		if !strings.Contains(state.Failing["drift"], name) || !strings.Contains(r.log.String(), name) {
			t.Errorf("readyz says %q, and does not name %s, or the log does not", state.Failing["drift"], name)
		}
	}
	storetest.WaitFor(t, "the listener to be closed", func() error {
		if r.listens() {
			return errors.New("it takes connections")
		}
		return nil
	})
}

// driftSettings are of replicas that nobody asks for anything.
func driftSettings(s *stack) map[string]string {
	settings := maps.Clone(s.settings)
	settings["public_url"] = "https://app.example.com"
	return settings
}

// TestDrift: a newcomer that differs where all must agree is found, named and kept out of service, whatever it differs in; in anything else
// that is shared it is found and reported. Who was there before serves on.
func TestDrift(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.settings = driftSettings(s)
	first := newReplica(t, s.settings)
	first.awaitReady()
	id := s.awaitRoster(t, "the first replica to be on the roster", 1)[0].ID

	type newcomer struct {
		*replica
		setting, value string
		held           bool
	}
	var newcomers []newcomer
	for _, test := range []struct {
		setting, value string
		held           bool
	}{
		{"cookie.secret", newSecret(), true},
		{"cookie.name", "__Host-canary", true},
		{"cookie.domain", "example.com", true},
		{"public_url", "https://canary.example.com", true},
		{"oidc.issuer", "http://127.0.0.1:9", true},
		{"oidc.client_id", "canary", true},
		{"oidc.client_secret", "canary", false},
		{"session.idle_timeout", "17m", false},
		{"session.absolute_timeout", "11h", false},
		{"session.refresh_wait", "1s", false},
		{"store.timeout", "90ms", false},
		{"headers", `{"X-Canary":"canary"}`, false},
		{"oidc.scopes", "openid,canary", false},
	} {
		settings := maps.Clone(s.settings)
		settings[test.setting] = test.value
		newcomers = append(newcomers, newcomer{newReplica(t, settings), test.setting, test.value, test.held})
	}
	for _, n := range newcomers {
		if n.held {
			n.isHeldBack(t, n.setting, id)
			if text := n.log.String(); strings.Count(text, "held back") != 1 || strings.Contains(text, n.value) && strings.Contains(n.value, "canary") {
				t.Errorf("%s: the log of who is held back says %s", n.setting, text)
			}
		} else {
			n.awaitReady()
			if !n.listens() {
				t.Errorf("%s: it takes no connection", n.setting)
			}
			storetest.WaitFor(t, "the log to tell", func() error {
				if !strings.Contains(n.log.String(), `"`+n.setting+`":["`) {
					return fmt.Errorf("%s is not in it", n.setting)
				}
				return nil
			})
		}
	}

	// The table, its exit code, the first replica's page and metrics tell the same.
	s.awaitRoster(t, "all to be on the roster", 1+len(newcomers))
	table := run(t, "replicas", variables(s.settings)...)
	if table.code != 1 || strings.Count(table.stdout, "\n") != 2+len(newcomers) || strings.Count(table.stdout, " not ready ") != 6 {
		t.Errorf("authsvc replicas: %d\n%s%s", table.code, table.stdout, table.stderr)
	}
	t.Logf("authsvc replicas:\n%s", table.stdout)
	for _, n := range newcomers {
		found := 0
		for line := range strings.Lines(table.stdout) {
			if slices.Contains(strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" ,\n", c) }), n.setting) {
				found++
			}
		}
		// A domain changes the default name of the cookie, too.
		if want := map[string]int{"cookie.name": 2}[n.setting]; found != max(want, 1) {
			t.Errorf("%s is named in %d lines", n.setting, found)
		}
		storetest.WaitFor(t, "the first replica's metrics to tell", func() error {
			want := map[bool]string{true: "2", false: "1"}[n.setting == "cookie.name"]
			if got := first.metric(`authsvc_config_drift{setting="` + n.setting + `"}`); got != want {
				return fmt.Errorf("%s: %s, want %s", n.setting, got, want)
			}
			return nil
		})
	}
	if state, err := first.readyz(""); err != nil || !state.Ready || !first.listens() {
		t.Errorf("the first: %+v, %v", state, err)
	}
	if got := first.metric("authsvc_replicas"); got != fmt.Sprint(1+len(newcomers)) {
		t.Errorf("authsvc_replicas %s", got)
	}

	// When all who speak against it are gone, a newcomer opens.
	waiting := newcomers[1]
	for _, n := range newcomers {
		if n.replica != waiting.replica {
			n.terminate()
		}
	}
	waiting.isHeldBack(t, "cookie.name", id)
	first.terminate()
	waiting.awaitReady()
	if !waiting.listens() {
		t.Error("the one that is left takes no connection")
	}
	if replicas, code, err := s.roster(t); len(replicas) != 1 || code != 0 {
		t.Errorf("who has left is on the roster: %v, code %d, %v", replicas, code, err)
	}
}

// TestDriftOnPurpose: what comes with a higher config_generation takes requests beside what it replaces; what still starts with the lower
// one is held back. A key that is added needs no generation.
func TestDriftOnPurpose(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.settings = driftSettings(s)
	first := newReplica(t, s.settings)
	first.awaitReady()
	settings := maps.Clone(s.settings)
	settings["cookie.secret"] = newSecret() + "," + s.settings["cookie.secret"]
	newReplica(t, settings).awaitReady()
	settings = maps.Clone(s.settings)
	settings["cookie.name"], settings["config_generation"] = "__Host-other", "1"
	for range 2 {
		newReplica(t, settings).awaitReady()
	}
	newReplica(t, s.settings).isHeldBack(t, "cookie.name")
	if state, err := first.readyz(""); err != nil || !state.Ready {
		t.Errorf("the first: %+v, %v", state, err)
	}
}

// TestDriftTogether: of two newcomers that differ and start at once, exactly one opens.
func TestDriftTogether(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.settings = driftSettings(s)
	for round := range 5 {
		var pair []*replica
		for i := range 2 {
			settings := maps.Clone(s.settings)
			settings["oidc.client_id"] = fmt.Sprint("app", i)
			pair = append(pair, newReplica(t, settings))
		}
		open := 0
		for _, r := range pair {
			r.awaitState("decided", func(state readiness) bool {
				return state.Ready || strings.Contains(state.Failing["drift"], "differs from")
			})
			if r.listens() {
				open++
			}
		}
		if open != 1 {
			t.Errorf("round %d: %d of two are open", round, open)
		}
		for _, r := range pair {
			r.terminate()
		}
	}
}

// TestDriftOfTheStore: a replica on another Redis, database or prefix is found by the first login that crosses, named, and kept out of
// service. People sign in at the one that was there before.
func TestDriftOfTheStore(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, settings map[string]string){
		"another Redis":    func(t *testing.T, settings map[string]string) { settings["store.url"] = storetest.StartRedis(t).URL },
		"another database": func(_ *testing.T, settings map[string]string) { settings["store.url"] += "/1" },
		"another prefix":   func(_ *testing.T, settings map[string]string) { settings["store.prefix"] = "other" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, options{noReplica: true})
			first := newReplica(t, s.settings)
			first.awaitReady()
			id := s.awaitRoster(t, "the first replica to be on the roster", 1)[0].ID
			settings := maps.Clone(s.settings)
			change(t, settings)
			second := newReplica(t, settings)
			second.awaitReady()
			s.replicas = []*replica{first, second}
			s.startNginx()

			storetest.WaitFor(t, "a login to cross", func() error {
				v := s.visitor("alice")
				if callback, err := v.toCallback("/page"); err == nil {
					v.open(callback)
				}
				if second.listens() {
					return errors.New("the younger replica takes connections")
				}
				return nil
			})
			second.isHeldBack(t, "store", id)
			if state, err := first.readyz(""); err != nil || !state.Ready || !first.listens() {
				t.Errorf("the older one: %+v, %v", state, err)
			}
			for range 4 {
				s.visitor("bob").signIn()
			}
			storetest.WaitFor(t, "the younger replica to tell", func() error {
				text, _, err := second.adminPage("/replicas")
				if err == nil && (!strings.Contains(text, `"drift":["store"]`) || !strings.Contains(text, id)) {
					err = errors.New(text)
				}
				return err
			})
			if got := run(t, "replicas", variables(settings)...); got.code != 1 || !strings.Contains(got.stdout, id) || !strings.Contains(got.stdout, " elsewhere ") {
				t.Errorf("authsvc replicas: %+v", got)
			}
			if got := second.metric(`authsvc_config_drift{setting="store"}`); got != "1" {
				t.Errorf("the metric says %s", got)
			}
		})
	}
}

// TestEmptiedRedisStopsNobody: after FLUSHALL replicas serve on, stay on one store ID, and agree with newcomers.
func TestEmptiedRedisStopsNobody(t *testing.T) {
	s := newStack(t, options{})
	storeID := func() string {
		for _, key := range s.allKeys() {
			if isStoreID(key) {
				value, err := s.redis.Client().Get(context.Background(), key).Result()
				check(t, err)
				return value[16:] // behind its mark, which each write renews
			}
		}
		return ""
	}
	before := storeID()
	if before == "" {
		t.Fatal("the store has no ID")
	}
	carol := s.visitor("carol")
	underWay, err := carol.toCallback("/page")
	check(t, err)
	for range 3 {
		s.redis.Do("FLUSHALL")
		for range 4 {
			s.visitor("alice").signIn() // with logins that cross at a moment when nobody is on the roster
		}
		replicas := s.awaitRoster(t, "both to be on the roster again", 2)
		for _, r := range replicas {
			if len(r.Drift) > 0 {
				t.Errorf("%+v drifts", r)
			}
		}
		storetest.WaitFor(t, "the store to have its ID again", func() error {
			if now := storeID(); now != before {
				return fmt.Errorf("it is %x, was %x", now, before)
			}
			return nil
		})
	}
	answer, err := carol.open(underWay)
	check(t, err)
	_, err = carol.arrived(answer, "/page")
	check(t, err)
	third := newReplica(t, s.settings)
	third.awaitReady()
	for _, r := range append(s.replicas, third) {
		if state, err := r.readyz(""); err != nil || !state.Ready || !r.listens() {
			t.Errorf("%s: %+v, %v", r.address, state, err)
		}
		if text := r.log.String(); strings.Contains(text, "another Redis") || strings.Contains(text, "differ") {
			t.Errorf("%s takes it for drift: %s", r.address, text)
		}
	}
}

// TestRosterForgets: who is killed, hangs or leaves is on the roster no more; who wakes up is there again and serves.
func TestRosterForgets(t *testing.T) {
	s := newStack(t, options{replicas: 4})
	s.awaitRoster(t, "all to be on the roster", 4)
	s.replicas[0].kill()
	paused := s.replicas[1]
	paused.signal(syscall.SIGSTOP)
	t.Cleanup(func() { paused.signal(syscall.SIGCONT) }) // or it would not leave
	s.replicas[2].terminate()
	if replicas, code, err := s.roster(t); len(replicas) != 3 || code != 0 {
		t.Errorf("who has left is still there: %v, code %d, %v", replicas, code, err)
	}
	s.awaitRoster(t, "those who are silent to be forgotten", 1)
	paused.signal(syscall.SIGCONT)
	s.awaitRoster(t, "who wakes up to be there", 2)
	paused.awaitReady()
	if !paused.listens() {
		t.Error("who woke up takes no connection")
	}
}

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// feed is an observer that notes what it is told.
type feed struct {
	mu    sync.Mutex
	calls []string // "armed", "lost", or an ID
}

func (f *feed) Armed()                { f.note("armed") }
func (f *feed) Changed(id session.ID) { f.note(id.String()) }
func (f *feed) Lost(time.Time)        { f.note("lost") }

func (f *feed) note(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, call)
}

func (f *feed) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// await waits until the last call is the one.
func (f *feed) await(t *testing.T, call string) {
	t.Helper()
	storetest.WaitFor(t, call, func() error {
		if told := f.told(); len(told) == 0 || told[len(told)-1] != call {
			return fmt.Errorf("told so far: %v", told)
		}
		return nil
	})
}

// watching lets the store watch until the test ends.
func watching(t *testing.T, s *Store) *feed {
	t.Helper()
	f := &feed{}
	var running sync.WaitGroup
	running.Go(func() { s.Watch(t.Context(), f) })
	t.Cleanup(running.Wait)
	f.await(t, "armed")
	return f
}

// A change is told once, by the one means that the server has, and the other is not used at all.
func TestChangesAreToldOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		rights func(*testing.T) []string
		tracks bool
	}{
		"tracking": {rights, true},
		"messages": {messageRights, false},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.StartRedis(t)
			server.Do(aclRule("authsvc", "pass", "authsvc:*", tt.rights(t))...)
			url := strings.Replace(server.URL, "//", "//authsvc:pass@", 1)
			s, other := open(t, Options{URL: url}), open(t, Options{URL: url})
			r, second := record(1), record(1)
			second.Version++
			for _, by := range []*Store{s, other} {
				if err := by.Delete(t.Context(), session.ID{9}); err != nil { // so that it knows what the server does
					t.Fatal(err)
				}
			}
			f := watching(t, s)
			monitor := server.Monitor(t)
			for _, write := range []func() error{
				func() error { return other.Create(t.Context(), r) },
				func() error { return other.Swap(t.Context(), second) },
				func() error { return s.Touch(t.Context(), r.ID, 2*time.Hour) },
				func() error { return other.Delete(t.Context(), r.ID) },
				// What changes nothing is not told.
				func() error { return s.Touch(t.Context(), r.ID, time.Hour) },
				func() error { return s.Swap(t.Context(), second) },
				func() error { return s.Delete(t.Context(), r.ID) },
			} {
				if err := write(); err != nil && !errors.Is(err, session.ErrNotFound) {
					t.Fatal(err)
				}
			}
			last := record(2)
			if err := errors.Join(s.Create(t.Context(), last), s.Delete(t.Context(), last.ID)); err != nil {
				t.Fatal(err)
			}
			f.await(t, last.ID.String())

			want := 3
			if tt.tracks {
				want = 4 // a creation, too
			}
			told := f.told()
			if n := len(slices.DeleteFunc(slices.Clone(told), func(call string) bool { return call != r.ID.String() })); n != want {
				t.Errorf("told %d times of %d changes: %v", n, want, told)
			}
			published := 0
			for _, c := range monitor.Commands(t) {
				if c.Args[0] == "PUBLISH" {
					published++
				}
			}
			if wanted := map[bool]int{true: 0, false: 4}[tt.tracks]; published != wanted {
				t.Errorf("%d messages were published, want %d", published, wanted)
			}
		})
	}
}

// A right that is given or taken while everyone runs is noticed, by who watches and by who only writes.
func TestRightComesAndGoes(t *testing.T) {
	server := storetest.StartRedis(t)
	all := append(messageRights(t), "+client|tracking")
	server.Do(aclRule("authsvc", "pass", "authsvc:*", all)...)
	s := open(t, Options{URL: strings.Replace(server.URL, "//", "//authsvc:pass@", 1)})
	for _, tracks := range []bool{true, false, true} {
		f := &feed{}
		c := newChannel(t.Context(), s, f, tracks)
		c.changed(session.ID{1}) // nothing is told before
		if err := c.open(); err != nil {
			t.Fatal(err)
		}
		c.probe()
		if told := f.told(); len(told) != 1 || c.ctx.Err() != nil {
			t.Errorf("told %v when nothing has changed", told)
		}
		if channel, message := s.announcement(t.Context(), session.ID{1}); (channel == "") != tracks || (message == "") != tracks {
			t.Errorf("a write announces %q on %q, tracking: %v", message, channel, tracks)
		}
		server.Do("ACL", "SETUSER", "authsvc", map[bool]string{true: "-client|tracking", false: "+client|tracking"}[tracks])
		c.probe()
		c.changed(session.ID{1}) // nor after
		c.told([]any{kindInvalidate, true})
		if told := f.told(); !slices.Equal(told, []string{"armed", "lost"}) || c.ctx.Err() == nil {
			t.Errorf("told %v when tracking is %v no more", told, tracks)
		}
		c.end()
		// What was learned is asked again when it is old.
		s.finding.Store(&finding{tracks: tracks, at: time.Now().Add(-2 * findingLife)})
		if channel, _ := s.announcement(t.Context(), session.ID{1}); (channel == "") == tracks {
			t.Errorf("a write announces on %q when tracking is %v no more", channel, tracks)
		}
	}
}

// Whoever cannot ask announces: a message too many harms nobody.
func TestUnknownMeansAnnounced(t *testing.T) {
	s := faulty(t, "redis://127.0.0.1:1")
	if channel, message := s.announcement(t.Context(), session.ID{1}); channel != "authsvc:changes" || len(message) != 32 {
		t.Errorf("%q on %q", message, channel)
	}
	if known := s.finding.Load(); known != nil {
		t.Errorf("it was learned that the server tracks: %v", known.tracks)
	}
}

// A write whose question is not answered has most of its time left, and those after it do not ask for a while.
func TestAskingLeavesTime(t *testing.T) {
	p := startProxy(t, storetest.StartRedis(t).Addr)
	s := open(t, Options{URL: "redis://" + p.Addr})
	p.hang.Store(true)
	old := &finding{tracks: true, at: time.Now().Add(-2 * findingLife)}
	for _, known := range []*finding{nil, old} {
		s.finding.Store(known)
		s.asked.Store(nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		announces := func() {
			t.Helper()
			if channel, _ := s.announcement(ctx, session.ID{1}); (channel == "") != (known == old) {
				t.Errorf("announced on %q after %+v was learned", channel, known)
			}
		}
		announces()
		if ctx.Err() != nil {
			t.Error("all of the time is gone")
		}
		now, dials := time.Now(), p.dials.Load()
		s.asked.Store(&now)
		announces()
		if p.dials.Load() != dials || dials == 0 {
			t.Errorf("%d connections were made, and %d when it was asked before", dials, p.dials.Load()-dials)
		}
	}
	p.hang.Store(false)
	s.asked.Store(nil)
	if s.announcement(t.Context(), session.ID{1}); s.finding.Load() == old || s.asked.Load() != nil {
		t.Error("nothing was learned of a server that answers")
	}
}

// Only a server's no is a refusal.
func TestRefusal(t *testing.T) {
	for text, want := range map[string]bool{
		"NOPERM this user has no permissions to run the 'client|tracking' command": true, "ERR unknown command 'HELLO'": true,
		"ERR Unknown subcommand or wrong number of arguments for 'TRACKING'": true, "NOPROTO unsupported protocol version": true,
		"NOAUTH HELLO must be called with the client already authenticated": false, "WRONGPASS invalid username-password pair or user is disabled.": false,
		"LOADING Redis is loading the dataset in memory": false, "BUSY Redis is busy running a script": false, "ERR max number of clients reached": false,
		"MASTERDOWN Link with MASTER is down": false, "CLUSTERDOWN The cluster is down": false,
	} {
		if got := isRefusal(fmt.Errorf("HELLO: %w", respError(text))); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
	for _, err := range []error{nil, errSilent, errProtocol, &dialError{errSilent}, &refusedError{"ERR"}} {
		if isRefusal(err) {
			t.Errorf("%v is a refusal", err)
		}
	}
}

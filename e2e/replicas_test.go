package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"authsvc/session/storetest"
)

// traffic opens pages through nginx, many at once, and counts those that did not come.
type traffic struct {
	c        *crowd
	opened   atomic.Int64
	stopping chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	failed []error
}

func newTraffic(c *crowd) *traffic {
	f := &traffic{c: c, stopping: make(chan struct{})}
	for worker := range 8 {
		f.running.Go(func() {
			for i := worker; ; i++ {
				select {
				case <-f.stopping:
					return
				default:
				}
				v := c.visitors[i%len(c.visitors)]
				answer, err := v.send(http.MethodGet, "/page", nil)
				if err == nil {
					_, err = v.arrived(answer, "/page")
				}
				f.opened.Add(1)
				if err != nil {
					f.mu.Lock()
					f.failed = append(f.failed, err)
					f.mu.Unlock()
				}
			}
		})
	}
	c.s.t.Cleanup(sync.OnceFunc(func() { f.stop() }))
	return f
}

// more waits until another n pages have been opened.
func (f *traffic) more(t *testing.T, n int64) {
	t.Helper()
	want := f.opened.Load() + n
	storetest.WaitFor(t, fmt.Sprintf("%d pages more", n), func() error {
		if got := f.opened.Load(); got < want {
			return fmt.Errorf("%d to go", want-got)
		}
		return nil
	})
}

// stop ends the traffic and returns what went wrong.
func (f *traffic) stop() error {
	select {
	case <-f.stopping:
	default:
		close(f.stopping)
	}
	f.running.Wait()
	return join(f.failed)
}

// unnoticed ends the traffic and fails the test when a page did not come, unless a replica says for each that the store was too slow: on a busy
// machine Redis can be late without any fault.
func (f *traffic) unnoticed(t *testing.T) {
	t.Helper()
	err := f.stop()
	late := 0
	for _, r := range f.c.s.replicas {
		late += strings.Count(r.log.String(), `"outcome":"unavailable","reason":"store"`)
	}
	if len(f.failed) > late {
		t.Errorf("%d of %d pages did not come, the store was too slow for %d: %v", len(f.failed), f.opened.Load(), late, err)
	}
	t.Logf("%d pages; the store was too slow for %d", f.opened.Load(), late)
}

// TestReplicaKilled: nobody who is signed in notices that a replica dies.
func TestReplicaKilled(t *testing.T) {
	s := newStack(t, options{})
	f := newTraffic(newCrowd(s, 12))
	for range 3 {
		f.more(t, 100)
		s.replicas[0].kill()
		f.more(t, 200)
		s.replicas[0].start()
		s.replicas[0].awaitReady()
	}
	f.unnoticed(t)
	// A login needs no particular replica either.
	s.nginxAsks(s.replicas[0])
	s.replicas[1].kill()
	for range 3 {
		s.visitor("alice").signIn()
	}
}

// TestDrain: on SIGTERM a replica says first that it is not ready, serves on, and leaves with 0. Nobody notices.
func TestDrain(t *testing.T) {
	s := newStack(t, options{settings: map[string]string{"shutdown.delay": "2s"}})
	c := newCrowd(s, 12)
	f := newTraffic(c)
	f.more(t, 100)
	leaving, cookie := s.replicas[0], c.visitors[0].cookie(sessionCookie)
	leaving.signal(syscall.SIGTERM)
	storetest.WaitFor(t, "the replica to say that it leaves", func() error {
		state, err := leaving.readyz("")
		if err == nil && state.status != http.StatusServiceUnavailable {
			err = fmt.Errorf("%+v", state)
		}
		return err
	})
	if state, err := leaving.readyz(""); err != nil || state.Failing["draining"] == "" || state.Ready {
		t.Errorf("/readyz: %+v, %v", state, err)
	}
	if answer, err := leaving.authCookie(cookie); err != nil || answer.status != http.StatusOK {
		t.Errorf("while it is still there: %d, %v", answer.status, err)
	}
	if code := leaving.exitCode(); code != 0 {
		t.Errorf("it left with %d", code)
	}
	f.more(t, 200)
	leaving.start()
	leaving.awaitReady()
	f.more(t, 100)
	f.unnoticed(t)
}

// nginxAsks waits until nginx gives a replica requests, which it does again a second after it has found it gone.
func (s *stack) nginxAsks(r *replica) {
	s.t.Helper()
	storetest.WaitFor(s.t, "nginx to ask "+r.address, func() error {
		answer, err := s.visitor("alice").send(http.MethodGet, "/signed_out", nil)
		if by := answer.header.Get(answeredBy); err == nil && by != r.address {
			err = fmt.Errorf("%s answered", by)
		}
		return err
	})
}

// TestRollingRestart: all replicas are replaced one by one, as by a release, while people work and their tokens fall due. Nobody notices.
func TestRollingRestart(t *testing.T) {
	s := newStack(t, options{replicas: 3, settings: map[string]string{"shutdown.delay": "500ms", "session.refresh_before": "1s"}})
	s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 4 })
	c := newCrowd(s, 12)
	f := newTraffic(c)
	for range 2 {
		for _, leaving := range s.replicas {
			f.more(t, 100)
			if code := leaving.terminate(); code != 0 {
				t.Errorf("%s left with %d", leaving.address, code)
			}
			f.more(t, 100)
			leaving.start()
			leaving.awaitReady()
			s.nginxAsks(leaving)
		}
	}
	f.more(t, 100)
	f.unnoticed(t)
	counts := s.provider.TotalCounts()
	if counts.Refreshes == 0 || counts.RefreshReuses != 0 || counts.Logins != len(c.visitors) {
		t.Errorf("the provider counts %+v", counts)
	}
	if n := s.records(); n != len(c.visitors) {
		t.Errorf("%d session records for %d browsers", n, len(c.visitors))
	}
	t.Logf("%d refreshes", counts.Refreshes)
}

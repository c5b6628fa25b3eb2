package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// leases returns the keys that say who refreshes what.
func (s *stack) leases() []string {
	s.t.Helper()
	return slices.DeleteFunc(s.keys(), func(key string) bool { return !strings.HasPrefix(key, "authsvc:lease:") })
}

// TestLifecycleLeaves: a replica that is told to leave while it refreshes a session finishes that first, and leaves no lease behind. Nobody asks the provider twice.
func TestLifecycleLeaves(t *testing.T) {
	s := newStack(t, options{settings: map[string]string{"session.refresh_before": "1s"}})
	s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 2 })
	bob := s.visitor("bob")
	bob.signIn()
	cookie, release := bob.cookie(sessionCookie), make(chan struct{})
	s.provider.EditTokenResponse(nil)
	s.provider.Intercept(idptest.Token, idptest.Hold(release))
	leaving, other := s.replicas[0], s.replicas[1]
	storetest.WaitFor(t, "a refresh to be under way", func() error {
		if answer, err := leaving.authCookie(cookie); err != nil || answer.status != http.StatusOK {
			t.Fatalf("%d, %v", answer.status, err)
		}
		if len(s.leases()) != 1 {
			return fmt.Errorf("%q", s.leases())
		}
		return nil
	})
	leaving.signal(syscall.SIGTERM)
	leaving.awaitLog(`"draining"`, 1)
	if !leaving.running() {
		t.Error("it left before the refresh was done")
	}
	close(release)
	if code := leaving.exitCode(); code != 0 {
		t.Errorf("it left with %d", code)
	}
	if leases := s.leases(); len(leases) > 0 {
		t.Errorf("it left %q behind", leases)
	}
	check(t, other.passes("bob", cookie))
	if counts := s.provider.TotalCounts(); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
		t.Errorf("the provider counts %+v", counts)
	}
}

// TestLifecycleClientsGo: who asks and goes before the answer ends nothing but the wait. Sessions, refreshes and logins are as if they had stayed, and the replica
// holds nothing of theirs.
func TestLifecycleClientsGo(t *testing.T) {
	s := newStack(t, options{replicas: 1, settings: map[string]string{"session.refresh_before": "1s", "session.cache_ttl": "0"}})
	r, alice, bob := s.replicas[0], s.visitor("alice"), s.visitor("bob")
	alice.signIn()
	goroutines := func() int {
		t.Helper()
		n, err := strconv.Atoi(r.metric("go_goroutines"))
		check(t, err)
		return n
	}
	before := goroutines()
	// hurried sends a request n times at once, and goes when it is told to.
	hurried := func(n int, path string, header http.Header, when func()) {
		t.Helper()
		ctx, leave := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			done <- together(n, n, func(int) error {
				request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+path, nil)
				if err != nil {
					return err
				}
				request.Header, request.Host = header, s.host()
				if response, err := direct.Do(request); err == nil {
					response.Body.Close()
				}
				return nil
			})
		}()
		when()
		leave()
		check(t, <-done)
	}
	cookies := func(v *visitor) http.Header {
		var all []string
		for _, c := range v.cookies() {
			all = append(all, c.Name+"="+c.Value)
		}
		return http.Header{"Cookie": {strings.Join(all, "; ")}}
	}

	// In a verdict, whose store stands still.
	s.redis.Pause()
	hurried(50, "/auth", cookies(alice), func() {})
	s.redis.Resume()
	storetest.WaitFor(t, "the store", func() error { return r.passes("alice", alice.cookie(sessionCookie)) })

	// At the callback, while the provider thinks.
	callback, err := bob.toCallback("/page")
	check(t, err)
	exchanges := func(n int) {
		t.Helper()
		storetest.WaitFor(t, "the provider to be asked", func() error {
			if got := s.provider.Count(idptest.Token); got != n {
				return fmt.Errorf("%d times, want %d", got, n)
			}
			return nil
		})
	}
	release, asked := make(chan struct{}), s.provider.Count(idptest.Token)
	s.provider.Intercept(idptest.Token, idptest.Hold(release))
	hurried(1, strings.TrimPrefix(callback, s.url), cookies(bob), func() { exchanges(asked + 1) })
	close(release)
	s.provider.BeHonest()
	s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 2 })
	bob.signIn()
	signedIn := time.Now()

	// In a refresh that they wait for.
	release, asked = make(chan struct{}), s.provider.Count(idptest.Token)
	s.provider.Intercept(idptest.Token, idptest.Hold(release))
	s.provider.EditTokenResponse(nil)
	storetest.WaitFor(t, "bob's token to end", func() error {
		if left := time.Until(signedIn.Add(2 * time.Second)); left > 0 {
			return fmt.Errorf("%v are left", left)
		}
		return nil
	})
	hurried(20, "/auth", cookies(bob), func() { exchanges(asked + 1) })
	close(release)
	storetest.WaitFor(t, "the refresh", func() error {
		if got := r.metric(`authsvc_refreshes_total{result="ok"}`); got != "1" {
			return fmt.Errorf("%s are done", got)
		}
		return nil
	})
	check(t, r.passes("bob", bob.cookie(sessionCookie)))
	if counts := s.provider.TotalCounts(); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
		t.Errorf("the provider counts %+v", counts)
	}
	transport.CloseIdleConnections()
	storetest.WaitFor(t, "the goroutines to be back", func() error {
		if now := goroutines(); now > before+5 {
			return fmt.Errorf("%d, and %d before", now, before)
		}
		return nil
	})
}

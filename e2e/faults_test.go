package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// bound is how long a verdict may take whatever the store does. A busy test machine gets ten times as much; the figures are logged.
const bound, patient = 150 * time.Millisecond, 10 * 150 * time.Millisecond

// crowd is people who are signed in, of whom every replica is asked all the time.
type crowd struct {
	s        *stack
	visitors []*visitor
}

func newCrowd(s *stack, size int) *crowd {
	s.t.Helper()
	c := &crowd{s: s}
	for i := range size {
		v := s.visitor([]string{"alice", "bob", "carol"}[i%3])
		v.signIn()
		c.visitors = append(c.visitors, v)
	}
	return c
}

// verdict asks a replica about one of the crowd, and accepts nothing but 200 and 503, in time.
func (c *crowd) verdict(i int) (reply, error) {
	v := c.visitors[i%len(c.visitors)]
	answer, err := c.s.replicas[i%len(c.s.replicas)].authCookie(v.cookie(sessionCookie))
	switch {
	case err != nil:
		return answer, err
	case answer.status == http.StatusOK && answer.header.Get("X-Auth-Request-User") != v.person:
		return answer, fmt.Errorf("%s passes as %q", v.person, answer.header.Get("X-Auth-Request-User"))
	case answer.status != http.StatusOK && answer.status != http.StatusServiceUnavailable:
		return answer, fmt.Errorf("a verdict of %d", answer.status)
	case answer.took > patient:
		return answer, fmt.Errorf("a verdict of %d after %v", answer.status, answer.took)
	}
	return answer, nil
}

// page opens a page through nginx, and accepts nothing but the page and a 503 page.
func (c *crowd) page(i int) (reply, error) {
	v := c.visitors[i%len(c.visitors)]
	answer, err := v.send(http.MethodGet, "/page", nil)
	switch {
	case err != nil:
		return answer, err
	case len(answer.header["Set-Cookie"]) > 0:
		return answer, fmt.Errorf("through nginx a cookie comes: %v", answer)
	case answer.status == http.StatusOK:
		_, err = v.arrived(answer, "/page")
		return answer, err
	case answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "</html>"):
		return answer, fmt.Errorf("through nginx: %v", answer)
	}
	return answer, nil
}

// keepAsking asks in the background until stop is called, which returns what went wrong.
func (c *crowd) keepAsking() (stop func() error) {
	done := make(chan struct{})
	var asking sync.WaitGroup
	errs := make([]error, 4)
	for worker := range errs {
		asking.Go(func() {
			for i := worker; errs[worker] == nil; i++ {
				select {
				case <-done:
					return
				default:
				}
				if worker%2 == 0 {
					_, errs[worker] = c.verdict(i)
				} else {
					_, errs[worker] = c.page(i)
				}
			}
		})
	}
	stop = sync.OnceValue(func() error {
		close(done)
		asking.Wait()
		return join(errs)
	})
	c.s.t.Cleanup(func() { stop() })
	return stop
}

// unavailable checks an outage that has begun: nobody is let pass or signed out, in time.
func (c *crowd) unavailable(t *testing.T, name string) {
	t.Helper()
	const asked = 200
	took := make([]time.Duration, asked)
	check(t, together(asked, 8, func(i int) error {
		answer, err := c.verdict(i)
		if err == nil && answer.status != http.StatusServiceUnavailable {
			err = fmt.Errorf("%d in an outage", answer.status)
		}
		took[i] = answer.took
		return err
	}))
	slices.Sort(took)
	t.Logf("%s: %d verdicts of 503, median %v, p99 %v, longest %v", name, asked, took[asked/2], took[asked*99/100], took[asked-1])
	check(t, together(40, 4, func(i int) error {
		answer, err := c.page(i)
		if err == nil && answer.status != http.StatusServiceUnavailable {
			err = fmt.Errorf("%d in an outage", answer.status)
		}
		return err
	}))
}

// everybodyPasses waits until everyone passes at every replica and through nginx.
func (c *crowd) everybodyPasses(t *testing.T, name string, since time.Time) {
	t.Helper()
	storetest.WaitFor(t, "everybody to pass again", func() error {
		for _, v := range c.visitors {
			if err := c.s.signedInAs(v.person, v.cookie(sessionCookie)); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%s: everybody passes %v after its end", name, time.Since(since))
	for i := range c.visitors {
		// On a machine that has other work a Redis that is well misses its 100 ms now and then.
		storetest.WaitFor(t, "somebody to pass through nginx", func() error {
			answer, err := c.page(i)
			if err == nil && answer.status != http.StatusOK {
				err = fmt.Errorf("%v", answer)
			}
			return err
		})
	}
}

// fault is what happens to the store; begin makes it unable to answer, and returns what ends that.
type fault struct {
	name  string
	begin func(*testing.T) (end func())
}

func TestStoreFaults(t *testing.T) {
	t.Run("of Redis itself", func(t *testing.T) {
		s := newStack(t, options{redis: []string{"--appendonly", "yes", "--appendfsync", "always", "--busy-reply-threshold", "50"}})
		c := newCrowd(s, 12)
		for _, f := range []fault{
			{"stopped", func(*testing.T) func() { s.redis.Pause(); return s.redis.Resume }},
			{"killed", func(*testing.T) func() { s.redis.Kill(); return s.redis.Start }},
			{"paused by CLIENT PAUSE", func(t *testing.T) func() {
				s.redis.Do("CLIENT", "PAUSE", "5000", "ALL")
				return func() { // CLIENT UNPAUSE would have to wait like everything else
					storetest.WaitFor(t, "the pause to end", func() error { return s.redis.Client().Ping(context.Background()).Err() })
				}
			}},
			{"busy with a script", func(t *testing.T) func() {
				ended := make(chan error, 1)
				go func() { ended <- s.redis.Client().Do(context.Background(), "EVAL", "while true do end", "0").Err() }()
				return func() {
					storetest.WaitFor(t, "the script to be killed", func() error {
						return s.redis.Client().ScriptKill(context.Background()).Err()
					})
					<-ended
				}
			}},
			{"asks for a password", func(t *testing.T) func() {
				keep := s.redis.Client().Conn() // it stays signed in
				check(t, keep.Ping(t.Context()).Err())
				check(t, keep.ConfigSet(t.Context(), "requirepass", "nobody-knows").Err())
				check(t, keep.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
				return func() {
					check(t, keep.ConfigSet(t.Context(), "requirepass", "").Err())
					check(t, keep.Close())
				}
			}},
		} {
			t.Run(f.name, func(t *testing.T) { outage(t, s, c, f) })
		}
	})
	t.Run("on the way", func(t *testing.T) {
		var p *proxy
		s := newStack(t, options{storeURL: func(r *storetest.Server) string {
			p = newProxy(t, r.Addr)
			return "redis://" + p.address()
		}})
		c := newCrowd(s, 12)
		answering := func(text string) fault {
			return fault{"answers " + text, func(*testing.T) func() {
				p.behave(text, false, 0)
				return func() { p.behave("", false, 0) }
			}}
		}
		for _, f := range []fault{
			answering("LOADING Redis is loading the dataset in memory"),
			answering("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
			answering("CLUSTERDOWN The cluster is down"),
			answering("NOPERM this user has no permissions to run the 'get' command"),
			answering("ERR max number of clients reached"),
			{"accepts and never answers", func(*testing.T) func() {
				p.behave("", true, 0)
				p.disconnect()
				return func() { p.behave("", false, 0) }
			}},
			{"hangs on old connections", func(*testing.T) func() {
				p.behave("", true, 0)
				return func() { p.behave("", false, 0) }
			}},
			{"breaks off in its answers", func(*testing.T) func() {
				p.behave("", false, 3)
				return func() { p.behave("", false, 0) }
			}},
			{"refuses connections", func(t *testing.T) func() {
				p.close()
				return func() { p.reopen(s.t) }
			}},
		} {
			t.Run(f.name, func(t *testing.T) { outage(t, s, c, f) })
		}
	})
}

// outage lets a fault happen while people are asked for, and logs in and out meanwhile.
func outage(t *testing.T, s *stack, c *crowd, f fault) {
	before := s.keys()
	leaving := newLeaver(s)
	late := s.visitor("alice")
	callback, err := late.toCallback("/landed")
	check(t, err)
	s.provider.ForgetRequests()

	stop := c.keepAsking()
	end := f.begin(t)
	storetest.WaitFor(t, "the outage to show", func() error {
		for i := range 2 * len(s.replicas) {
			answer, err := c.verdict(i)
			if err != nil {
				t.Fatal(err)
			}
			if answer.status != http.StatusServiceUnavailable {
				return fmt.Errorf("replica %d says %d", i, answer.status)
			}
		}
		return nil
	})
	c.unavailable(t, f.name)

	answer, err := late.send(http.MethodGet, callback, nil)
	if err != nil || answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || len(answer.header["Set-Cookie"]) > 0 {
		t.Errorf("a login: %v, %v; want a 503 page", answer, err)
	}
	if n := s.provider.Count(idptest.Token); n != 0 {
		t.Errorf("a code was spent")
	}
	leaving.leaves(t)
	for i, r := range s.replicas {
		if state, err := r.readyz(""); err != nil || state.status != http.StatusOK || state.Degraded["store"] == "" {
			t.Errorf("replica %d, /readyz: %+v, %v; want 200, degraded", i, state, err)
		}
		if state, err := r.readyz("?strict=1"); err != nil || state.status != http.StatusServiceUnavailable {
			t.Errorf("replica %d, /readyz?strict=1: %+v, %v; want 503", i, state, err)
		}
	}

	end()
	c.everybodyPasses(t, f.name, time.Now())
	leaving.isGone(t)
	if err := stop(); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	for _, key := range before {
		if !slices.Contains(s.keys(), key) {
			t.Errorf("%s is gone", key)
		}
	}
	// The code is as good as before.
	answer, err = late.open(callback)
	check(t, err)
	_, err = late.arrived(answer, "/landed")
	check(t, err)
}

// leaver is somebody who signs out in an outage.
type leaver struct {
	*visitor
	cookie string // of the session
	record string // the name of its key
}

func newLeaver(s *stack) leaver {
	s.t.Helper()
	before := s.keys()
	l := leaver{visitor: s.visitor("bob")}
	l.signIn()
	l.cookie = l.visitor.cookie(sessionCookie)
	l.record = "authsvc:session:{" + idIn(s.t, slices.DeleteFunc(s.keys(), func(key string) bool { return slices.Contains(before, key) })) + "}"
	return l
}

// leaves checks a logout that the store cannot confirm: it says so and leaves the cookie, with which one can try again; but the replica that
// was asked lets the session pass no more. The others cannot know, and may let it pass from memory until they notice that the store is away.
func (l leaver) leaves(t *testing.T) {
	t.Helper()
	answer, err := l.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if err != nil || answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || len(answer.header["Set-Cookie"]) > 0 {
		t.Errorf("a logout: %v, %v; want a 503 page", answer, err)
		return
	}
	if l.visitor.cookie(sessionCookie) != l.cookie {
		t.Error("a logout that is not confirmed takes the cookie")
	}
	asked := answer.header.Get(answeredBy)
	for _, r := range l.stack.replicas {
		want := http.StatusServiceUnavailable
		if r.address == asked {
			want = http.StatusUnauthorized
		}
		says := func() error {
			if verdict, err := r.authCookie(l.cookie); err != nil || verdict.status != want {
				return fmt.Errorf("after a logout at %s, %s says %d, %w; want %d", asked, r.address, verdict.status, err, want)
			}
			return nil
		}
		if r.address == asked {
			check(t, says())
		} else {
			storetest.WaitFor(t, "the others to notice", says)
		}
	}
}

// isGone waits, after the outage, until the record is deleted without anybody's asking; then no replica lets the session pass.
func (l leaver) isGone(t *testing.T) {
	t.Helper()
	storetest.WaitFor(t, "the record of a logout to be deleted", func() error {
		if slices.Contains(l.stack.keys(), l.record) {
			return fmt.Errorf("%s is there", l.record)
		}
		return nil
	})
	check(t, l.stack.refused(l.cookie))
	_, err := l.logOut()
	check(t, err)
}

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// residents are people who stay signed in: each is asked about again and again, and signs in anew only when the session's time is
// up. Whoever is signed out before has been logged out.
type residents struct {
	s      *stack
	life   time.Duration // session.absolute_timeout
	people []*resident
	asked  atomic.Int64
	unsure atomic.Int64 // answers 503, after which they were asked about again, for the reason that walk tells
	end    func()

	mu     sync.Mutex
	failed []error
}

// resident is one of them, of one worker at a time.
type resident struct {
	*visitor
	until time.Time // the session lives at least so long
}

const (
	residentWorkers = 4
	// residentPace is the pause of a worker between two questions: the machine has other things to do.
	residentPace = 2 * time.Millisecond
)

// resident is the name of the ith person.
func residentName(i int) string { return fmt.Sprintf("resident-%04d", i) }

// withResidents lets n residents sign in at the provider.
func withResidents(n int, more func(*idptest.Options)) func(*idptest.Options) {
	return func(o *idptest.Options) {
		for i := range n {
			o.People = append(o.People, person(residentName(i)))
		}
		if more != nil {
			more(o)
		}
	}
}

// settle signs n people in, and has them asked about from then on, by ask.
func (s *stack) settle(n int, life time.Duration, ask func(*resident) (status int, err error)) *residents {
	s.t.Helper()
	p := &residents{s: s, life: life}
	for i := range n {
		p.people = append(p.people, &resident{visitor: s.visitor(residentName(i))})
	}
	check(s.t, together(n, 8, func(i int) error { return p.signIn(p.people[i]) }))

	stopping := make(chan struct{})
	var running sync.WaitGroup
	for worker := range residentWorkers {
		running.Go(func() {
			pace := time.NewTicker(residentPace)
			defer pace.Stop()
			for i := worker; ; i = (i + residentWorkers) % n {
				select {
				case <-stopping:
					return
				case <-pace.C:
				}
				err := p.look(p.people[i], ask)
				p.asked.Add(1)
				if err != nil {
					p.mu.Lock()
					p.failed = append(p.failed, err)
					p.mu.Unlock()
				}
			}
		})
	}
	p.end = sync.OnceFunc(func() {
		close(stopping)
		running.Wait()
	})
	s.t.Cleanup(p.end)
	return p
}

// stop ends the questions and tells what went wrong.
func (p *residents) stop() error {
	p.end()
	return p.wrong()
}

func (p *residents) wrong() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.failed); n > 0 {
		return fmt.Errorf("%d times wrong: %w", n, join(slices.Clone(p.failed)))
	}
	return nil
}

// signIn begins a new session. A login whose answer was lost may end at the page by the session that there is still, and is tried again when
// that is over.
func (p *residents) signIn(r *resident) error {
	begun, before := time.Now(), r.cookie(sessionCookie)
	if err := r.signInAgain("/page"); err != nil {
		return err
	}
	if r.cookie(sessionCookie) != before {
		r.until = begun.Add(p.life)
	}
	return nil
}

// look asks about one, unless the session is about to end.
func (p *residents) look(r *resident, ask func(*resident) (int, error)) error {
	if time.Now().After(r.until.Add(-p.life / 10)) {
		return p.signIn(r)
	}
	status, err := ask(r)
	for again := retries; err == nil && status == http.StatusServiceUnavailable && again > 0; again-- {
		p.unsure.Add(1)
		status, err = ask(r)
	}
	if err == nil && status != http.StatusOK && time.Now().Before(r.until) {
		err = fmt.Errorf("%s got %d, %v before the session ends", r.person, status, time.Until(r.until))
	}
	return err
}

// everyReplica asks all replicas in turn, without nginx.
func (s *stack) everyReplica() func(*resident) (int, error) {
	var next atomic.Int64
	return func(r *resident) (int, error) {
		answer, err := s.replicas[int(next.Add(1))%len(s.replicas)].authCookie(r.cookie(sessionCookie))
		return answer.status, err
	}
}

// throughGateway opens a page of the application.
func throughGateway(r *resident) (int, error) {
	answer, err := r.send(http.MethodGet, "/page", nil)
	if err == nil && answer.status == http.StatusOK {
		_, err = r.arrived(answer, "/page")
	}
	return answer.status, err
}

// round waits until everybody has been asked about once more, or has signed in anew. That may take long, but something has to happen.
func (p *residents) round(t *testing.T) {
	t.Helper()
	const step = 10
	for n := 0; n < len(p.people)+residentWorkers; n += step {
		want := p.asked.Load() + step
		storetest.WaitFor(t, "people to be asked about", func() error {
			if got := p.asked.Load(); got < want {
				return fmt.Errorf("%d to go", want-got)
			}
			return nil
		})
		check(t, p.wrong())
	}
}

// awaitLog waits until a replica has logged a text n times.
func (r *replica) awaitLog(text string, n int) {
	r.t.Helper()
	storetest.WaitFor(r.t, fmt.Sprintf("replica %s to log %s", r.address, text), func() error {
		if got := strings.Count(r.log.String(), text); got != n {
			return fmt.Errorf("%d times, want %d", got, n)
		}
		return nil
	})
}

// newcomer signs somebody in whose login crosses replicas, checks that all of them let the session pass, and returns its cookie.
func (s *stack) newcomer(person string) string {
	s.t.Helper()
	v := s.visitor(person)
	_, err := v.arrive("/deep?" + url.Values{"of": {person}}.Encode())
	check(s.t, err)
	cookie := v.cookie(sessionCookie)
	check(s.t, s.signedInAs(person, cookie))
	return cookie
}

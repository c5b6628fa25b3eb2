package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

const (
	// Tokens that fall due in a row are renewed after half of their life, and until its end nobody waits for that. Where the provider holds a refresh for as long as it
	// may, they live longer.
	dueLife, heldLife = 8 * time.Second, 20 * time.Second
	duePeople         = 40
	// loginBound is how long the provider can hold a login: one request's time, and a little.
	loginBound = 10 * time.Second
)

// providerFaults are F32 to F36, and F38: the provider is gone, slow or beside itself. Whoever is signed in notices nothing.
var providerFaults = []row{
	{
		id: "F32", name: "the provider is gone for 4 s, and a replica starts without it", on: []topology{standalone}, class: "the provider is gone",
		bound: "200; /start 302 or 503 within a second", heal: 6 * time.Second, fault: withoutProvider,
	},
	tokenRow("F33a", "never answers", heldLife, idptest.Hang()),
	tokenRow("F33b", "answers a byte a second", heldLife, dripping),
	tokenRow("F34a", "answers 500", dueLife, idptest.Status(http.StatusInternalServerError)),
	tokenRow("F34b", "answers 502", dueLife, idptest.Status(http.StatusBadGateway)),
	tokenRow("F34c", "answers 429 with Retry-After", dueLife, tooMany),
	tokenRow("F35a", "answers HTML with 200", dueLife, idptest.Answer(http.StatusOK, "text/html", "<html>Please wait")),
	tokenRow("F35b", "answers half of its JSON", dueLife, idptest.Answer(http.StatusOK, "application/json", `{"access_token":"eyJ`)),
	tokenRow("F35c", "answers without an end", dueLife, idptest.Endless()),
	tokenRow("F35d", "answers with a gzip bomb", dueLife, gzipBomb),
	tokenRow("F35e", "sends in a circle", dueLife, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
	}),
	{
		id: "F36a", name: "the provider signs with a new key", on: []topology{standalone},
		bound: "200, logins too",
		fault: func(ctx context.Context, s *scene) error {
			err := s.Provider.RotateKeys()
			s.during(ctx, 3*time.Second)
			return err
		},
	},
	keysRow("F36b", "empty", idptest.Answer(http.StatusOK, "application/json", `{"keys":[]}`)),
	keysRow("F36c", "answered with 500", idptest.Status(http.StatusInternalServerError)),
	keysRow("F36d", "never answered", idptest.Hang()),
	keysRow("F36e", "without an end", idptest.Endless()),
	clockRow("F38a", "30 s ahead", 30*time.Second),
	clockRow("F38b", "30 s behind", -30*time.Second),
	clockRow("F38c", "5 minutes ahead", 5*time.Minute, history.Login, history.ProviderLogout),
	clockRow("F38d", "5 minutes behind", -5*time.Minute, history.Login, history.ProviderLogout),
	clockRow("F38e", "an hour behind", -time.Hour, history.Login, history.ProviderLogout),
}

// tokenRow is a misbehaviour of the token endpoint: logins fail, in time, and so do refreshes, of which each session's is tried once in the pause that follows.
func tokenRow(id, what string, life time.Duration, misbehave idptest.Interceptor) row {
	return row{
		id: id, name: "the token endpoint " + what, on: []topology{standalone},
		bound: "200; a login ends within 10 s, a refresh is tried once",
		fault: func(ctx context.Context, s *scene) error {
			people, signedIn := s.fallDue(ctx, life), time.Now()
			var mu sync.Mutex
			tries := map[string]int{}
			s.begin(history.Login)
			s.Provider.Intercept(idptest.Token, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.PostFormValue("grant_type") == rig.RefreshGrant {
					mu.Lock()
					tries[r.PostFormValue("refresh_token")]++
					mu.Unlock()
				}
				misbehave(w, r, next)
			})
			err := s.failedLogin(ctx)
			s.askDue(ctx, signedIn.Add(life/2), signedIn.Add(life/2+life/10)) // by then all of them have fallen due
			enough := func(context.Context) error {                           // they fall due with some jitter
				mu.Lock()
				defer mu.Unlock()
				if len(tries) < people/2 {
					return fmt.Errorf("%d refreshes of %d people were tried", len(tries), people)
				}
				return nil
			}
			few := rig.WaitFor(ctx, s.patiently(time.Second), enough) // a busy machine has some of them still to try
			err = errors.Join(err, s.hangUpAtOnce())
			s.end()
			mu.Lock()
			defer mu.Unlock()
			for _, n := range tries {
				if n > 1 {
					s.fail("a refresh was tried %d times at once", n)
					break
				}
			}
			s.note("%d of %d people's refreshes tried", len(tries), people)
			if few != nil {
				s.fail("%v", few)
			}
			return err
		},
	}
}

// keysRow is a misbehaviour of the key set: nobody notices, until the provider signs with a new key; then logins fail for as long.
func keysRow(id, what string, misbehave idptest.Interceptor) row {
	return row{
		id: id, name: "the provider's keys are " + what + "; then it signs with a new one", on: []topology{standalone},
		bound: "200; logins while the key is known", heal: 11 * time.Second, // keys are asked for once in 10 s
		fault: func(ctx context.Context, s *scene) error {
			s.Provider.Intercept(idptest.JWKS, misbehave)
			s.during(ctx, 1500*time.Millisecond)
			s.begin(history.Login, history.ProviderLogout)
			err := s.Provider.RotateKeys()
			if err == nil {
				err = s.failedLogin(ctx)
			}
			s.Provider.Intercept(idptest.JWKS, nil)
			s.end()
			return err
		},
	}
}

// clockRow is a replica whose clock is wrong. kinds may fail meanwhile.
func clockRow(id, what string, shift time.Duration, kinds ...history.Kind) row {
	bound := "200, logins too"
	if len(kinds) > 0 {
		bound = "200; logins may fail"
	}
	return row{
		id: id, name: "a replica's clock is " + what, on: []topology{standalone}, own: special{shifted: true}, bound: bound,
		fault: func(ctx context.Context, s *scene) error {
			one := s.Replicas[:1]
			restart := func(changes ...rig.Change) error {
				s.begin()
				s.silence(one[0])
				err := s.Restart(ctx, one, changes...)
				s.end()
				return err
			}
			err := restart(rig.Change{Program: s.shifted, Env: []string{fmt.Sprintf("SHIFTED_CLOCK=%v", shift)}})
			if err != nil {
				return err
			}
			s.during(ctx, time.Second+healBound)
			if len(kinds) > 0 {
				s.begin(kinds...)
			}
			s.during(ctx, 4*time.Second)
			s.end()
			return restart()
		},
	}
}

// fallDue lets some people sign in anew with tokens that live so long, and returns how many.
func (s *scene) fallDue(ctx context.Context, life time.Duration) (people int) {
	s.Provider.TokensLive(life)
	defer s.Provider.TokensLive(rig.LongLife)
	var all sync.WaitGroup
	var done atomic.Int64
	for i := range s.howManyDue() {
		all.Go(func() {
			v := s.people[i]
			v.signOut(ctx, s.replica(), false, s.history)
			if a, err := v.signIn(ctx, s.replica(), s.replica(), s.history); err == nil && a.Status == http.StatusFound {
				done.Add(1)
			}
		})
	}
	all.Wait()
	return int(done.Load())
}

func (s *scene) howManyDue() int { return min(duePeople, len(s.people)/2) }

// due are the sessions of those who fall due.
func (s *scene) due() (all []shown) {
	for _, v := range s.people[:s.howManyDue()] {
		if show, in := v.shown(); in {
			all = append(all, show)
		}
	}
	return all
}

// askDue asks about those who fall due, between two moments, at replicas that can answer: the load meets each of many people every few seconds only.
func (s *scene) askDue(ctx context.Context, from, until time.Time) {
	rig.Pass(ctx, from)
	for i := 0; time.Now().Before(until) && ctx.Err() == nil; i++ {
		show, in := s.people[i%s.howManyDue()].shown()
		if at := s.Replicas[i%len(s.Replicas)]; in && !s.silent[at.Name] {
			s.ask(ctx, show, at, time.Now(), s.history)
		}
		rig.Pass(ctx, time.Now().Add(5*time.Millisecond))
	}
}

// hangUp ends the connections that replicas keep to the provider for a minute, as many as were needed at once: they are no leak. Whatever misbehaves at the
// token endpoint behaves again. No refresh is under way then: one whose answer died there would be a session that the rig has lost.
func (s *scene) hangUp(ctx context.Context) error {
	s.Provider.Intercept(idptest.Token, idptest.Status(http.StatusServiceUnavailable))
	_, err := s.await(ctx, loginBound, func(ctx context.Context) error {
		for _, one := range s.Replicas {
			if s.silent[one.Name] {
				continue
			}
			if n, err := one.Metrics(ctx); err != nil || n["authsvc_refreshes_in_flight"] > 0 {
				return cmp.Or(err, fmt.Errorf("%s: %v refreshes are under way", one.Name, n["authsvc_refreshes_in_flight"]))
			}
		}
		return nil
	})
	return errors.Join(err, s.hangUpAtOnce())
}

// hangUpAtOnce is hangUp where no refresh that is under way will be answered.
func (s *scene) hangUpAtOnce() error {
	s.Provider.Intercept(idptest.Token, idptest.Status(http.StatusServiceUnavailable))
	defer s.Provider.Intercept(idptest.Token, nil)
	s.toProvider.Down()
	return s.toProvider.Up()
}

// failedLogin is a login that the provider cannot finish: it ends within its bound, with a page.
func (s *scene) failedLogin(ctx context.Context) error {
	began := time.Now()
	browser := rig.Person{Rig: s.Rig, Name: s.people[0].Name}
	a, err := browser.SignInAt(ctx, s.replica(), s.replica())
	took := time.Since(began)
	switch {
	case err != nil:
		return fmt.Errorf("a login: %w", err)
	case a.Status != http.StatusBadGateway && a.Status != http.StatusServiceUnavailable || browser.Cookie != "":
		s.fail("a login is answered %d %q", a.Status, a.Title())
	case took > s.patiently(loginBound):
		s.fail("a login took %.1f s", took.Seconds())
	}
	s.note("a login: %d after %.1f s", a.Status, took.Seconds())
	return nil
}

// withoutProvider lets a replica start while the provider is gone. It serves those who are signed in.
func withoutProvider(ctx context.Context, s *scene) error {
	starting := s.Replicas[0]
	s.begin()
	s.silence(starting)
	s.toProvider.Down()
	if err := starting.Stop(); err != nil {
		return err
	}
	if err := starting.Start(); err != nil {
		return err
	}
	_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
		a, err := s.Get(ctx, "http://"+starting.Admin+"/readyz", nil)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("/readyz of a replica that starts answers %d %s", a.Status, a.Body)
		}
		return err
	})
	s.end()
	if err != nil {
		return err
	}
	s.during(ctx, time.Second)
	s.begin(history.Login, history.ProviderLogout)
	for _, one := range s.Replicas {
		a, err := s.Get(ctx, "http://"+one.Address+"/start?rd=%2F", nil)
		if err != nil || a.Status != http.StatusFound && a.Status != unavailable || a.Took > s.patiently(time.Second) {
			s.fail("/start at %s: %d after %v, %v", one.Name, a.Status, a.Took, err)
		}
	}
	s.during(ctx, 3*time.Second)
	err = s.toProvider.Up()
	s.end()
	return err
}

// dripping answers a byte a second.
func dripping(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		io.WriteString(w, " ")
		http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

func tooMany(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Retry-After", "30")
	w.WriteHeader(http.StatusTooManyRequests)
}

// gzipBomb answers with a megabyte that becomes a gigabyte.
func gzipBomb(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	for _, member := range append([][]byte{zipped(`{"padding":"`)}, slices.Repeat([][]byte{zipped(strings.Repeat("x", 1<<20))}, 1<<10)...) {
		if _, err := w.Write(member); err != nil {
			return // the asker has had enough
		}
	}
}

// zipped is a member of a gzip file, which may have many (RFC 1952, section 2.2): to compress a gigabyte would keep this process busy.
func zipped(text string) []byte {
	var member bytes.Buffer
	zip := gzip.NewWriter(&member)
	io.WriteString(zip, text)
	zip.Close()
	return member.Bytes()
}

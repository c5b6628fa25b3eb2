package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// clientFaults are F43, F46, F47, F50 and F51: clients go, are rude, or come all at once.
var clientFaults = []row{
	{
		id: "F43", name: "clients go in verdicts, callbacks and refreshes", on: []topology{standalone},
		bound: "200 for all others, and for them afterwards", fault: clientsGo,
	},
	{
		id: "F46", name: "headers of 1 MB, 10,000 cookies, paths of 64 KB, 1,000 parameters", on: []topology{standalone},
		bound: "200 for all others; refused within a second", fault: hugeRequests,
	},
	{
		id: "F47", name: "100 clients at each replica send a byte a second", on: []topology{standalone},
		bound: "200 for all others; hung up on after 5 s", fault: slowloris,
	},
	{
		id: "F50", name: "many tokens fall due at once", on: []topology{standalone},
		bound: "200; each is refreshed once", fault: stampede,
	},
	{
		id: "F51", name: "1,000 forged cookies a second", on: []topology{standalone},
		bound: "200 for all others; 401, without Redis", fault: forgedCookies,
	},
}

func clientsGo(ctx context.Context, s *scene) error {
	signedIn := s.dueIn(ctx, dueLife)
	s.Provider.Intercept(idptest.Token, idptest.Slow(300*time.Millisecond))
	s.begin(history.Login) // which take longer, and are asked for by nobody who stays
	rig.Pass(ctx, signedIn.Add(dueLife/2))
	var gone atomic.Int64
	err := s.crowd(ctx, 2*time.Second, 100, func(i int) error {
		hurried, leave := context.WithTimeout(ctx, time.Duration(1+i%10)*time.Millisecond)
		defer leave()
		v := s.people[i%min(duePeople, len(s.people))]
		show, in := v.shown()
		if !in {
			return nil
		}
		browser := rig.Person{Rig: s.Rig, Name: show.person, Cookie: show.cookie}
		var err error
		if i%4 == 0 {
			hurried, leave = context.WithTimeout(ctx, 100*time.Millisecond)
			defer leave()
			_, err = browser.SignInAt(hurried, s.replica(), s.replica())
		} else {
			_, err = browser.AskAt(hurried, s.replica())
		}
		if err != nil {
			gone.Add(1)
		}
		return nil
	})
	err = errors.Join(err, s.hangUp(ctx))
	s.end()
	s.note("%d went", gone.Load())
	if gone.Load() == 0 {
		s.fail("nobody went before the answer")
	}
	return err
}

// crowd does something so many times a second, for a while, each time in a goroutine of its own.
func (s *scene) crowd(ctx context.Context, d time.Duration, rate int, do func(i int) error) error {
	n := int(d.Seconds() * float64(rate))
	errs := make([]error, n)
	var all sync.WaitGroup
	start := time.Now()
	for i := range n {
		rig.Pass(ctx, start.Add(time.Duration(i)*time.Second/time.Duration(rate)))
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func hugeRequests(ctx context.Context, s *scene) error {
	var slowest atomic.Int64
	for _, request := range []struct {
		path   string
		header http.Header
	}{
		{"/auth", http.Header{"X-Huge": {strings.Repeat("x", 1<<20)}}},
		{"/auth", http.Header{"Cookie": {strings.Repeat("authsvc=x; ", 10_000)}}},
		{"/auth", http.Header{"Cookie": {strings.Repeat("a=b; ", 10_000)}}},
		{"/start?rd=/" + strings.Repeat("x", 60_000), nil},
		{"/" + strings.Repeat("x", 64<<10), nil},
		{"/auth?" + strings.Repeat("allowed_groups=x&", 1000), nil},
	} {
		err := s.crowd(ctx, 500*time.Millisecond, 40, func(i int) error {
			one := s.Replicas[i%len(s.Replicas)]
			a, err := s.Get(ctx, "http://"+one.Address+request.path, request.header.Clone())
			if err == nil && (a.Status < 300 || a.Status >= 500) {
				err = fmt.Errorf("%.20s with %d headers: %d", request.path, len(request.header), a.Status)
			}
			if opened, ok := errors.AsType[*net.OpError](err); ok && opened.Op != "dial" {
				err = nil // it hung up while we were still sending
			}
			slowest.Store(max(slowest.Load(), int64(a.Took)))
			return err
		})
		if err != nil {
			return err
		}
	}
	if took := time.Duration(slowest.Load()); took > s.patiently(time.Second) {
		s.fail("one took %v", took)
	}
	return nil
}

func slowloris(ctx context.Context, s *scene) error {
	const clients = 100
	var hungUp atomic.Int64
	var all sync.WaitGroup
	for _, one := range s.Replicas {
		for range clients {
			conn, err := net.Dial("tcp", one.Address)
			if err != nil {
				return err
			}
			all.Go(func() {
				defer conn.Close()
				for range 10 {
					if _, err := conn.Write([]byte("G")); err != nil {
						hungUp.Add(1)
						return
					}
					s.during(ctx, time.Second)
				}
			})
		}
	}
	all.Wait()
	if n := int(hungUp.Load()); n < clients*len(s.Replicas) {
		s.fail("%d of %d were not hung up on", clients*len(s.Replicas)-n, clients*len(s.Replicas))
	}
	return nil
}

func stampede(ctx context.Context, s *scene) error {
	signedIn := s.dueIn(ctx, dueLife)
	before := s.Provider.TotalCounts()
	var mu sync.Mutex
	refreshed := map[string]int{}
	s.Provider.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, token string) {
		mu.Lock()
		refreshed[token]++
		mu.Unlock()
		ctx, cancel := context.WithTimeout(r.Context(), 200*time.Millisecond)
		defer cancel()
		s.Provider.RotateAndHold(w, r, next, ctx.Done())
	})
	s.askDue(ctx, signedIn.Add(dueLife/2), signedIn.Add(dueLife))
	s.begin(history.Login)
	err := s.hangUp(ctx)
	s.end()
	mu.Lock()
	defer mu.Unlock()
	s.note("%d refreshes", len(refreshed))
	for _, times := range refreshed {
		if times > 1 {
			s.fail("a refresh token was spent %d times", times)
		}
	}
	if reuses := s.Provider.TotalCounts().RefreshReuses - before.RefreshReuses; len(refreshed) < min(duePeople, len(s.people)/2)/2 || reuses != 0 { // they fall due with some jitter
		s.fail("%d refreshes of %d people, %d reuses", len(refreshed), duePeople, reuses)
	}
	return err
}

func forgedCookies(ctx context.Context, s *scene) error {
	show, _ := s.people[0].shown()
	redis := s.store.master()
	before := redis.Info("total_commands_processed")
	began := time.Now()
	err := s.crowd(ctx, 3*time.Second, 1000, func(i int) error {
		forged := []byte(show.cookie)
		forged[i%(len(forged)-4)] ^= 1
		browser := rig.Person{Rig: s.Rig, Name: "nobody", Cookie: string(forged)}
		a, err := browser.AskAt(ctx, s.Replicas[i%len(s.Replicas)])
		if err == nil && a.Status != http.StatusUnauthorized {
			err = fmt.Errorf("a forged cookie is answered %d", a.Status)
		}
		return err
	})
	commands := redis.Info("total_commands_processed") - before
	s.note("%d commands to Redis in %.1f s", commands, time.Since(began).Seconds())
	return err
}

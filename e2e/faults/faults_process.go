package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// lease is for how long a replica that vanished keeps others from refreshing a session.
const lease = 6 * time.Second

// processFaults are F39 to F53: replicas die, stand still, leave, or have little; clients are rude.
var processFaults = []row{
	{
		id: "F39", name: "a replica killed between the code and the session", on: []topology{standalone}, class: "a replica dies",
		bound: "200 elsewhere; one more click signs in, the old callback does not", fault: killedInLogin,
	},
	{
		id: "F40", name: "a replica killed in refreshes that the provider has answered", on: []topology{standalone},
		bound: "200 elsewhere; whose answer died signs in again, nobody else", fault: killedInRefresh,
	},
	{
		id: "F41", name: "a replica stands still in refreshes for longer than its lease", on: []topology{standalone},
		bound: "200 elsewhere; nobody is signed out",
		fault: func(ctx context.Context, s *scene) error {
			signedIn := s.dueIn(ctx, heldLife)
			s.Provider.AnswersAfter(time.Second)
			s.askDue(ctx, signedIn.Add(heldLife/2), signedIn.Add(heldLife/2+500*time.Millisecond))
			one := s.Replicas[0]
			s.begin()
			s.silence(one)
			err := one.Pause()
			s.askDue(ctx, time.Now(), time.Now().Add(lease+2*time.Second)) // by then others have refreshed for it
			err = errors.Join(err, one.Resume(), s.hangUp())
			s.end()
			return err
		},
	},
	{
		id: "F42", name: "a replica leaves (SIGTERM) and comes back, behind nginx", on: []topology{standalone}, own: behindNginx,
		bound: "200, nobody notices", fault: func(ctx context.Context, s *scene) error { return s.roll(ctx, s.Replicas[:1]) },
	},
	{
		id: "F43", name: "clients go in verdicts, callbacks and refreshes", on: []topology{standalone},
		bound: "200 for all others, and for them afterwards", fault: clientsGo,
	},
	{
		id: "F44", name: "all replicas are replaced one by one, behind nginx", on: []topology{standalone}, own: behindNginx,
		bound: "200, nobody notices", fault: func(ctx context.Context, s *scene) error { return s.roll(ctx, s.Replicas) },
	},
	{
		id: "F45", name: "a replica has 256 files, and clients take them all for 3 s", on: []topology{standalone}, own: special{spoils: true},
		bound: "200 elsewhere; then 200", heal: 3 * time.Second, fault: fewFiles,
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
		id: "F48", name: "64 MiB of memory (GOMEMLIMIT)", on: []topology{standalone}, own: special{settings: []string{"GOMEMLIMIT=64MiB"}},
		bound: "200", fault: bounded,
	},
	{
		id: "F49", name: "one processor (GOMAXPROCS)", on: []topology{standalone}, own: special{settings: []string{"GOMAXPROCS=1"}},
		bound: "200", fault: bounded,
	},
	{
		id: "F50", name: "many tokens fall due at once", on: []topology{standalone},
		bound: "200; each is refreshed once", fault: stampede,
	},
	{
		id: "F51", name: "1,000 forged cookies a second", on: []topology{standalone},
		bound: "200 for all others; 401, without Redis", fault: forgedCookies,
	},
	{
		id: "F52", name: "nobody reads a replica's log, whose pipe is full", on: []topology{standalone}, own: special{spoils: true},
		bound: "200; it leaves with SIGTERM", fault: blockedLog,
	},
	{
		id: "F53", name: "a secret's file becomes empty for 4 s", on: []topology{standalone},
		own:   special{redis: []string{"--requirepass", "first"}, passwordFile: "first"},
		bound: "200; /readyz and the metrics tell", fault: badReload,
	},
}

// behindNginx lets replicas serve for a second after SIGTERM.
var behindNginx = special{nginx: true, settings: []string{"AUTHSVC_SHUTDOWN_DELAY=1s"}}

// dueIn is fallDue, and tells when they had signed in.
func (s *scene) dueIn(ctx context.Context, life time.Duration) (signedIn time.Time) {
	s.fallDue(ctx, life)
	return time.Now()
}

// revive starts a replica that was killed, and ends the fault.
func (s *scene) revive(ctx context.Context, one *rig.Replica) error {
	err := one.Start()
	if err == nil {
		err = one.AwaitReady(ctx)
	}
	s.end()
	return err
}

func killedInLogin(ctx context.Context, s *scene) error {
	victim, other := s.Replicas[0], s.Replicas[len(s.Replicas)-1]
	browser := rig.Person{Rig: s.Rig, Name: s.people[0].Name}
	var callback string
	var once sync.Once
	s.begin()
	s.silence(victim)
	s.Provider.OnGrant(rig.LoginGrant, func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		release := make(chan struct{})
		close(release)
		s.Provider.RotateThen(w, r, next, release, func(rig.TokenAnswer) {
			once.Do(func() { victim.Kill() }) // which the state below shows
		})
	})
	_, err := browser.SignInAt(ctx, victim, victim)
	s.Provider.Intercept(idptest.Token, nil)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		callback = failed.URL
	}
	if browser.Cookie != "" || !strings.Contains(callback, "/callback?") {
		s.fail("the login did not end with the replica: %v", err)
	}
	select {
	case <-victim.Done:
	default:
		s.fail("the replica was not killed")
	}
	if err := s.revive(ctx, victim); err != nil {
		return err
	}
	if again, err := s.Get(ctx, strings.Replace(callback, victim.Address, other.Address, 1), nil); err != nil || strings.Contains(fmt.Sprint(again.Header["Set-Cookie"]), rig.SessionCookie+"=") {
		s.fail("the callback once more: %d, %v", again.Status, err)
	}
	if a, err := browser.SignInAt(ctx, other, victim); err != nil || browser.Cookie == "" {
		s.fail("one more click: %d, %v", a.Status, err)
	}
	return nil
}

// killedInRefresh kills a replica while the provider holds what it has answered. Whose answer died is asked to sign in, as soon as another replica may ask for them and knows
// that nobody writes for the dead one any more: within two leases. Nobody else is.
func killedInRefresh(ctx context.Context, s *scene) error {
	signedIn := s.dueIn(ctx, heldLife)
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	defer letGo()
	s.Provider.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		s.Provider.RotateAndHold(w, r, next, release)
	})
	s.askDue(ctx, signedIn.Add(heldLife/2), signedIn.Add(heldLife/2+2*time.Second))
	victim, others := s.Replicas[0], s.Replicas[1:]
	due := s.due()
	s.begin()
	s.silence(victim)
	if err := victim.Kill(); err != nil {
		return err
	}
	killed := time.Now()
	// Its connections end one by one, behind the proxy. An answer that is given before that dies, too, and the provider does not know.
	if err := s.refreshing(ctx, others, s.Provider.Held.Load); err != nil {
		return err
	}
	letGo()
	err := s.refreshing(ctx, others, func() int64 { return 0 })
	if err := errors.Join(err, s.hangUp(), s.revive(ctx, victim)); err != nil {
		return err
	}
	died := s.Provider.WhoLost()
	due = slices.DeleteFunc(due, func(show shown) bool { return !died[show.person] })
	for _, show := range due {
		s.mayLose(show.session, killed)
	}
	if len(due) == 0 {
		return errors.New("no refresh was the killed replica's")
	}
	_, err = s.await(ctx, time.Until(killed.Add(2*lease+2*time.Second)), func(ctx context.Context) error {
		for _, show := range due {
			if status := s.ask(ctx, show, others[0], time.Now(), s.history); status != http.StatusUnauthorized {
				return fmt.Errorf("somebody whose answer died is answered %d", status)
			}
		}
		return nil
	})
	s.note("%d answers died, known after %.1f s", len(due), time.Since(killed).Seconds())
	return err
}

// refreshing waits until the replicas are in so many refreshes.
func (s *scene) refreshing(ctx context.Context, replicas []*rig.Replica, want func() int64) error {
	_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
		sum := 0.0
		for _, one := range replicas {
			metrics, err := one.Metrics(ctx)
			if err != nil {
				return err
			}
			sum += metrics["authsvc_refreshes_in_flight"]
		}
		if n := want(); float64(n) != sum {
			return fmt.Errorf("%.0f refreshes are under way, not %d", sum, n)
		}
		return nil
	})
	return err
}

// roll replaces replicas one by one. Logins and logouts come to replicas past nginx, and find the one that is replaced gone; verdicts come through it.
func (s *scene) roll(ctx context.Context, replicas []*rig.Replica) error {
	for _, one := range replicas {
		s.begin(history.Login, history.Logout, history.ProviderLogout)
		if err := one.Stop(); err != nil {
			return err
		}
		s.during(ctx, 500*time.Millisecond)
		if err := s.revive(ctx, one); err != nil {
			return err
		}
		s.during(ctx, 1500*time.Millisecond) // nginx asks it again after a second
	}
	return nil
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
	s.Provider.Intercept(idptest.Token, nil)
	err = errors.Join(err, s.hangUp())
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

// throughShell starts the replica by a shell, after a line of it.
func (s *scene) throughShell(ctx context.Context, one *rig.Replica, line string) error {
	script := filepath.Join(s.Dir, "started")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		return err
	}
	s.begin()
	s.silence(one)
	err := s.Restart(ctx, []*rig.Replica{one}, rig.Change{Program: script, Env: []string{"PROGRAM=" + s.Program}})
	s.end()
	return err
}

func fewFiles(ctx context.Context, s *scene) error {
	one := s.Replicas[0]
	if err := s.throughShell(ctx, one, `ulimit -n 256 && exec "$PROGRAM" "$@"`); err != nil {
		return err
	}
	s.during(ctx, time.Second+healBound)
	s.begin()
	s.silence(one)
	defer s.end()
	var conns []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", one.Address)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	s.during(ctx, 3*time.Second)
	select {
	case <-one.Done:
		s.fail("the replica ended")
	default:
	}
	for _, conn := range conns {
		conn.Close()
	}
	_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
		a, err := s.Get(ctx, "http://"+one.Admin+"/readyz", nil)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d", a.Status)
		}
		return err
	})
	return err
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

// bounded looks at what replicas take while everybody is asked about.
func bounded(ctx context.Context, s *scene) error {
	const most = 96 << 20
	if err := s.sweep(ctx, s.history); err != nil {
		return err
	}
	for _, one := range s.Replicas {
		metrics, err := one.Metrics(ctx)
		if err != nil {
			return err
		}
		memory := metrics["process_resident_memory_bytes"]
		if memory > most {
			s.fail("%s takes %.0f MiB", one.Name, memory/(1<<20))
		}
		s.note("%.0f MiB", memory/(1<<20))
	}
	return nil
}

func stampede(ctx context.Context, s *scene) error {
	signedIn := s.dueIn(ctx, dueLife)
	before := s.Provider.TotalCounts()
	s.Provider.AnswersAfter(200 * time.Millisecond)
	s.askDue(ctx, signedIn.Add(dueLife/2), signedIn.Add(dueLife))
	counts := s.Provider.TotalCounts()
	refreshes := counts.Refreshes - before.Refreshes
	s.begin(history.Login)
	err := s.hangUp()
	s.end()
	s.note("%d refreshes", refreshes)
	if refreshes == 0 || refreshes > duePeople || counts.RefreshReuses != before.RefreshReuses {
		s.fail("%d refreshes of %d people, %d reuses", refreshes, duePeople, counts.RefreshReuses-before.RefreshReuses)
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

func blockedLog(ctx context.Context, s *scene) error {
	one, pipe := s.Replicas[0], filepath.Join(s.Dir, "log-that-nobody-reads")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		return err
	}
	unread, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unread.Close()
	if err := s.throughShell(ctx, one, `exec "$PROGRAM" "$@" 2>"`+pipe+`"`); err != nil {
		return err
	}
	s.during(ctx, time.Second+healBound)
	err = s.crowd(ctx, 3*time.Second, 300, func(int) error { // more than the pipe holds
		a, err := s.Get(ctx, "http://"+one.Address+"/auth", nil)
		if err == nil && a.Status != http.StatusUnauthorized {
			err = fmt.Errorf("a stranger is answered %d", a.Status)
		}
		return err
	})
	s.begin()
	s.silence(one)
	err = errors.Join(err, s.Restart(ctx, []*rig.Replica{one}))
	s.end()
	return err
}

func badReload(ctx context.Context, s *scene) error {
	told := func(bad float64) error {
		for _, one := range s.Replicas {
			if _, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
				metrics, err := one.Metrics(ctx)
				if err != nil {
					return err
				}
				if got := metrics["authsvc_config_reload_failed"]; got != bad {
					return fmt.Errorf("%s: authsvc_config_reload_failed is %v", one.Name, got)
				}
				a, err := s.Get(ctx, "http://"+one.Admin+"/readyz", nil)
				if err == nil && (a.Status != http.StatusOK || strings.Contains(a.Body, `"configuration"`) != (bad == 1)) {
					err = fmt.Errorf("%s: /readyz answers %d %s", one.Name, a.Status, a.Body)
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := os.WriteFile(s.passwordFile(), nil, 0o600); err != nil {
		return err
	}
	err := told(1)
	s.during(ctx, 2*time.Second)
	return errors.Join(err, os.WriteFile(s.passwordFile(), []byte("first\n"), 0o600), told(0))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// replicaFaults are F39 to F42, and F44: replicas die, stand still, leave and come back.
var replicaFaults = []row{
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
			err = errors.Join(err, one.Resume(), s.hangUp(ctx))
			s.end()
			return err
		},
	},
	{
		id: "F42", name: "a replica leaves (SIGTERM) and comes back, behind nginx", on: []topology{standalone}, own: behindNginx,
		bound: "200, nobody notices", fault: func(ctx context.Context, s *scene) error { return s.roll(ctx, s.Replicas[:1]) },
	},
	{
		id: "F44", name: "all replicas are replaced one by one, behind nginx", on: []topology{standalone}, own: behindNginx,
		bound: "200, nobody notices", fault: func(ctx context.Context, s *scene) error { return s.roll(ctx, s.Replicas) },
	},
}

// lease is for how long a replica that vanished keeps others from refreshing a session.
const lease = 6 * time.Second

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
	case <-victim.Done: // a moment after its connections
	case <-time.After(s.patiently(time.Second)):
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
	if err := errors.Join(err, s.hangUp(ctx), s.revive(ctx, victim)); err != nil {
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

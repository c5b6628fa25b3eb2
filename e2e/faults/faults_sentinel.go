package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"authsvc/e2e/history"
	"authsvc/session/storetest"
)

// undone is for how long a logout may be undone that the old master acknowledged and no replica of it heard of: as long as the failover takes, and until the
// replica of ours that did it finds the new master and does it again.
const undone = 7 * time.Second

// sentinelFaults are F22 to F27: the master behind sentinels is replaced, or takes no writes.
var sentinelFaults = []row{
	{
		id: "F22", name: "the master is killed (kill -9)", on: []topology{sentinel}, class: "a failover",
		bound: "503 until 1 s after the failover; then 200", shows: []int{unavailable}, loses: true, out: undone,
		fault: func(ctx context.Context, s *scene) error {
			master := s.store.master()
			began := s.cookies()
			s.begin()
			master.Kill()
			if err := s.replaced(ctx, master, began); err != nil {
				return err
			}
			s.during(ctx, time.Second)
			master.Start()
			s.store.sentinel.Settle()
			return nil
		},
	},
	{
		id: "F23", name: "the master stands still for 6 s (SIGSTOP)", on: []topology{sentinel},
		bound: "as F22; nothing is asked of it afterwards", shows: []int{unavailable}, loses: true, out: undone,
		fault: func(ctx context.Context, s *scene) error {
			master := s.store.master()
			began, stopped := s.cookies(), time.Now()
			s.begin()
			master.Pause()
			if err := s.replaced(ctx, master, began); err != nil {
				return err
			}
			s.during(ctx, time.Until(stopped.Add(6*time.Second)))
			master.Resume()
			s.during(ctx, 200*time.Millisecond) // for what was sent before it stopped
			master.Do("CONFIG", "RESETSTAT")
			s.during(ctx, time.Second)
			if n, err := calls(ctx, master, "get", "evalsha"); err != nil || n > 0 {
				s.fail("the old master was asked %d times after it went on, %v", n, err)
			}
			s.store.sentinel.Settle()
			return nil
		},
	},
	{
		id: "F24a", name: "the master is made a replica for 2 s: READONLY", on: []topology{standalone},
		bound: "verdicts 200; logins and logouts 503",
		fault: func(ctx context.Context, s *scene) error {
			master := s.store.master()
			master.Do("CONFIG", "RESETSTAT")
			s.begin(history.Login, history.Logout, history.ProviderLogout)
			master.Do("REPLICAOF", "127.0.0.1", "1")
			s.during(ctx, 2*time.Second)
			master.Do("REPLICAOF", "NO", "ONE")
			s.end()
			return s.refused(ctx, "READONLY")
		},
	},
	{
		id: "F24b", name: "a failover by hand, the old master lives on", on: []topology{sentinel},
		bound: "503 for 1 s at most; then 200", loses: true, out: undone,
		fault: func(ctx context.Context, s *scene) error {
			master := s.store.master()
			began := s.cookies()
			s.begin()
			s.store.sentinel.Failover()
			if err := s.replaced(ctx, master, began); err != nil {
				return err
			}
			s.during(ctx, 2*time.Second)
			s.store.sentinel.Settle()
			return nil
		},
	},
	{
		id: "F25a", name: "split brain: for 8 s the master goes on alone", on: []topology{sentinel},
		bound: "what it took in 8 s is lost, but no logout", loses: true, out: 8*time.Second + undone,
		fault: func(ctx context.Context, s *scene) error {
			return s.splitBrain(ctx)
		},
	},
	{
		id: "F25b", name: "the same with min-replicas-to-write 1, max-lag 1", on: []topology{sentinel},
		bound: "as F25a; what is lost began in the first 3 s", loses: true, out: 8*time.Second + undone,
		fault: func(ctx context.Context, s *scene) error {
			minimum := func(n int) {
				for _, server := range s.store.servers {
					server.Do("CONFIG", "SET", "min-replicas-to-write", n, "min-replicas-max-lag", 1)
				}
			}
			minimum(1)
			defer minimum(0)
			split := time.Now()
			s.begin(history.Login, history.Logout, history.ProviderLogout)
			if err := s.splitBrain(ctx); err != nil {
				return err
			}
			missing, err := s.store.missing(ctx, s.cookies())
			if err != nil {
				return err
			}
			for _, o := range s.history.Operations() {
				if o.Kind == history.Login && missing[o.Session] && o.Sent.After(split.Add(3*time.Second)) {
					s.fail("the session of %s is lost, which began %v after the split", o.Person, o.Sent.Sub(split).Round(time.Millisecond))
				}
			}
			s.note("%d sessions are lost", len(missing))
			return nil
		},
	},
	{
		id: "F26", name: "too few replicas for 3 s: NOREPLICAS", on: everywhere, class: "Redis takes no writes",
		bound: "verdicts 200; logins and logouts 503, and done later",
		fault: func(ctx context.Context, s *scene) error {
			masters := s.store.masters()
			for _, master := range masters {
				master.Do("CONFIG", "RESETSTAT")
			}
			s.begin(history.Login, history.Logout, history.ProviderLogout)
			for _, master := range masters {
				master.Do("CONFIG", "SET", "min-replicas-to-write", "9")
			}
			// A provider whose logout is refused has to say it again; a person's is not forgotten.
			leaving := map[string]string{}
			for _, v := range s.people[:5] {
				if had, in := v.signOut(ctx, s.replica(), false, s.history); in {
					leaving[had.session] = had.cookie
				}
			}
			s.during(ctx, 3*time.Second)
			for _, master := range masters {
				master.Do("CONFIG", "SET", "min-replicas-to-write", "0")
			}
			s.end()
			s.logoutsHold(ctx, leaving)
			return s.refused(ctx, "NOREPLICAS")
		},
	},
	{
		id: "F27", name: "all sentinels are killed for 5 s, the master is well", on: []topology{sentinel},
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			for _, one := range s.store.sentinel.Sentinels {
				one.Kill()
			}
			s.during(ctx, 5*time.Second)
			for _, one := range s.store.sentinel.Sentinels {
				one.Start()
			}
			s.during(ctx, time.Second)
			s.store.sentinel.Settle()
			return nil
		},
	},
}

// splitBrain lets the replicas hear nothing of the master, which goes on to acknowledge for 8 s, and then lets the sentinels replace it: what it took meanwhile is gone, and it
// is told so. It is what a service sees that is cut off together with the old master, and comes back.
func (s *scene) splitBrain(ctx context.Context) error {
	master := s.store.master()
	began := s.cookies()
	for _, server := range s.store.servers {
		if server != master {
			server.Deafen()
		}
	}
	s.during(ctx, 8*time.Second)
	s.end()
	s.begin()
	s.store.sentinel.Failover()
	if err := s.replaced(ctx, master, began); err != nil {
		return err
	}
	for _, server := range s.store.servers {
		if server != master {
			server.Listen()
		}
	}
	s.store.sentinel.Settle()
	return nil
}

// replaced waits until another has taken the master's place, which ends the fault, and until the logouts of the fault's time hold again.
func (s *scene) replaced(ctx context.Context, master *storetest.Server, began map[string]string) error {
	took, err := s.awaitFailover(ctx, master)
	if err != nil {
		return err
	}
	s.end()
	s.note("the failover took %.1f s", took.Seconds())
	s.logoutsHold(ctx, s.signedOut(began))
	return nil
}

// signedOut are the sessions, of those that lived when the fault began, whose logout was acknowledged since, with their cookies.
func (s *scene) signedOut(began map[string]string) map[string]string {
	over := map[string]string{}
	for _, o := range s.history.Operations() {
		ends := o.Kind == history.Logout || o.Kind == history.ProviderLogout
		if cookie, lived := began[o.Session]; lived && ends && o.Status >= 200 && o.Status < 400 {
			over[o.Session] = cookie
		}
	}
	return over
}

// logoutsHold waits until the store holds none of the sessions, which were signed out.
func (s *scene) logoutsHold(ctx context.Context, over map[string]string) {
	undone := 0
	took, err := s.await(ctx, 2*time.Second, func(ctx context.Context) error {
		missing, err := s.store.missing(ctx, over)
		if err == nil && len(missing) < len(over) {
			undone = max(undone, len(over)-len(missing))
			err = fmt.Errorf("%d of %d sessions that were signed out are there", len(over)-len(missing), len(over))
		}
		return err
	})
	if err != nil {
		s.fail("%v", err)
	}
	s.note("%d of %d logouts were done again within %.2f s", undone, len(over), took.Seconds())
}

// refused checks that a master refused commands with the code.
func (s *scene) refused(ctx context.Context, code string) error {
	n := int64(0)
	for _, master := range s.store.masters() {
		stats, err := master.Client().Info(ctx, "errorstats").Result()
		if err != nil {
			return err
		}
		n += count(stats, "errorstat_"+code+":count=")
	}
	if n == 0 {
		s.fail("nothing was refused with %s, so that nothing was tried", code)
	}
	s.note("%d commands got %s", n, code)
	return nil
}

// calls is how often a server ran these commands since its statistics were reset.
func calls(ctx context.Context, server *storetest.Server, commands ...string) (n int64, err error) {
	stats, err := server.Client().Info(ctx, "commandstats").Result()
	for _, command := range commands {
		n += count(stats, "cmdstat_"+command+":calls=")
	}
	return n, err
}

// count is the number behind a name in a server's INFO, 0 if it is not there.
func count(info, name string) (n int64) {
	_, rest, _ := strings.Cut(info, name)
	fmt.Sscanf(rest, "%d", &n)
	return n
}

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// stage is the parts on which rows of one topology are played, one after the other: Redis, the provider, replicas, and people who are signed in.
type stage struct {
	*rig.Rig
	options
	topology   topology
	store      *store
	toStore    []*rig.Proxy // in front of Redis, one for each replica, in their order; standalone alone has them
	upstream   string       // where those lead to
	toProvider *rig.Proxy   // in front of the provider, for all replicas
	people     []*visitor
	// providerName, unless empty, is the host by which replicas know the provider.
	providerName string
	network      *network // of the first replica, if it has one of its own
	pulse        rig.Pulse
	pause        time.Duration // more calm before each fault
	own          special
	say          func(format string, args ...any)
}

// special is what a row needs that others cannot use: its stage is its own.
type special struct {
	redis    []string                            // arguments of redis-server, standalone alone
	settings []string                            // environment of all replicas
	before   func(context.Context, *stage) error // before the provider and replicas start: what Redis needs, s.StoreURL, s.upstream, s.providerName, s.ProviderTLS, s.Settings, s.network
	// passwordFile, unless empty, is what the file of replicas' store.password holds in the beginning.
	passwordFile string
	nginx        bool // in front of the replicas, at s.URL; the load goes through it
	// shifted says that s.shifted is built: the program with a clock that can be wrong (package shifted), for s.Restart. That alone needs no stage of its own.
	shifted bool
	spoils  bool // nothing of that; but the row leaves the parts in no state for others
}

func (s special) any() bool {
	return s.spoils || s.nginx || s.passwordFile != "" || s.before != nil || len(s.redis) > 0 || len(s.settings) > 0
}

// raise starts the parts and signs everybody in. The stage is to be struck, also after an error.
func (s *stage) raise(ctx context.Context) (err error) {
	own := s.own
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return fmt.Errorf("a folder of its own: %w", err)
	}
	if err := s.Prepare(); err != nil {
		return err
	}
	if err := s.StartRedis(ctx); err != nil { // of nobody else: it tells how busy the machine is
		return err
	}
	s.feelPulse(ctx)
	if s.store, err = startStore(s.topology, own.redis...); err != nil {
		return err
	}
	s.OnStop(func() error { s.store.tb.End(); return nil })
	s.StoreURL, s.upstream = s.store.url, s.store.servers[0].Addr
	if own.before != nil {
		if err := rig.Try(func() error { return own.before(ctx, s) }); err != nil {
			return err
		}
	}
	s.Front = func(address string) (string, error) {
		if s.toProvider, err = s.startProxy("the provider", s.network.host(site)+":0", address); err != nil {
			return "", err
		}
		host, port, err := net.SplitHostPort(s.toProvider.Address())
		return net.JoinHostPort(cmp.Or(s.providerName, host), port), err
	}
	names := make([]string, s.sessions)
	for i := range names {
		names[i] = fmt.Sprintf("person-%05d", i)
		s.people = append(s.people, &visitor{Person: rig.Person{Rig: s.Rig, Name: names[i]}})
	}
	if err := s.StartProvider(names); err != nil {
		return err
	}
	if s.topology == standalone {
		for i := range s.replicas {
			at := loopback
			if i == 0 {
				at = s.network.host(redisLink)
			}
			p, err := s.startProxy(fmt.Sprintf("Redis for replica-%d", i+1), at+":0", s.upstream)
			if err != nil {
				return err
			}
			s.toStore = append(s.toStore, p)
		}
	}
	s.Settings = append(slices.Clone(own.settings), s.Settings...)
	if own.passwordFile != "" {
		if err := os.WriteFile(s.passwordFile(), []byte(own.passwordFile+"\n"), 0o600); err != nil {
			return err
		}
		s.Settings = append(s.Settings, "AUTHSVC_STORE_PASSWORD_FILE="+s.passwordFile())
	}
	if err := s.StartReplicas(ctx, s.replicas, s.throughProxy); err != nil {
		return err
	}
	if own.nginx {
		if err := s.StartSite(ctx); err != nil {
			return err
		}
	}
	if err := s.signInAll(ctx); err != nil {
		return err
	}
	// Every replica has everybody in its cache, so that its memory is what it will be.
	for range s.Replicas {
		if err := s.sweep(ctx, &history.History{}); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) startProxy(name, listen, upstream string) (*rig.Proxy, error) {
	p, err := rig.StartProxy(name, listen, upstream)
	if err == nil {
		s.OnStop(func() error { p.Down(); return nil })
	}
	return p, err
}

// throughProxy is the environment of the i-th replica: it finds Redis behind its own proxy, with what else the URL says.
func (s *stage) throughProxy(i int) []string {
	if s.topology != standalone {
		return nil
	}
	u, err := url.Parse(s.StoreURL)
	if err != nil {
		return nil // as in StoreURL, which then is the replica's
	}
	u.Host = s.toStore[i].Address()
	environment := []string{"AUTHSVC_STORE_URL=" + u.String()}
	if i == 0 && s.network != nil {
		environment = append(environment, "NETWORK="+s.network.name)
	}
	return environment
}

// feelPulse begins to watch how busy the machine is.
func (s *stage) feelPulse(ctx context.Context) {
	s.pulse.Limit = busyPing
	ctx, rest := context.WithCancel(ctx)
	var feeling sync.WaitGroup
	feeling.Go(func() { s.pulse.Feel(ctx, s.Redis) })
	s.OnStop(func() error {
		rest()
		feeling.Wait()
		return nil
	})
}

// passwordFile is where replicas read Redis' password, when a row has one.
func (s *stage) passwordFile() string { return filepath.Join(s.Dir, "redis-password") }

// strike stops all parts. It is an error that the race detector has found something.
func (s *stage) strike() error {
	err := s.Stop()
	for _, one := range s.Replicas {
		text, unread := os.ReadFile(one.Log)
		if err = errors.Join(err, unread); bytes.Contains(text, []byte("DATA RACE")) {
			err = errors.Join(err, fmt.Errorf("the race detector has found something: %s", one.Log))
		}
	}
	return err
}

// signInAll signs in whoever is not.
func (s *stage) signInAll(ctx context.Context) error {
	start, n := time.Now(), 0
	waiting := make(chan *visitor, len(s.people))
	for _, v := range s.people {
		if _, in := v.shown(); !in {
			waiting <- v
			n++
		}
	}
	close(waiting)
	var all sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		all.Go(func() {
			for v := range waiting {
				if ctx.Err() == nil && errs[i] == nil {
					errs[i] = s.retried(ctx, v)
				}
			}
		})
	}
	all.Wait()
	if n > s.sessions/10 {
		s.say("%d people signed in, within %.1f s", n, time.Since(start).Seconds())
	}
	return errors.Join(append(errs, ctx.Err())...)
}

// retried signs somebody in, who presses the button again when it fails: the machine may be busy.
func (s *stage) retried(ctx context.Context, v *visitor) (err error) {
	for range 30 {
		var a rig.Answer
		if a, err = v.signIn(ctx, s.replica(), s.replica(), nil); err == nil && v.session == "" {
			err = fmt.Errorf("%s signs in: %d %q", v.Name, a.Status, a.Title())
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		rig.Pass(ctx, time.Now().Add(100*time.Millisecond))
	}
	return err
}

// settle brings the stage back to where a row may begin: all replicas as at first, everybody signed in.
func (s *stage) settle(ctx context.Context) error {
	for _, p := range append(slices.Clone(s.toStore), s.toProvider) {
		p.Heal()
	}
	s.Provider.BeHonest()
	s.Provider.Honest()
	err := rig.Try(func() error {
		s.store.settle()
		return nil
	})
	if err != nil {
		return err
	}
	for _, one := range s.Replicas {
		if err := one.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return s.signInAll(ctx)
}

// folder is a new folder's path.
func folder(dir string, t topology, number, try int) string {
	return filepath.Join(dir, fmt.Sprintf("%s-%d-%d", t, number, try))
}

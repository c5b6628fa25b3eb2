package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"authsvc/authsvc"
	"authsvc/e2e/rig"
	"authsvc/session"
	"authsvc/session/redisstore"
)

// deployment is a Redis with what uses it: a provider, replicas, and handlers to compare them with.
type deployment struct {
	*rig.Rig
	upstream string // host and port at which replicas and handlers find Redis
	store    *redisstore.Store
	sessions *session.Manager // of the replicas, for what no login could do in time
	say      func(format string, args ...any)
}

// raise starts Redis and a provider with so many people; replicas have the settings. front is as in rig.Rig. It is stopped with the bench, whatever comes
// of it.
func (b *bench) raise(ctx context.Context, name string, people int, front func(string) (string, error), settings ...string) (*deployment, error) {
	d, err := b.raiseOn(ctx, (*rig.Rig).StartRedis, name, people, front, settings...)
	if err != nil {
		return nil, err
	}
	return d, d.slowDown(b.latency)
}

// raiseOn is raise with what starts Redis, at which nothing is slowed down.
func (b *bench) raiseOn(ctx context.Context, startStore func(*rig.Rig, context.Context) error, name string, people int, front func(string) (string, error),
	settings ...string) (*deployment, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return nil, err
	}
	d := &deployment{Rig: &rig.Rig{Program: b.program, Dir: dir, RedisPort: true, Front: front}, say: b.say}
	b.onStop(d.Stop)
	if err := d.Prepare(); err != nil {
		return nil, err
	}
	if err := startStore(d.Rig, ctx); err != nil {
		return nil, err
	}
	names := make([]string, people)
	for i := range names {
		names[i] = personName(i)
	}
	if err := d.StartProvider(names); err != nil {
		return nil, err
	}
	likeBaseline(d.Provider, true)
	return d, d.openStore(ctx, settings)
}

func personName(i int) string { return fmt.Sprintf("person-%06d", i) }

// openStore makes what stores sessions as replicas do: with their key, which Settings then tell them.
func (d *deployment) openStore(ctx context.Context, settings []string) (err error) {
	key := make([]byte, session.MasterKeySize)
	rand.Read(key)
	config := authsvc.DefaultConfig()
	config.PublicURL, config.Session.IdleTimeout = d.URL, 2*time.Hour // as the rig's replicas have it
	config.Cookie.Secret = []authsvc.Secret{authsvc.Secret(base64.StdEncoding.EncodeToString(key))}
	config.Complete()
	d.Settings = append([]string{"AUTHSVC_COOKIE_SECRET=" + config.Cookie.Secret[0].Reveal()}, settings...)
	if d.store, err = redisstore.Open(redisstore.Options{URL: d.StoreURL, Timeout: 10 * time.Second}); err != nil {
		return err
	}
	d.OnStop(d.store.Close)
	if err := d.store.ReadClock(ctx); err != nil {
		return err
	}
	managers, err := authsvc.NewManagers(config, d.store)
	if err != nil {
		return err
	}
	d.sessions = managers[0]
	return nil
}

// slowDown adds so much to each answer of Redis, for replicas and handlers alike.
func (d *deployment) slowDown(latency time.Duration) error {
	u, err := url.Parse(d.StoreURL)
	if err != nil {
		return err
	}
	if d.upstream = u.Host; latency == 0 {
		return nil
	}
	proxy, err := rig.StartProxy("Redis", "127.0.0.1:0", u.Host)
	if err != nil {
		return err
	}
	d.OnStop(func() error { proxy.Down(); return nil })
	if err := proxy.Hurt(rig.Answers, "latency", map[string]any{"latency": latency.Milliseconds()}); err != nil {
		return err
	}
	u.Host = proxy.Address()
	d.upstream = u.Host
	d.Settings = append(d.Settings, "AUTHSVC_STORE_URL="+u.String())
	return nil
}

// replica starts one more, with what is added to its environment.
func (d *deployment) replica(ctx context.Context, settings ...string) (*rig.Replica, error) {
	if err := d.StartReplicas(ctx, 1, func(int) []string { return settings }); err != nil {
		return nil, err
	}
	return d.Replicas[len(d.Replicas)-1], nil
}

// userAgent is what the most common browser calls itself.
const userAgent = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"

// loginTries is how often somebody tries who is told that nobody can tell now, as on a machine that is very busy. No row is about that.
const loginTries = 5

// login signs one person in, and returns the session as it is stored.
func (d *deployment) login(ctx context.Context, at *rig.Replica, i int) (cookie string, s session.Session, t session.Tokens, err error) {
	p := rig.Person{Rig: d.Rig, Name: personName(i), UserAgent: userAgent}
	for try := 1; p.Cookie == ""; try++ {
		a, err := p.SignInAt(ctx, at, at)
		if err == nil && p.Cookie == "" && (a.Status != http.StatusServiceUnavailable || try == loginTries) {
			err = fmt.Errorf("%s cannot sign in: %d %s", p.Name, a.Status, a.Title())
		}
		if err != nil {
			return "", s, t, err
		}
	}
	token, err := d.sessions.Keyring.ParseToken(session.PurposeSession, d.sessions.Site, p.Cookie)
	if err == nil {
		s, t, err = d.sessions.LoadWithTokens(ctx, token)
	}
	return cookieOf(token), s, t, err
}

func cookieOf(token session.Token) string { return rig.SessionCookie + "=" + token.Reveal() }

// fill stores n sessions like that one, of people of their own, and returns the cookies of some, evenly chosen: at most most. each, unless nil, changes the
// i-th before it is stored.
func (d *deployment) fill(ctx context.Context, n, most int, s session.Session, t session.Tokens, each func(i int, s *session.Session, t *session.Tokens)) ([]string, error) {
	return d.fillBy(ctx, n, most, func(i int) (session.Token, error) {
		one, tokens := s, t
		one.Subject = fmt.Sprintf("filled-%08d", i)
		if s.ProviderSession != "" {
			one.ProviderSession = uuid()
		}
		if each != nil {
			each(i, &one, &tokens)
		}
		token, _, err := d.sessions.Begin(ctx, one, tokens)
		return token, err
	})
}

// fillBy is fill with what stores the i-th.
func (d *deployment) fillBy(ctx context.Context, n, most int, store func(i int) (session.Token, error)) ([]string, error) {
	const writers = 32
	var next atomic.Int64
	var mu sync.Mutex
	var failed error
	cookies := make([]string, 0, min(n, most))
	var running sync.WaitGroup
	begun, told := time.Now(), time.Now()
	for range writers {
		running.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				token, err := store(i)
				mu.Lock()
				if err != nil {
					failed = errors.Join(failed, err)
					next.Store(int64(n))
				} else if i*most/n != (i+1)*most/n || most >= n {
					cookies = append(cookies, cookieOf(token))
				}
				if time.Since(told) > 10*time.Second {
					told = time.Now()
					d.say("%s of %s sessions are stored", thousands(i), thousands(n))
				}
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return nil, fmt.Errorf("storing %d sessions: %w", n, err)
	}
	if took := time.Since(begun); took > 10*time.Second {
		d.say("%s sessions are stored, %s a second", thousands(n), thousands(int(float64(n)/took.Seconds())))
	}
	return cookies, nil
}

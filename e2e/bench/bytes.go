package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"authsvc/e2e/rig"
	"authsvc/session"
)

// incumbentBytes is what the incumbent needs for a session in Redis, without any index.
const incumbentBytes = 3338

// countedLogins are enough that what Redis needs besides does not matter.
const countedLogins = 1500

// redisBytes measures what a session needs in Redis: by real logins, all that they leave there.
func (b *bench) redisBytes(ctx context.Context) error {
	for _, kind := range []struct {
		id          string
		refreshable bool // the provider gives refresh tokens
		per         float64
		settings    []string
		kept        func(t session.Tokens) bool // what the row is about
	}{
		{"bytes-default", true, incumbentBytes, nil, func(t session.Tokens) bool { return t.RefreshToken != "" && t.IDToken != "" }},
		// Both applications and userinfo need the access token, so that it is kept as well as those for renewal and logout.
		{"bytes-tokens", true, incumbentBytes, []string{`AUTHSVC_HEADERS={"X-Auth-Request-Access-Token":"@access_token"}`, "AUTHSVC_SESSION_USERINFO_INTERVAL=10m"},
			func(t session.Tokens) bool { return t.RefreshToken != "" && t.IDToken != "" && t.AccessToken != "" }},
		{"bytes-identity", false, 1, nil, func(t session.Tokens) bool { return t.RefreshToken+t.IDToken+t.AccessToken == "" }},
	} {
		d, err := b.raise(ctx, kind.id, countedLogins+100, nil, kind.settings...)
		if err != nil {
			return err
		}
		likeBaseline(d.Provider, kind.refreshable)
		if !kind.refreshable {
			// Nobody needs the ID token: it serves to end the session at the provider, and this one cannot.
			d.Provider.EditDiscovery(func(document map[string]any) { delete(document, "end_session_endpoint") })
		}
		bytes, tokens, err := d.bytesPerSession(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", kind.id, err)
		}
		r := b.fill(kind.id, newFigure(bytes/kind.per), "")
		r.note("%s bytes a session, of %s real logins; tokens kept: ID %d, access %d, refresh %d bytes", decimal(bytes), thousands(countedLogins),
			len(tokens.IDToken), len(tokens.AccessToken), len(tokens.RefreshToken))
		if !kind.kept(tokens) {
			r.fail("these are not the tokens that it should keep")
		}
		if err := d.Stop(); err != nil {
			return err
		}
	}
	return nil
}

// bytesPerSession signs people in and looks at what Redis holds more than before. The first logins pay for what there is once.
func (d *deployment) bytesPerSession(ctx context.Context) (bytes float64, t session.Tokens, err error) {
	one, err := d.replica(ctx)
	if err != nil {
		return 0, t, err
	}
	if err := d.loginAll(ctx, one, 0, 100); err != nil {
		return 0, t, err
	}
	before, sessionsBefore, err := d.dataset(ctx)
	if err != nil {
		return 0, t, err
	}
	if err := d.loginAll(ctx, one, 100, 100+countedLogins-1); err != nil {
		return 0, t, err
	}
	if _, _, t, err = d.login(ctx, one, 100+countedLogins-1); err != nil {
		return 0, t, err
	}
	after, sessions, err := d.dataset(ctx)
	if err != nil {
		return 0, t, err
	}
	return (after - before) / float64(sessions-sessionsBefore), t, nil
}

// loginAll signs these people in, a few at once.
func (d *deployment) loginAll(ctx context.Context, at *rig.Replica, from, to int) error {
	const browsers = 8
	people := make(chan int)
	errs := make(chan error, browsers)
	var signing sync.WaitGroup
	for range browsers {
		signing.Go(func() {
			for i := range people {
				if _, _, _, err := d.login(ctx, at, i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	var err error
	for i := from; i < to && err == nil; i++ {
		select {
		case people <- i:
		case err = <-errs:
		}
	}
	close(people)
	signing.Wait()
	close(errs)
	for late := range errs {
		err = late
	}
	return err
}

// brief is how long the longest of what a login leaves for a moment lives: which state was redeemed, and by whom.
const brief = 11 * time.Minute

// dataset is what Redis holds in bytes, and how many sessions: without its buffers for connections, and without what a login leaves for a moment.
func (d *deployment) dataset(ctx context.Context) (bytes float64, sessions int, err error) {
	keys := d.Redis.Scan(ctx, 0, "authsvc:*", 1000).Iterator()
	for keys.Next(ctx) {
		key := keys.Val()
		if strings.HasPrefix(key, "authsvc:replica:") || strings.HasPrefix(key, "authsvc:count:") {
			continue // of the replicas, and of all sessions together
		}
		life, err := d.Redis.PTTL(ctx, key).Result()
		if err != nil {
			return 0, 0, err
		}
		if life > 0 && life < brief {
			if err := d.Redis.Del(ctx, key).Err(); err != nil {
				return 0, 0, err
			}
		}
	}
	if err := keys.Err(); err != nil {
		return 0, 0, err
	}
	used, err := d.info(ctx, "memory", "used_memory")
	if err != nil {
		return 0, 0, err
	}
	connections, err := d.info(ctx, "memory", "mem_clients_normal")
	if err != nil {
		return 0, 0, err
	}
	sessions, err = d.Records(ctx)
	return used - connections, sessions, err
}

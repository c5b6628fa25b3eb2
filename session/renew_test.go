package session_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// Whatever the number of replicas and requests, and however slow the provider: one grant per session and token lifetime, and nobody
// waits while the old token is valid.
func TestOneGrant(t *testing.T) {
	for _, replicas := range []int{1, 3} {
		for _, delay := range []time.Duration{0, time.Second, 8 * time.Second, 15 * time.Second} {
			for _, at := range []time.Duration{untilDue, untilExpired} {
				t.Run(fmt.Sprintf("%d replicas, provider %v, after %v", replicas, delay, at), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) { oneGrant(t, replicas, delay, at) })
				})
			}
		}
	}
}

func oneGrant(t *testing.T, replicas int, delay, at time.Duration) {
	c := newCluster(t, replicas)
	c.provider.delay = delay
	token := c.begin("jane")
	c.pass(c.burst(1, token), 0, "access/jane/0")
	c.provider.saw(t, 0, 0)
	for life := range 2 {
		former, renewed := fmt.Sprintf("access/jane/%d", life), fmt.Sprintf("access/jane/%d", life+1)
		time.Sleep(at)
		synctest.Wait()
		switch {
		case at == untilDue && delay == 0:
			// Who comes when the answer is there already has the new token.
			for _, v := range c.burst(25, token) {
				if v.err != nil || v.took != 0 || v.access != former && v.access != renewed {
					t.Fatalf("%q, %v after %v", v.access, v.err, v.took)
				}
			}
		case at == untilDue:
			c.pass(c.burst(25, token), 0, former)
		case delay < wait:
			c.pass(c.burst(25, token), wait, renewed)
		default:
			c.pass(c.burst(25, token), wait, "")
		}
		for range 20 * replicas { // so long that a lease would have ended three times
			time.Sleep(time.Second / time.Duration(replicas))
			for _, v := range c.burst(1, token) {
				if v.err != nil || v.took > wait || at == untilDue && v.took != 0 {
					t.Fatalf("%v after %v", v.err, v.took)
				}
			}
		}
		c.pass(c.burst(1, token), 0, renewed)
		c.provider.saw(t, life+1, 0)
		if s, _ := c.stored(token); s.Version != uint64(life+2) {
			t.Errorf("version %d after %d refreshes", s.Version, life+1)
		}
		c.idle()
	}
}

// Many sessions that fall due together are renewed once each.
func TestOneGrantEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 4)
		c.provider.delay = time.Second
		var tokens []session.Token
		for n := range 100 {
			tokens = append(tokens, c.begin(fmt.Sprint("user-", n)))
		}
		time.Sleep(untilExpired)
		var group sync.WaitGroup
		for n, token := range tokens {
			group.Go(func() { c.pass(c.burst(5, token), wait, fmt.Sprintf("access/user-%d/1", n)) })
		}
		group.Wait()
		c.provider.saw(t, 100, 0)
	})
}

// A replica that finds the session leased takes the other's result, and its claims.
func TestResultOfAnotherReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.provider.delay = time.Second
		refresh := c.replicas[0].Refresh
		c.replicas[0].Refresh = func(ctx context.Context, s session.Session, t session.Tokens) (session.Session, session.Tokens, error) {
			s.Claims = map[string]any{"email": "new@example.com"}
			return refresh(ctx, s, t)
		}
		token := c.begin("jane")
		time.Sleep(untilExpired)
		go c.ask(t.Context(), c.replicas[0], token)
		synctest.Wait()
		v := c.ask(t.Context(), c.replicas[1], token)
		c.pass([]verdict{v}, wait, "access/jane/1")
		if v.session.Claims["email"] != "new@example.com" || v.session.Version != 2 {
			t.Errorf("the other replica's session is %+v", v.session)
		}
		c.reported(c.replicas, session.RefreshOK, session.RefreshShared)
	})
}

// Somebody who hangs up stops waiting; the renewal goes on.
func TestCallerHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.provider.delay = 1500 * time.Millisecond
		token := c.begin("jane")
		time.Sleep(untilExpired)
		ctx, hangUp := context.WithTimeout(t.Context(), time.Second)
		defer hangUp()
		c.pass([]verdict{c.ask(ctx, c.replicas[0], token)}, time.Second, "")
		c.pass(c.burst(1, token), wait, "access/jane/1")
		c.provider.saw(t, 1, 0)
	})
}

// Limit bounds the flights under way; those beyond pass on what they have and are renewed later. A flight that is parked after a
// failure keeps nobody else from flying.
func TestLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		r := c.replicas[0]
		r.Limit = 2
		c.provider.delay = time.Second
		first, second, third := c.begin("first"), c.begin("second"), c.begin("third")
		time.Sleep(untilExpired)
		var group sync.WaitGroup
		for _, token := range []session.Token{first, second} {
			group.Go(func() { c.burst(3, token) })
		}
		synctest.Wait()
		c.pass(c.burst(3, third), 0, "")
		if n := r.Flights(); n != 2 {
			t.Errorf("%d flights", n)
		}
		group.Wait()
		c.idle() // those who waited are served before their flight has left its lease
		c.pass(c.burst(3, third), wait, "access/third/1")
		c.provider.saw(t, 3, 0)

		r.Limit = 1
		c.provider.set(func(p *strictProvider) { p.delay, p.fail = 0, errUnavailable })
		time.Sleep(untilExpired)
		c.burst(3, first)
		c.idle()
		c.burst(3, second)
		if n := c.provider.tries(); n != 3+2 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

func TestDue(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := session.Renewer{Manager: &session.Manager{Now: func() time.Time { return now }}, Before: time.Minute}
	type row struct {
		name  string
		life  time.Duration
		left  time.Duration
		first byte // of the ID
		due   bool
	}
	rows := []row{
		{"long before", 5 * time.Minute, 61 * time.Second, 0, false},
		{"the first", 5 * time.Minute, 60 * time.Second, 0, true},
		{"the last, too early", 5 * time.Minute, 60 * time.Second, 255, false},
		{"the last", 5 * time.Minute, 54 * time.Second, 255, true},
		{"expired", 5 * time.Minute, -time.Hour, 255, true},
		{"a short life is renewed at its half", time.Minute, 31 * time.Second, 0, false},
		{"at half of a short life", time.Minute, 30 * time.Second, 0, true},
		{"no life at all", 0, time.Second, 0, false},
		{"no life at all, expired", 0, 0, 0, true},
	}
	for _, row := range rows {
		s := session.Session{ID: session.ID{row.first}, Refreshable: true, AccessLife: row.life, AccessExpires: now.Add(row.left)}
		if r.Due(s) != row.due {
			t.Errorf("%s: due %v", row.name, !row.due)
		}
		s.Refreshable = false
		if r.Due(s) {
			t.Errorf("%s: due without a refresh token", row.name)
		}
		s.Refreshable, s.AccessExpires = true, time.Time{}
		if r.Due(s) {
			t.Errorf("%s: due though the token's life is unknown", row.name)
		}
	}
}

// Sessions that began together do not fall due together.
func TestDueIsSpread(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	r := session.Renewer{Manager: &session.Manager{Now: func() time.Time { return now }}, Before: time.Minute}
	expires := now.Add(time.Minute)
	for second, want := range []int{1, 43, 86, 129, 171, 214, 256} {
		due := 0
		now = expires.Add(time.Duration(second)*time.Second - time.Minute)
		for first := range 256 {
			if r.Due(session.Session{ID: session.ID{byte(first)}, Refreshable: true, AccessLife: 5 * time.Minute, AccessExpires: expires}) {
				due++
			}
		}
		if due != want {
			t.Errorf("after %d s %d of 256 are due, want %d", second, due, want)
		}
	}
}

// What is not due or cannot be renewed is given back as it is, and the provider is not asked.
func TestNothingToRenew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		tokens := map[string]session.Tokens{
			"no refresh token": {AccessToken: "a", Expiry: time.Now().Add(tokenLife)},
			"no known life":    {AccessToken: "a", RefreshToken: "jane/0"},
			"no tokens":        {},
		}
		for name, given := range tokens {
			token, _, err := c.manager.Begin(t.Context(), jane, given)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(untilExpired)
			s, stored := c.stored(token)
			got, gotTokens, err := c.replicas[0].Renew(t.Context(), token, s, stored, wait)
			if err != nil || got.Version != 1 || gotTokens != stored {
				t.Errorf("%s: version %d, %v", name, got.Version, err)
			}
		}
		if n := c.provider.tries(); n != 0 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// A store that cannot say who holds the lease is no reason to ask the provider, nor to refuse anybody.
func TestNoLeaseNoGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		token := c.begin("jane")
		time.Sleep(untilExpired)
		for _, r := range c.replicas {
			r.link.cut("claim")
		}
		for range 10 {
			c.pass(c.burst(2, token), 0, "")
			time.Sleep(100 * time.Millisecond)
		}
		c.provider.saw(t, 0, 0)
		c.reported(c.replicas, session.RefreshFailed, session.RefreshFailed)
		for _, r := range c.replicas {
			r.link.mend()
		}
		time.Sleep(time.Second)
		c.pass(c.burst(2, token), wait, "access/jane/1")
		c.provider.saw(t, 1, 0)
	})
}

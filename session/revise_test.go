package session_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// reviser is a provider that is asked for claims.
type reviser struct {
	asked atomic.Int64
	delay time.Duration
	// claims are what it tells; nil leaves them as they are.
	claims atomic.Pointer[map[string]any]
}

func (v *reviser) revise(ctx context.Context, s session.Session, t session.Tokens) map[string]any {
	v.asked.Add(1)
	select {
	case <-time.After(v.delay):
	case <-ctx.Done():
		return s.Claims
	}
	if claims := v.claims.Load(); claims != nil {
		return *claims
	}
	return s.Claims
}

func newRevisingCluster(t *testing.T, replicas int, interval time.Duration) (*cluster, *reviser) {
	c, v := newCluster(t, replicas), new(reviser)
	for _, r := range c.replicas {
		r.Revise, r.Interval = v.revise, interval
	}
	return c, v
}

// TestReviseOnce: however many requests and replicas, the provider is asked for a session's claims once per interval, nobody waits, and the refresh is
// as it would have been.
func TestReviseOnce(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second, 8 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const interval = 30 * time.Second
				c, v := newRevisingCluster(t, 3, interval)
				v.delay = delay
				token := c.begin("jane")
				before, _ := c.stored(token)
				began := time.Now()
				for time.Since(began) < tokenLife*4/5-time.Minute {
					c.pass(c.burst(4, token), 0, "access/jane/0")
					time.Sleep(time.Second)
				}
				synctest.Wait()
				if most, got := int64(time.Since(began)/interval), v.asked.Load(); got > most || got < most-2 {
					t.Errorf("asked %d times in %v", got, time.Since(began))
				}
				if s, _ := c.stored(token); s.AccessLife != before.AccessLife || !s.AccessExpires.Equal(before.AccessExpires) || s.Version != uint64(1+v.asked.Load()) {
					t.Errorf("the token's life was %v and is %v; version %d", before.AccessLife, s.AccessLife, s.Version)
				}
				c.reported(c.replicas) // nothing: asking for claims is no refresh
				time.Sleep(2 * time.Minute)
				c.burst(4, token)
				time.Sleep(time.Second)
				synctest.Wait()
				c.pass(c.burst(4, token), wait, "access/jane/1")
				c.provider.saw(t, 1, 0)
				c.idle()
				for _, r := range c.replicas {
					for _, result := range r.results { // as often as somebody looked for it with what was old by then
						if result != session.RefreshOK && result != session.RefreshShared {
							t.Errorf("reported: %v", r.results)
						}
					}
				}
			})
		})
	}
}

// TestReviseChangesClaims, and counts as use of the session like any write.
func TestReviseChangesClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v := newRevisingCluster(t, 2, 30*time.Second)
		token := c.begin("jane")
		v.claims.Store(&map[string]any{"groups": []any{"guests"}})
		time.Sleep(34 * time.Second)
		c.pass(c.burst(1, token), 0, "access/jane/0")
		synctest.Wait()
		if s, tokens := c.stored(token); s.Version != 3 || len(s.Claims) != 1 || tokens.RefreshToken == "" {
			t.Errorf("version %d, claims %v", s.Version, s.Claims)
		}
		c.burst(5, token)
		synctest.Wait()
		if n := v.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestReviseOfTheEnded brings nobody back.
func TestReviseOfTheEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v := newRevisingCluster(t, 2, 30*time.Second)
		v.delay = 5 * time.Second
		v.claims.Store(&map[string]any{"groups": []any{"guests"}})
		token := c.begin("jane")
		time.Sleep(34 * time.Second)
		c.burst(1, token)
		time.Sleep(time.Second)
		if err := c.manager.End(t.Context(), token.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		c.gone(token)
		c.idle()
	})
}

// TestReviseWithoutTokens has nothing to ask with once the token has expired, and nothing to wait for.
func TestReviseWithoutTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, v := newRevisingCluster(t, 1, 30*time.Second)
		token, _, err := c.manager.Begin(t.Context(), jane, session.Tokens{AccessToken: "a", Expiry: time.Now().Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		for range 30 {
			time.Sleep(5 * time.Second)
			for _, verdict := range c.burst(1, token) {
				if verdict.err != nil || verdict.took != 0 {
					t.Fatalf("%v after %v", verdict.err, verdict.took)
				}
			}
			synctest.Wait()
		}
		if n := v.asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

// TestRefreshBesideRevise: a replica that comes back after its lease has ended writes claims between another's request to the provider and its answer. The new
// tokens must not be lost for that: the old ones are spent.
func TestRefreshBesideRevise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		token := c.begin("jane")
		r := c.replicas[0]
		stopped := make(chan struct{})
		r.late = stopped // the answer is on its way
		time.Sleep(untilDue)
		c.burst(1, token)
		synctest.Wait()
		s, tokens := c.stored(token)
		s.Claims, s.ClaimsAsked = map[string]any{"groups": []any{"guests"}}, time.Now()
		if _, err := c.manager.Rotate(t.Context(), token, s, tokens); err != nil {
			t.Fatal(err)
		}
		close(stopped)
		time.Sleep(time.Second)
		synctest.Wait()
		if s, tokens := c.stored(token); tokens.AccessToken != "access/jane/1" || s.Version != 3 {
			t.Errorf("the tokens of the refresh are lost: %q, version %d", tokens, s.Version)
		}
		c.reported(c.replicas, session.RefreshOK)
		c.provider.saw(t, 1, 0)
	})
}

package session_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// While the provider fails the session passes on its claims; over all replicas there is one try per pause, and nobody waits between.
func TestTemporaryFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.provider.fail = errUnavailable
		token := c.begin("jane")
		time.Sleep(untilDue)
		c.pass(c.burst(10, token), 0, "access/jane/0")
		synctest.Wait()
		if n := c.provider.tries(); n != 1 {
			t.Fatalf("%d tries", n)
		}
		time.Sleep(untilExpired - untilDue)
		waited := 0
		for began := time.Now(); time.Since(began) < 25*time.Second; time.Sleep(50 * time.Millisecond) { // three pauses of 10 to 11 s begin
			verdicts := c.burst(2, token)
			c.pass(verdicts, wait, "")
			if slices.ContainsFunc(verdicts, func(v verdict) bool { return v.took > 0 }) {
				waited++
			}
		}
		if waited > 3 {
			t.Errorf("requests waited %d times, though there were only 3 tries", waited)
		}
		if n := c.provider.tries(); n != 1+3 {
			t.Errorf("in 25 s the provider was asked %d times", n-1)
		}
		c.provider.set(func(p *strictProvider) { p.fail = nil })
		time.Sleep(pause)
		c.pass(c.burst(2, token), wait, "access/jane/1")
		c.provider.saw(t, 1, 0)
		c.idle()
	})
}

// A provider that never answers costs each request its wait during the try, and nothing during the pause.
func TestProviderHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.provider.set(func(p *strictProvider) { p.fail, p.delay = errUnavailable, time.Hour })
		token := c.begin("jane")
		time.Sleep(untilExpired)
		const timeout = 20 * time.Second // the default
		for began := time.Now(); time.Since(began) < timeout-wait; {
			c.pass(c.burst(10, token), wait, "")
		}
		time.Sleep(2 * wait)
		for range 5 {
			c.pass(c.burst(10, token), 0, "")
			time.Sleep(time.Second)
		}
		if n := c.provider.tries(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
		c.idle()
	})
}

// A final answer ends the session everywhere.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		token, other := c.begin("jane"), c.begin("other")
		c.provider.families["jane"].revoked = true
		time.Sleep(untilDue)
		for _, v := range c.burst(5, token) { // nobody waits, also for bad news
			if v.took != 0 || v.err == nil && v.access != "access/jane/0" || v.err != nil && !errors.Is(v.err, session.ErrNotFound) {
				t.Errorf("access token %q, error %v after %v", v.access, v.err, v.took)
			}
		}
		synctest.Wait()
		for _, v := range c.burst(5, token) {
			if !errors.Is(v.err, session.ErrNotFound) {
				t.Errorf("access token %q, error %v", v.access, v.err)
			}
		}
		c.gone(token)
		c.stored(other)
		if n := c.provider.tries(); n != 1 {
			t.Errorf("the provider was asked %d times", n)
		}
	})
}

// Those who wait for the provider's answer are told that it was final.
func TestRefusedWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.provider.delay = time.Second
		token := c.begin("jane")
		c.provider.families["jane"].revoked = true
		time.Sleep(untilExpired)
		for _, v := range c.burst(5, token) {
			if !errors.Is(v.err, session.ErrNotFound) || v.took > wait || v.session.Subject != "" {
				t.Errorf("session of %q, error %v after %v", v.session.Subject, v.err, v.took)
			}
		}
		c.gone(token)
		c.reported(c.replicas, session.RefreshRevoked, session.RefreshShared, session.RefreshShared)
	})
}

// A refusal ends nothing when another replica has renewed the session, signed it out, or nobody can tell.
func TestRefusedButNotOver(t *testing.T) {
	tests := map[string]struct {
		meanwhile func(*cluster, session.Token)
		result    string
		access    string
		gone      bool
	}{
		"a sibling has rotated": {
			meanwhile: func(c *cluster, token session.Token) {
				s, _ := c.stored(token)
				if _, err := c.manager.Rotate(c.t.Context(), token, s, tokensOf("jane", 7)); err != nil {
					c.t.Error(err)
				}
			},
			result: session.RefreshShared, access: "access/jane/7",
		},
		"the store cannot tell": {
			meanwhile: func(c *cluster, _ session.Token) { c.replicas[0].link.cut("load") },
			result:    session.RefreshFailed,
		},
		"the store cannot end it": {
			meanwhile: func(c *cluster, _ session.Token) { c.replicas[0].link.cut("delete") },
			result:    session.RefreshFailed,
		},
		"signed out": {
			meanwhile: func(c *cluster, token session.Token) {
				if err := c.manager.End(c.t.Context(), token.ID()); err != nil {
					c.t.Error(err)
				}
			},
			result: session.RefreshShared, gone: true,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1)
				token := c.begin("jane")
				c.replicas[0].Refresh = func(_ context.Context, s session.Session, tokens session.Tokens) (session.Session, session.Tokens, error) {
					test.meanwhile(c, token)
					return s, tokens, session.ErrRefused
				}
				time.Sleep(untilExpired)
				v := c.ask(t.Context(), c.replicas[0], token)
				c.reported(c.replicas, test.result)
				if test.gone {
					if !errors.Is(v.err, session.ErrNotFound) {
						t.Errorf("error %v", v.err)
					}
					c.gone(token)
					return
				}
				c.pass([]verdict{v}, 0, test.access)
				c.stored(token)
			})
		})
	}
}

// The store fails when new tokens are to be saved: this replica serves them from memory, and tries on.
func TestSaveFails(t *testing.T) {
	tests := map[string]struct {
		meanwhile func(*cluster, session.Token) // before the store answers again
		version   uint64                        // 0: the session is gone
		access    string
		result    string
	}{
		"until it is saved": {
			meanwhile: func(*cluster, session.Token) {},
			version:   2, access: "access/jane/1", result: session.RefreshOK,
		},
		"until somebody else has written": {
			meanwhile: func(c *cluster, token session.Token) {
				s, _ := c.stored(token)
				if _, err := c.manager.Rotate(c.t.Context(), token, s, tokensOf("jane", 7)); err != nil {
					c.t.Fatal(err)
				}
			},
			version: 2, access: "access/jane/7", result: session.RefreshShared,
		},
		"until the session is gone": {
			meanwhile: func(c *cluster, token session.Token) {
				if err := c.manager.End(c.t.Context(), token.ID()); err != nil {
					c.t.Fatal(err)
				}
			},
			result: session.RefreshShared,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				holder, other := c.replicas[0], c.replicas[1]
				token := c.begin("jane")
				time.Sleep(untilExpired)
				holder.link.cut("swap")
				for range 100 {
					v := c.ask(t.Context(), holder, token)
					c.pass([]verdict{v}, 0, "access/jane/1")
					if v.session.Version != 2 || !v.session.AccessExpires.After(time.Now()) || holder.Due(v.session) {
						t.Fatalf("unsaved session: %+v", v.session)
					}
					c.pass([]verdict{c.ask(t.Context(), other, token)}, wait, "")
				}
				if s, _ := c.stored(token); s.Version != 1 {
					t.Fatalf("version %d", s.Version)
				}
				c.reported([]*replica{holder})
				test.meanwhile(c, token)
				holder.link.mend()
				time.Sleep(time.Second)
				if test.version == 0 {
					c.gone(token)
				} else {
					if s, _ := c.stored(token); s.Version != test.version {
						t.Errorf("version %d, want %d", s.Version, test.version)
					}
					c.pass(c.burst(5, token), 0, test.access)
				}
				c.reported([]*replica{holder}, test.result)
				c.provider.saw(t, 1, 0)
				c.idle()
			})
		})
	}
}

// A session whose new tokens can never be saved ends at its time, and the tries to save them too.
func TestSaveFailsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.manager.AbsoluteTimeout = 2 * tokenLife
		token := c.begin("jane")
		time.Sleep(untilExpired)
		c.replicas[0].link.cut("swap")
		c.pass(c.burst(1, token), 0, "access/jane/1")
		time.Sleep(2 * tokenLife)
		synctest.Wait()
		c.idle()
		c.reported(c.replicas, session.RefreshFailed)
		c.gone(token)
	})
}

// The store saves the new tokens and its answer is lost: they are saved, once.
func TestAnswerOfSaveIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		token := c.begin("jane")
		time.Sleep(untilExpired)
		c.replicas[0].link.lose("swap")
		c.pass(c.burst(5, token), 0, "access/jane/1")
		time.Sleep(time.Second)
		if s, _ := c.stored(token); s.Version != 2 {
			t.Errorf("version %d", s.Version)
		}
		c.pass(c.burst(5, token), 0, "access/jane/1")
		c.reported(c.replicas, session.RefreshOK)
		c.provider.saw(t, 1, 0)
	})
}

// Tokens or claims that are too large to be stored leave the session as it is.
func TestTooLargeToSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		refresh := c.replicas[0].Refresh
		c.replicas[0].Refresh = func(ctx context.Context, s session.Session, t session.Tokens) (session.Session, session.Tokens, error) {
			s, t, err := refresh(ctx, s, t)
			t.AccessToken = string(make([]byte, 1<<20))
			return s, t, err
		}
		token := c.begin("jane")
		time.Sleep(untilExpired)
		for range 9 {
			c.pass(c.burst(5, token), 0, "")
			time.Sleep(time.Second)
		}
		c.reported(c.replicas, session.RefreshFailed)
		c.provider.saw(t, 1, 0)
	})
}

// Somebody signs out while the provider works: those who wait are told, and nothing comes back.
func TestSignOutDuringFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.provider.delay = 1500 * time.Millisecond
		token := c.begin("jane")
		time.Sleep(untilExpired)
		time.AfterFunc(time.Second, func() {
			if err := c.manager.End(context.Background(), token.ID()); err != nil {
				t.Error(err)
			}
		})
		for _, v := range c.burst(5, token) {
			if !errors.Is(v.err, session.ErrNotFound) || v.access != "" || v.took > wait {
				t.Errorf("access token %q, error %v after %v", v.access, v.err, v.took)
			}
		}
		time.Sleep(time.Minute)
		c.gone(token)
		c.idle()
		c.provider.saw(t, 1, 0)
	})
}

package session_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

func leaseOf(token session.Token) session.SlotName {
	return session.SlotName{Kind: "lease", Hash: token.ID()}
}

// askUntil lets the replica's requests come ten times a second until one gets a valid access token or is told that the session has ended,
// and returns when that was.
func (c *cluster) askUntil(r *replica, token session.Token, limit time.Duration) (verdict, time.Duration) {
	c.t.Helper()
	for began := time.Now(); time.Since(began) < limit; time.Sleep(100 * time.Millisecond) {
		v := c.ask(c.t.Context(), r, token)
		if v.took > wait {
			c.t.Fatalf("a request waited %v", v.took)
		}
		if v.err != nil || v.access != "" {
			return v, time.Since(began)
		}
	}
	c.t.Fatalf("after %v there is neither a token nor an end", limit)
	return verdict{}, 0
}

// A lease that is kept while the provider works is given back with the result; it never stays for ever.
func TestLeaseIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.provider.delay = 15 * time.Second
		token := c.begin("jane")
		time.Sleep(untilExpired)
		c.burst(1, token)
		if _, err := c.store.ReadSlot(t.Context(), leaseOf(token)); err != nil {
			t.Errorf("while the provider works there is no lease: %v", err)
		}
		time.Sleep(15 * time.Second)
		if _, err := c.store.ReadSlot(t.Context(), leaseOf(token)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("the lease has not been given back: %v", err)
		}
	})
}

// What happens to the lease while a slow provider works brings no second grant.
func TestLeaseSurvives(t *testing.T) {
	for name, mishap := range map[string]func(*cluster, session.Token){
		"the store is gone for a second": func(c *cluster, _ session.Token) {
			c.replicas[0].link.cut(everyOperation...)
			time.Sleep(time.Second)
			c.replicas[0].link.mend()
		},
		"the answer of a renewal is lost": func(c *cluster, _ session.Token) { c.replicas[0].link.lose("replace") },
		"a failover has forgotten it": func(c *cluster, token session.Token) {
			held, err := c.store.ReadSlot(c.t.Context(), leaseOf(token))
			if err != nil {
				c.t.Fatal(err)
			}
			if _, err := c.store.Replace(c.t.Context(), leaseOf(token), held, nil, 0); err != nil {
				c.t.Fatal(err)
			}
			time.Sleep(lease/3 + time.Millisecond) // until it is renewed
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.provider.delay = 15 * time.Second
				token := c.begin("jane")
				time.Sleep(untilExpired)
				c.pass([]verdict{c.ask(t.Context(), c.replicas[0], token)}, wait, "")
				mishap(c, token)
				v, _ := c.askUntil(c.replicas[1], token, time.Minute)
				c.pass([]verdict{v}, wait, "access/jane/1")
				c.provider.saw(t, 1, 0)
			})
		})
	}
}

// A lease that another release wrote, or garbage in its place, stops renewals until it is gone, and nobody's request.
func TestUnreadableLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		token := c.begin("jane")
		time.Sleep(untilExpired)
		if _, _, err := c.store.Claim(t.Context(), leaseOf(token), []byte("garbage"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
		c.pass(c.burst(5, token), 0, "")
		v, _ := c.askUntil(c.replicas[1], token, 10*time.Second)
		c.pass([]verdict{v}, wait, "access/jane/1")
		c.provider.saw(t, 1, 0)
	})
}

// A replica dies before the provider has seen its request: another one takes over when the lease is over.
func TestHolderVanishes(t *testing.T) {
	for _, at := range []time.Duration{untilDue, untilExpired} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			dead, other := c.replicas[0], c.replicas[1]
			token := c.begin("jane")
			time.Sleep(at)
			thaw := c.freezeIn(dead, &dead.early, token)
			if at == untilExpired {
				v, after := c.askUntil(other, token, time.Minute)
				c.pass([]verdict{v}, wait, "access/jane/1")
				if after > lease+wait {
					t.Errorf("the lease of the dead replica held for %v", after)
				}
			} else {
				for range 100 { // while the old token is valid nobody waits for the takeover either
					if v := c.ask(t.Context(), other, token); v.err != nil || v.took != 0 || v.access == "" {
						t.Fatalf("%v after %v", v.err, v.took)
					}
					time.Sleep(100 * time.Millisecond)
				}
				c.pass([]verdict{c.ask(t.Context(), other, token)}, 0, "access/jane/1")
			}
			c.provider.saw(t, 1, 0)

			// Should it be alive after all, its request comes with a token that is spent; ours is untouched by that.
			c.provider.set(func(p *strictProvider) { p.fail = session.ErrRefused })
			thaw()
			time.Sleep(time.Minute)
			if s, _ := c.stored(token); s.Version != 2 {
				t.Errorf("version %d", s.Version)
			}
			c.idle()
		})
	}
}

// A replica dies with the provider's answer: the token that it leaves is spent. The session ends, but not before the dead replica had one more
// lease to write what it has.
func TestAnswerDiesWithTheHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		dead, other := c.replicas[0], c.replicas[1]
		token := c.begin("jane")
		time.Sleep(untilExpired)
		thaw := c.freezeIn(dead, &dead.late, token)
		v, after := c.askUntil(other, token, time.Minute)
		if !errors.Is(v.err, session.ErrNotFound) {
			t.Fatalf("access token %q and error %v", v.access, v.err)
		}
		if after < 2*lease || after > 2*lease+wait {
			t.Errorf("the session ended after %v; its holder had died with a lease of %v", after, lease)
		}
		c.gone(token)
		c.provider.saw(t, 1, 1)
		c.reported(c.replicas, session.RefreshRevoked)

		thaw()
		time.Sleep(time.Minute)
		c.gone(token)
		c.reported(c.replicas, session.RefreshRevoked, session.RefreshShared)
	})
}

// A replica saves what it got and dies before it gives its lease back: nobody waits for the lease.
func TestHolderDiesAfterSaving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.provider.delay = time.Second
		token := c.begin("jane")
		time.Sleep(untilExpired)
		c.replicas[0].link.cut("replace")
		go c.ask(t.Context(), c.replicas[0], token)
		synctest.Wait()
		c.pass([]verdict{c.ask(t.Context(), c.replicas[1], token)}, wait, "access/jane/1")
		c.reported(c.replicas, session.RefreshOK, session.RefreshShared)
	})
}

// The wait for a late write also holds when the store or the provider was in trouble at the takeover.
func TestLateWriteIsAwaitedAfterTrouble(t *testing.T) {
	for name, trouble := range map[string]struct{ begin, end func(*cluster) }{
		"store":    {func(c *cluster) { c.replicas[1].link.cut("load") }, func(c *cluster) { c.replicas[1].link.mend() }},
		"provider": {func(c *cluster) { c.provider.fail = errUnavailable }, func(c *cluster) { c.provider.set(func(p *strictProvider) { p.fail = nil }) }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				dead, other := c.replicas[0], c.replicas[1]
				token := c.begin("jane")
				time.Sleep(untilExpired)
				thaw := c.freezeIn(dead, &dead.late, token)
				time.Sleep(lease)
				trouble.begin(c)
				c.pass([]verdict{c.ask(t.Context(), other, token)}, wait, "")
				trouble.end(c)
				for range 50 {
					c.pass([]verdict{c.ask(t.Context(), other, token)}, wait, "")
					time.Sleep(100 * time.Millisecond)
				}
				thaw() // five seconds after its lease
				synctest.Wait()
				time.Sleep(time.Second)
				if s, tokens := c.stored(token); s.Version != 2 || tokens.AccessToken != "access/jane/1" {
					t.Errorf("version %d, access token %q", s.Version, tokens.AccessToken)
				}
			})
		})
	}
}

// A replica that was paused beyond its lease wakes up with an answer and writes it.
func TestLateWrite(t *testing.T) {
	const late = lease + lease/2
	tests := map[string]struct {
		meanwhile func(*cluster, session.Token) // what the other replica does between the end of the lease and the late write
		version   uint64                        // 0: the session is gone
		access    string
	}{
		"nobody wrote: accepted": {
			meanwhile: func(*cluster, session.Token) {},
			version:   2, access: "access/jane/1",
		},
		"the other one failed for now: accepted": {
			meanwhile: func(c *cluster, token session.Token) {
				c.provider.set(func(p *strictProvider) { p.fail = errUnavailable })
				c.pass([]verdict{c.ask(c.t.Context(), c.replicas[1], token)}, wait, "")
			},
			version: 2, access: "access/jane/1",
		},
		"the other one was refused: accepted": {
			meanwhile: func(c *cluster, token session.Token) {
				c.pass([]verdict{c.ask(c.t.Context(), c.replicas[1], token)}, wait, "")
				c.provider.saw(c.t, 1, 1)
			},
			version: 2, access: "access/jane/1",
		},
		"the other one wrote: refused": {
			meanwhile: func(c *cluster, token session.Token) {
				c.provider.set(func(p *strictProvider) { p.lenient = true })
				c.pass([]verdict{c.ask(c.t.Context(), c.replicas[1], token)}, wait, "access/jane/2")
			},
			version: 2, access: "access/jane/2",
		},
		"signed out: nothing comes back": {
			meanwhile: func(c *cluster, token session.Token) {
				if err := c.manager.End(c.t.Context(), token.ID()); err != nil {
					c.t.Fatal(err)
				}
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				paused := c.replicas[0]
				token := c.begin("jane")
				time.Sleep(untilExpired)
				thaw := c.freezeIn(paused, &paused.late, token)
				time.Sleep(lease)
				test.meanwhile(c, token)
				time.Sleep(late - lease)
				thaw()
				time.Sleep(time.Minute)
				if test.version == 0 {
					c.gone(token)
				} else if s, tokens := c.stored(token); s.Version != test.version || tokens.AccessToken != test.access {
					t.Errorf("version %d with access token %q, want %d with %q", s.Version, tokens.AccessToken, test.version, test.access)
				}
				c.idle()
			})
		})
	}
}

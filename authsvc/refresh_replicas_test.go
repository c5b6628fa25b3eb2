package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// A hundred requests come to four replicas when the access token has expired, at a provider that takes its time and ends the family
// of a refresh token that comes twice: one grant, and everyone passes.
func TestHundredAtExpiry(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second, 3 * time.Second} {
		t.Run(fmt.Sprint(delay), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 4, withAccessToken)
			b := r.browser()
			b.signIn()
			former := b.auth("").Header.Get(accessHeader)
			r.provider.Intercept(idptest.Token, idptest.Slow(delay))
			r.advance(6 * time.Minute)
			var group sync.WaitGroup
			for range 100 {
				group.Go(func() {
					reply := b.auth("")
					token := reply.Header.Get(accessHeader)
					if reply.StatusCode != http.StatusOK || reply.Header.Get("X-Auth-Request-User") == "" {
						t.Errorf("%s for user %q", reply.Status, reply.Header.Get("X-Auth-Request-User"))
					}
					if token == former || token == "" && delay == 0 {
						t.Error("an expired access token, or none where one is to be had")
					}
				})
			}
			group.Wait()
			eventually(t, "a new access token", func() bool { return b.auth("").Header.Get(accessHeader) != "" })
			if counts := r.provider.Counts("alice"); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
				t.Errorf("the provider saw %+v", counts)
			}
		})
	}
}

// However slow the token endpoint: nobody waits while the access token is valid.
func TestNobodyWaitsWhileValid(t *testing.T) {
	r := newRig(t, 3, func(c *Config) {
		withAccessToken(c)
		c.Session.RefreshWait = 30 * time.Second
	})
	b := r.browser()
	b.signIn()
	former := b.auth("").Header.Get(accessHeader)
	release := make(chan struct{})
	r.provider.Intercept(idptest.Token, idptest.Hold(release))
	r.provider.ForgetRequests()
	r.advance(4*time.Minute + 30*time.Second) // due for half a minute
	began := time.Now()
	var group sync.WaitGroup
	for range 60 {
		group.Go(func() {
			if reply := b.auth(""); reply.StatusCode != http.StatusOK || reply.Header.Get(accessHeader) != former {
				t.Errorf("while the provider is slow: %s", reply.Status)
			}
		})
	}
	group.Wait()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the answers came after %v: somebody waited for the provider", took)
	}
	eventually(t, "a request to the provider", func() bool { return r.provider.Count(idptest.Token) == 1 })
	close(release)
	eventually(t, "a new access token", func() bool { return b.auth("").Header.Get(accessHeader) != former })
	if counts := r.provider.Counts("alice"); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
		t.Errorf("the provider saw %+v", counts)
	}
}

// The clients whose requests began the refresh hang up; it goes on.
func TestClientsHangUp(t *testing.T) {
	r := newRig(t, 3, withAccessToken)
	b := r.browser()
	b.signIn()
	release := make(chan struct{})
	r.provider.Intercept(idptest.Token, idptest.Hold(release))
	r.provider.ForgetRequests()
	r.advance(6 * time.Minute)
	ctx, hangUp := context.WithCancel(t.Context())
	var group sync.WaitGroup
	for range 12 {
		group.Go(func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/auth", nil)
			if err != nil {
				t.Error(err)
				return
			}
			if response, err := b.client.Do(request); err == nil {
				response.Body.Close() // its two seconds were over first
			}
		})
	}
	eventually(t, "a request to the provider", func() bool { return r.provider.Count(idptest.Token) == 1 })
	hangUp()
	group.Wait()
	close(release)
	eventually(t, "a new access token", func() bool { return b.passes(alicesGroups).Header.Get(accessHeader) != "" })
	if counts := r.provider.Counts("alice"); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
		t.Errorf("the provider saw %+v", counts)
	}
}

// Alice signs out while her session is renewed: nothing comes back.
func TestSignOutDuringRefresh(t *testing.T) {
	r := newRig(t, 3, withAccessToken)
	b := r.browser()
	b.signIn()
	cookie := b.sessionCookie()
	release := make(chan struct{})
	r.provider.Intercept(idptest.Token, idptest.Hold(release))
	r.provider.ForgetRequests()
	r.advance(4*time.Minute + 30*time.Second)
	for range 6 {
		b.passes(alicesGroups)
	}
	eventually(t, "a request to the provider", func() bool { return r.provider.Count(idptest.Token) == 1 })
	if reply := b.do(http.MethodPost, "/logout", nil); reply.StatusCode >= http.StatusBadRequest {
		t.Fatalf("POST /logout: %s", reply.Status)
	}
	close(release)
	eventually(t, "the end of the flights", func() bool {
		flights := 0
		for _, replica := range r.replicas {
			flights += replica.sites.Load().main.renewer.Flights()
		}
		return flights == 0
	})
	for range 6 {
		if reply := r.withCookie(cookie); reply.StatusCode != http.StatusUnauthorized {
			t.Errorf("after the sign-out: %s", reply.Status)
		}
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}

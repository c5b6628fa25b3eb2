package authsvc

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// TestOneRefresh sends parallel requests to all replicas once the access token has expired: the provider, which revokes a family when
// a refresh token comes twice, sees one grant, and everyone passes.
func TestOneRefresh(t *testing.T) {
	r := newRig(t, 3, func(c *Config) { c.Headers["X-Auth-Request-Access-Token"] = Header{Claim: accessTokenValue} })
	b := r.browser()
	b.signIn()
	old := b.auth("").Header.Get("X-Auth-Request-Access-Token")
	if old == "" {
		t.Fatal("no access token")
	}
	r.advance(6 * time.Minute) // the provider's tokens live for five
	var wait sync.WaitGroup
	for range 24 {
		wait.Go(func() {
			if reply := b.auth(""); reply.StatusCode != http.StatusOK {
				t.Errorf("while the session is renewed: %s", reply.Status)
			} else if token := reply.Header.Get("X-Auth-Request-Access-Token"); token == old {
				t.Error("an expired access token was passed on")
			}
		})
	}
	wait.Wait()
	if counts := r.provider.Counts("alice"); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
		t.Errorf("the provider saw %+v", counts)
	}
	if reply := b.auth(""); reply.Header.Get("X-Auth-Request-Access-Token") == "" {
		t.Error("no new access token")
	}
}

// TestRefreshTakesNewClaims changes alice's groups at the provider.
func TestRefreshTakesNewClaims(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	changed := people[0]
	changed.Groups = []string{"guests"}
	changed.Name = ""
	r.provider.SetPerson(changed)
	r.advance(6 * time.Minute)
	if groups := b.auth("").Header.Get("X-Auth-Request-Groups"); groups != "guests" {
		t.Errorf("groups %q after the refresh", groups)
	}
	if reply := b.auth("?allowed_groups=staff"); reply.StatusCode != http.StatusForbidden {
		t.Errorf("a group that alice has lost: %s", reply.Status)
	}
}

// TestProviderTroubleKeepsTheSession lets the provider fail while the access token has expired.
func TestProviderTroubleKeepsTheSession(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	r.provider.Intercept(idptest.Token, idptest.Status(http.StatusServiceUnavailable))
	before := r.provider.Count(idptest.Token)
	r.advance(6 * time.Minute)
	for range 20 {
		if reply := b.auth(""); reply.StatusCode != http.StatusOK {
			t.Fatalf("while the provider is down: %s", reply.Status)
		}
	}
	if n := r.provider.Count(idptest.Token) - before; n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// TestProviderEndsTheSession revokes alice's grants.
func TestProviderEndsTheSession(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	r.provider.Revoke("alice")
	r.advance(6 * time.Minute)
	if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the revocation: %s", reply.Status)
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}

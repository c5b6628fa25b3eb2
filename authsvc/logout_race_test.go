package authsvc

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
)

// TestBackchannelDuringLogin sends the logout while the callback hangs in the provider, and the other way round: afterwards no
// cookie passes (Q34).
func TestBackchannelDuringLogin(t *testing.T) {
	for _, by := range []string{"sub", "sid"} {
		t.Run(by, func(t *testing.T) {
			r := newRig(t, 3, nil)
			logout := func(replica int) {
				t.Helper()
				token := r.provider.LogoutToken("app", "alice", "", nil)
				if by == "sid" {
					token = r.provider.LogoutToken("app", "", r.provider.SessionIDs("alice")[0], nil)
				}
				checkBackchannel(t, r.backchannel(replica, token), http.StatusOK)
			}
			b := r.browser()
			address := b.toCallback()
			hold := r.holdToken()
			done := hold.wait(func() reply { return b.open(address) })
			logout(0)
			hold.release()
			r.signedOutMeanwhile(b, <-done)
			if reply := b.open(address); sessionCookieOf(reply) != nil {
				t.Error("the same callback brought a session later")
			}
			if n := r.noted(session.KindUser, "alice"); n > 1 {
				t.Errorf("%d entries", n)
			}

			// One that replaces a session, and two tabs at once.
			r.advance(time.Second)
			b.signIn()
			former := b.sessionCookie()
			first, second := b.toCallback(), b.toCallback()
			hold = r.holdToken()
			tabs := []<-chan reply{
				hold.wait(func() reply { return r.sameBrowser(b).open(first) }),
				hold.wait(func() reply { return r.sameBrowser(b).open(second) }),
			}
			logout(1)
			hold.release()
			for _, tab := range tabs {
				if reply := <-tab; sessionCookieOf(reply) != nil {
					t.Errorf("a tab got a cookie: %s", reply.Status)
				}
			}
			r.everywhere(former, http.StatusUnauthorized)
			if n := r.store.records.Load(); n != 0 {
				t.Errorf("%d records", n)
			}

			// The other order: the login first.
			r.advance(time.Second)
			b.signIn()
			r.everywhere(b.sessionCookie(), http.StatusOK)
			logout(2)
			r.everywhere(b.sessionCookie(), http.StatusUnauthorized)

			// And a login that begins after the logout is one.
			r.advance(time.Second)
			b.signIn()
			r.everywhere(b.sessionCookie(), http.StatusOK)
			r.keepsSecrets()
		})
	}
}

// signedOutMeanwhile fails the test unless a login ended without a session.
func (r *rig) signedOutMeanwhile(b *browser, answer reply) {
	r.t.Helper()
	if answer.StatusCode != http.StatusForbidden || sessionCookieOf(answer) != nil || !strings.Contains(answer.body, answer.Header.Get("X-Request-Id")) {
		r.t.Errorf("the callback: %s with cookies %d\n%s", answer.Status, len(answer.Cookies()), answer.body)
	}
	if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
		r.t.Errorf("afterwards: %s", reply.Status)
	}
	if n := r.store.records.Load(); n != 0 {
		r.t.Errorf("%d records", n)
	}
}

// TestBackchannelMarkUnreadable lets the store fail when a login asks for the marks: nobody can tell, so there is no session.
func TestBackchannelMarkUnreadable(t *testing.T) {
	r := newRig(t, 1, nil)
	b := r.browser()
	address := b.toCallback()
	r.store.refuse("readslot")
	if reply := b.open(address); reply.StatusCode != http.StatusServiceUnavailable || sessionCookieOf(reply) != nil {
		t.Errorf("%s", reply.Status)
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
}

// TestBackchannelDuringRefresh sends the logout while a refresh hangs in the provider: nothing comes back, on no replica (Q34).
func TestBackchannelDuringRefresh(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	cookie := b.sessionCookie()
	r.advance(6 * time.Minute)
	hold := r.holdToken()
	done := hold.wait(func() reply { return b.auth("") })
	checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
	r.everywhere(cookie, http.StatusUnauthorized)
	hold.release()
	<-done // what it got was decided before or after the logout
	r.landed()
	r.everywhere(cookie, http.StatusUnauthorized)
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	if _, err := r.store.Store.Load(t.Context(), parse(t, r, cookie).ID()); err == nil {
		t.Error("the record came back")
	}
	r.keepsSecrets()
}

// TestLogoutDuringRefresh signs out while a refresh hangs in the provider: nothing comes back.
func TestLogoutDuringRefresh(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	cookie := b.sessionCookie()
	r.advance(6 * time.Minute)
	hold := r.holdToken()
	done := hold.wait(func() reply { return r.sameBrowser(b).auth("") })
	r.checkSignedOut(r.logout(0, cookie), true)
	r.everywhere(cookie, http.StatusUnauthorized)
	hold.release()
	<-done
	r.landed()
	r.everywhere(cookie, http.StatusUnauthorized)
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.keepsSecrets(cookie)
}

// TestLogoutRacesVerdicts signs out while requests of the same browser come to all replicas: what comes after the answer is refused.
func TestLogoutRacesVerdicts(t *testing.T) {
	r := newRig(t, 3, nil)
	for range 20 {
		b := r.browser()
		b.signIn()
		cookie := b.sessionCookie()
		r.advance(6 * time.Minute) // each verdict finds that a refresh is due
		var group sync.WaitGroup
		for i := range 6 {
			group.Go(func() {
				ask(r.replicas[i%3], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {"authsvc=" + cookie}})
			})
		}
		r.checkSignedOut(r.logout(1, cookie), true)
		r.everywhere(cookie, http.StatusUnauthorized)
		group.Wait()
		r.landed()
		r.everywhere(cookie, http.StatusUnauthorized)
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	if counts := r.provider.Counts("alice"); counts.RefreshReuses != 0 {
		t.Errorf("the provider saw %+v", counts)
	}
}

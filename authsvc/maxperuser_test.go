package authsvc

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

// TestMaxPerUser signs one user in with more browsers than a user may have: the oldest session ends, everywhere.
func TestMaxPerUser(t *testing.T) {
	r := newRig(t, 3, func(c *Config) { c.Session.MaxPerUser = 2 })
	r.visitor.Store("bob")
	bob := r.browser()
	bob.signIn()
	r.visitor.Store("alice")
	var cookies []string
	for i := range 6 {
		r.advance(time.Second)
		b := r.browser()
		b.signIn()
		cookies = append(cookies, b.sessionCookie())
		for age := range cookies {
			want := http.StatusOK
			if age >= 2 {
				want = http.StatusUnauthorized
			}
			if r.everywhere(cookies[i-age], want); t.Failed() {
				t.Fatalf("after login %d, the one %d before it", i+1, age)
			}
		}
	}
	r.everywhere(bob.sessionCookie(), http.StatusOK)
	if n := r.store.records.Load(); n != 3 {
		t.Errorf("%d records", n)
	}

	// Who has signed out makes room.
	r.checkSignedOut(r.logout(0, cookies[5]), true)
	r.advance(time.Second)
	b := r.browser()
	b.signIn()
	r.everywhere(cookies[4], http.StatusOK)
	r.everywhere(b.sessionCookie(), http.StatusOK)

	// A cap that cannot be kept: no login, and nobody is signed out.
	r.store.refuse("noted")
	late := r.browser()
	if reply := late.open(late.toCallback()); reply.StatusCode != http.StatusServiceUnavailable || sessionCookieOf(reply) != nil {
		t.Errorf("the index does not answer: %s", reply.Status)
	}
	r.store.refuse()
	r.everywhere(cookies[4], http.StatusOK)
	if n := r.store.records.Load(); n != 3 {
		t.Errorf("%d records: a login that failed left one", n)
	}
	r.keepsSecrets(cookies...)
}

// TestMaxPerUserReplaces signs in again in one of two browsers: its own session makes room for the new one, and the other browser's stays. Two
// tabs at once end on one session.
func TestMaxPerUserReplaces(t *testing.T) {
	for _, most := range []int{1, 2} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			r := newRig(t, 3, func(c *Config) { c.Session.MaxPerUser = most })
			var others []string
			for range most - 1 {
				other := r.browser()
				other.signIn()
				others = append(others, other.sessionCookie())
			}
			r.advance(time.Second)
			b := r.browser()
			for range 3 {
				b.signIn()
				r.advance(time.Second)
			}
			if most == 1 { // with more, the tab that gives up its own may have cost another session: see KeepNewest
				first, second := b.toCallback(), b.toCallback()
				hold := r.holdToken()
				tabs := []<-chan reply{
					hold.wait(func() reply { return r.sameBrowser(b).open(first) }),
					hold.wait(func() reply { return r.sameBrowser(b).open(second) }),
				}
				hold.release()
				for _, tab := range tabs {
					<-tab
				}
			}
			for _, cookie := range append(others, b.sessionCookie()) {
				r.everywhere(cookie, http.StatusOK)
			}
			if n := r.store.records.Load(); n != int64(most) {
				t.Errorf("%d records", n)
			}
		})
	}
}

package e2e

import (
	"testing"
	"time"
)

// TestMaxPerUser: of one person's sessions the newest two live, on every replica, whoever had the others in its cache.
func TestMaxPerUser(t *testing.T) {
	s := newStack(t, options{replicas: 3, settings: map[string]string{"session.max_per_user": "2"}})
	bob := s.visitor("bob")
	bob.signIn()
	var cookies []string
	for login := range 5 {
		v := s.visitor("alice")
		v.signIn()
		answered := time.Now()
		cookies = append(cookies, v.cookie(sessionCookie))
		if ended := len(cookies) - 3; ended >= 0 {
			check(t, s.refused(cookies[ended]))
			t.Logf("login %d: the oldest session is refused everywhere %v after the page came", login+1, time.Since(answered).Round(time.Microsecond))
		}
		for range 2 { // the second time from the caches
			for _, cookie := range cookies[max(0, len(cookies)-2):] {
				check(t, s.signedInAs("alice", cookie))
			}
			check(t, s.signedInAs("bob", bob.cookie(sessionCookie)))
		}
		for _, cookie := range cookies[:max(0, len(cookies)-2)] {
			check(t, s.refused(cookie))
		}
	}
	if n := s.records(); n != 3 {
		t.Errorf("%d session records for two of alice's browsers and one of bob's", n)
	}
}

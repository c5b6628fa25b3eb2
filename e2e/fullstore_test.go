package e2e

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestFullStore: a Redis without memory for another byte serves those who are in, lets nobody else in, and lets out who wants to go.
func TestFullStore(t *testing.T) {
	s := newStack(t, options{settings: map[string]string{"session.idle_timeout": "40s"}}) // so that a session is extended every 4 s
	alice, bob := s.visitor("alice"), s.visitor("bob")
	alice.signIn()
	bob.signIn()
	late := s.visitor("carol")
	callback, err := late.toCallback("/landed?a=b&c=d")
	check(t, err)
	before := s.keys()

	s.redis.Do("CONFIG", "SET", "maxmemory", "1")
	key := "authsvc:session:{" + idIn(t, before) + "}"
	left := s.redis.Client().PTTL(context.Background(), key).Val()
	storetest.WaitFor(t, "a session to be extended", func() error {
		for _, v := range []*visitor{alice, bob} {
			if err := s.signedInAs(v.person, v.cookie(sessionCookie)); err != nil {
				t.Fatal(err)
			}
		}
		now, err := s.redis.Client().PTTL(context.Background(), key).Result()
		if err == nil && now < left {
			left, err = now, fmt.Errorf("%v are left", now)
		}
		return err
	})
	_, err = alice.arrive("/page")
	check(t, err)

	answer, err := late.send(http.MethodGet, callback, nil)
	if err != nil || answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || !strings.Contains(answer.body, "</html>") {
		t.Errorf("a login: %v, %v; want a 503 page", answer, err)
	}
	if len(answer.header["Set-Cookie"]) > 0 || late.cookie(sessionCookie) != "" {
		t.Errorf("a login that failed left cookies: %v", late.cookies())
	}
	if after := s.keys(); !slices.Equal(after, before) {
		t.Errorf("a login that failed left keys: %v, before: %v", after, before)
	}

	_, err = alice.logOut()
	check(t, err)
	if n := s.records(); n != 1 {
		t.Errorf("%d session records after the logout, want bob's", n)
	}

	s.redis.Do("CONFIG", "SET", "maxmemory", "0")
	began := time.Now()
	storetest.WaitFor(t, "the login to go on, with the same code", func() error {
		answer, err := late.open(callback)
		if err == nil {
			_, err = late.arrived(answer, "/landed?a=b&c=d")
		}
		return err
	})
	t.Logf("a login passes %v after there is memory again", time.Since(began))
	check(t, s.signedInAs("carol", late.cookie(sessionCookie)))
}

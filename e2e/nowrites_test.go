package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"authsvc/session/storetest"
)

// TestStoreTakesNoWrites: who is in stays in, nobody else gets in, and who signs out is told that it is not confirmed yet; the replica that was asked refuses the session at
// once, and ends it everywhere when it can (F13, F26).
func TestStoreTakesNoWrites(t *testing.T) {
	s := newStack(t, options{})
	alice := s.visitor("alice")
	alice.signIn()
	for name, refuse := range map[string]func(*testing.T) (end func()){
		"NOREPLICAS": func(*testing.T) func() {
			s.redis.Do("CONFIG", "SET", "min-replicas-to-write", "1")
			return func() { s.redis.Do("CONFIG", "SET", "min-replicas-to-write", "0") }
		},
		"MISCONF": func(t *testing.T) func() {
			dump := filepath.Join(filepath.Dir(s.redis.Socket), "dump.rdb")
			check(t, os.MkdirAll(filepath.Join(dump, "in the way"), 0o700))
			s.redis.Do("CONFIG", "SET", "save", "3600 1")
			s.redis.Do("BGSAVE")
			return func() {
				check(t, os.RemoveAll(dump))
				s.redis.Do("CONFIG", "SET", "save", "")
			}
		},
		"READONLY": func(*testing.T) func() {
			s.redis.Do("REPLICAOF", "127.0.0.1", "1")
			return func() { s.redis.Do("REPLICAOF", "NO", "ONE") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			leaving, late := newLeaver(s), s.visitor("carol")
			callback, err := late.toCallback("/landed")
			check(t, err)
			end := refuse(t)
			storetest.WaitFor(t, "Redis to take no writes", func() error {
				if err := s.redis.Client().Set(t.Context(), "k", "v", 1).Err(); err == nil {
					return fmt.Errorf("it does")
				}
				return nil
			})

			check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
			answer, err := late.send(http.MethodGet, callback, nil)
			if err != nil || answer.status != http.StatusServiceUnavailable || len(answer.header["Set-Cookie"]) > 0 {
				t.Errorf("a login: %v, %v; want a 503 page", answer, err)
			}
			answer, err = leaving.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
			if err != nil || answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || len(answer.header["Set-Cookie"]) > 0 {
				t.Errorf("a logout: %v, %v; want a 503 page", answer, err)
			}
			asked := answer.header.Get(answeredBy)
			for _, r := range s.replicas {
				want := http.StatusOK // nobody can have told it
				if r.address == asked {
					want = http.StatusUnauthorized
				}
				if verdict, err := r.certain(leaving.cookie); err != nil || verdict.status != want {
					t.Errorf("after a logout at %s, %s says %d, %v; want %d", asked, r.address, verdict.status, err, want)
				}
			}
			if !slices.Contains(s.keys(), leaving.record) {
				t.Error("the record is gone: nothing was refused")
			}

			end()
			leaving.isGone(t)
			check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
			storetest.WaitFor(t, "the login to go on, with the same code", func() error {
				answer, err := late.open(callback)
				if err == nil {
					_, err = late.arrived(answer, "/landed")
				}
				return err
			})
			_, err = late.logOut()
			check(t, err)
		})
	}
}

package authsvc

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// verdictsFlag is how many verdicts TestLockStep asks for: a million with
//
//	go test ./authsvc -run LockStep -verdicts 1000000
var verdictsFlag = flag.Int("verdicts", 10_000, "verdicts of TestLockStep")

// TestLockStep asks for two users in turn and at once, at two replicas that keep sessions, identities and assertions in memory, while both sessions are renewed: nobody is
// ever told to be the other (the class of CVE-2026-71326 and CVE-2025-29923).
func TestLockStep(t *testing.T) {
	r := newRig(t, 2, func(c *Config) {
		withAssertion(c)
		withAccessToken(c)
		c.Session.CacheTTL = time.Minute
	})
	type user struct {
		name, groups, email string
		cookie              http.Header
	}
	users := []user{{name: "alice", groups: alicesGroups, email: "alice@example.com"}, {name: "bob", groups: "staff", email: "bob@Example.COM"}}
	for i := range users {
		users[i].cookie = signedIn(r, users[i].name)
	}
	set := publishedKeys(t, r.replicas[0])
	var handlers []http.Handler
	for _, replica := range r.replicas {
		handlers = append(handlers, replica.Handler())
	}
	var checked sync.Map // assertions whose signature was found good
	var passed [2]atomic.Int64
	check := func(u user, answer *httptest.ResponseRecorder, origin string) error {
		h := answer.Header()
		text := h.Get(jwtHeader)
		if answer.Code != http.StatusOK || h.Get("X-Auth-Request-User") != u.name || h.Get("X-Auth-Request-Groups") != u.groups || h.Get("X-Auth-Request-Email") != u.email {
			return fmt.Errorf("%s is told to be %d %v", u.name, answer.Code, h)
		}
		for what, jwt := range map[string]string{"assertion": text, "access token": h.Get(accessHeader)} {
			if jwt == "" && what == "access token" {
				continue // while it is renewed
			}
			claims, err := payloadOf(jwt)
			if err != nil || claims["sub"] != u.name || what == "assertion" && claims["aud"] != origin {
				return fmt.Errorf("%s has the %s of %v for %v", u.name, what, claims["sub"], claims["aud"])
			}
		}
		if _, known := checked.LoadOrStore(text, true); !known {
			verified(t, set, text)
		}
		return nil
	}
	origins := []string{"https://app.example.com", "https://wiki.example.com"}
	const workers = 8
	rounds := *verdictsFlag / workers / len(users)
	var (
		running sync.WaitGroup
		asking  sync.RWMutex
	)
	for worker := range workers {
		running.Go(func() {
			for round := range rounds {
				origin := origins[(worker+round/3)%2]
				for turn := range users {
					u := users[(turn+worker)%2]
					request := httptest.NewRequest(http.MethodGet, "/auth?allowed_groups="+strings.ReplaceAll(u.groups, ",", "&allowed_groups="), nil)
					request.RemoteAddr, request.Header = trustedPeer, askedFor(u.cookie, origin+"/page")
					answer := httptest.NewRecorder()
					asking.RLock()
					handlers[(worker+round)%2].ServeHTTP(answer, request)
					asking.RUnlock()
					if answer.Code == http.StatusServiceUnavailable && answer.Header().Get("X-Auth-Request-User") == "" {
						continue // this machine is busy, and a verdict has its time
					}
					passed[(turn+worker)%2].Add(1)
					if err := check(u, answer, origin); err != nil {
						t.Error(err)
						return
					}
				}
				if worker == 0 && round%(rounds/8+1) == rounds/16 {
					asking.Lock() // a refresh under way would take the leap for the end of its lease
					r.landed()
					r.advance(70 * time.Second) // assertions are made anew, and after some of these the tokens
					asking.Unlock()
				}
			}
		})
	}
	running.Wait()
	t.Logf("%d and %d verdicts", passed[0].Load(), passed[1].Load())
	if passed[0].Load() == 0 || passed[1].Load() == 0 {
		t.Error("somebody never passed")
	}
	if refreshes := r.provider.Counts("alice").Refreshes; refreshes == 0 {
		t.Error("nothing was renewed meanwhile")
	}
}

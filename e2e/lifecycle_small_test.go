package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/redisstore"
	"authsvc/session/storetest"
)

// startsBy ends the replica and starts it anew by a shell command line, in which $0 is the program, with more in its environment.
func (r *replica) startsBy(line string, environ ...string) {
	r.t.Helper()
	r.command = func() *exec.Cmd {
		cmd := exec.Command("sh", "-c", line, program)
		cmd.Env = slices.Concat(environment(), variables(r.settings), environ)
		return cmd
	}
	r.becomes("")
	r.awaitReady()
}

// TestLifecycleFewFiles: with all file descriptors taken by somebody's connections a replica lives and says so, and serves again when they are given back.
func TestLifecycleFewFiles(t *testing.T) {
	s := newStack(t, options{replicas: 1})
	r, alice := s.replicas[0], s.visitor("alice")
	alice.signIn()
	r.startsBy(`ulimit -n 256 && exec "$0" serve`)
	check(t, r.passes("alice", alice.cookie(sessionCookie)))
	var conns []net.Conn
	closeAll := func() {
		for _, conn := range conns {
			conn.Close()
		}
		conns = nil
	}
	defer closeAll()
	for range 2 {
		for range 400 { // those beyond wait in the queue
			conn, err := net.Dial("tcp", r.address)
			check(t, err)
			conns = append(conns, conn)
		}
		transport.CloseIdleConnections()
		impatient := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Second}
		storetest.WaitFor(t, "no file to be left", func() error {
			answer, err := impatient.Get("http://" + r.admin + "/livez")
			if err != nil {
				return nil
			}
			answer.Body.Close()
			return errors.New("the replica takes another connection")
		})
		storetest.WaitFor(t, "the log to name the limit", func() error {
			if !strings.Contains(r.log.String(), "LimitNOFILE") {
				return errors.New("it does not")
			}
			return nil
		})
		if !r.running() {
			t.Fatalf("it ended:\n%s", r.log.String())
		}
		closeAll()
		storetest.WaitFor(t, "the replica to serve again", func() error { return r.passes("alice", alice.cookie(sessionCookie)) })
		r.awaitReady()
	}
	if n := r.metric("authsvc_panics_total"); n != "0" {
		t.Errorf("%s panics", n)
	}
}

// TestLifecycleLittleMemory: the caches take their part of GOMEMLIMIT, and not more, however many sessions are asked about; on one processor.
func TestLifecycleLittleMemory(t *testing.T) {
	const limit, sessions = 40 << 20, 4000
	s := newStack(t, options{replicas: 1, settings: map[string]string{"session.cache_ttl": "1m", "headers": `{"X-Auth-Request-Access-Token":"@access_token"}`}})
	r := s.replicas[0]
	r.startsBy(`exec "$0" serve`, fmt.Sprint("GOMEMLIMIT=", limit), "GOMAXPROCS=1")
	store, err := redisstore.Open(redisstore.Options{URL: s.settings["store.url"], Prefix: "authsvc", Timeout: time.Second})
	check(t, err)
	defer store.Close()
	check(t, store.ReadClock(t.Context()))
	m := &session.Manager{
		Store: store, Slots: store, Index: store, Keyring: keyring(t, s.settings["cookie.secret"]), Site: "main", Now: store.Now,
		IdleTimeout: 30 * time.Minute, AbsoluteTimeout: 12 * time.Hour,
	}
	cookies := make([]string, sessions)
	check(t, together(sessions, 8, func(i int) error {
		name := residentName(i)
		token, _, err := m.Begin(t.Context(), session.Session{
			Issuer: s.provider.Issuer(), Subject: name, Claims: map[string]any{"sub": name, "email": name + "@example.com", "more": strings.Repeat("x", 5000)},
		}, session.Tokens{AccessToken: strings.Repeat("t", 2000)})
		cookies[i] = token.Reveal()
		return err
	}))
	number := func(series string) float64 {
		t.Helper()
		n, err := strconv.ParseFloat(r.metric(series), 64)
		check(t, err)
		return n
	}
	for range 2 {
		check(t, together(sessions, 8, func(i int) error { return r.passes(residentName(i), cookies[i]) }))
		held := number("authsvc_cache_bytes")
		if held > limit*5/8 || held < limit/3 {
			t.Errorf("the cache holds %.1f MiB of %d MiB", held/(1<<20), limit>>20)
		}
		// What the race detector takes is not Go's memory.
		used := number("go_memstats_sys_bytes") - number("go_memstats_heap_released_bytes")
		if used > 1.25*limit {
			t.Errorf("it uses %.1f MiB of %d MiB", used/(1<<20), limit>>20)
		}
		t.Logf("%.1f MiB in the cache, %.1f MiB in all, %.1f MiB resident", held/(1<<20), used/(1<<20), number("process_resident_memory_bytes")/(1<<20))
	}
}

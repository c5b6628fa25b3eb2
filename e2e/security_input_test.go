package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// TestSecurityInput sends too much, too slowly and too often to a replica, past the gateway. Meanwhile people are served as ever, and afterwards the replica is as
// small as before.
func TestSecurityInput(t *testing.T) {
	s := newStack(t, options{replicas: 1})
	r, v := s.replicas[0], s.visitor("alice")
	v.signIn()
	good := v.cookie(sessionCookie)
	monitor := s.redis.Monitor(t)
	check(t, r.passes("alice", good))
	before := sizeOf(r)
	unharmed := keepPassing(r, "alice", good)

	t.Run("F46_headers_of_1_MB", func(t *testing.T) {
		for _, address := range []string{r.address, r.admin} {
			for _, header := range []string{
				"X-A: " + strings.Repeat("a", 1<<20), "Cookie: " + sessionCookie + "=" + strings.Repeat("a", 1<<20), strings.Repeat("X-A: a\r\n", 1<<17) + "X-B: b",
				strings.Repeat("a", 1<<20) + ": b",
			} {
				wants(t, address, "GET /auth HTTP/1.1\r\nHost: a\r\n"+header+"\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge)
			}
		}
	})
	t.Run("F46_cookies", func(t *testing.T) {
		junk := func(n int) string { return strings.Repeat("a=b; ", n) }
		numbered := make([]string, 1000)
		for i := range numbered {
			numbered[i] = sessionCookie + "_" + strconv.Itoa(i*99_999_999) + "=a"
		}
		for cookies, want := range map[string]int{
			junk(10_000): http.StatusUnauthorized,
			junk(10_000) + sessionCookie + "=" + good:                               http.StatusUnauthorized, // net/http reads none of more than 3,000
			junk(2000) + sessionCookie + "=" + good:                                 http.StatusOK,
			strings.Repeat(sessionCookie+"=junk; ", 2000):                           http.StatusUnauthorized,
			strings.Repeat(sessionCookie+"=a; ", 2000) + sessionCookie + "=" + good: http.StatusOK,
			strings.Join(numbered, "; "):                                            http.StatusUnauthorized,
			strings.Repeat(";", 50_000):                                             http.StatusUnauthorized,
			strings.Repeat("=;", 2000) + sessionCookie + "=" + good:                 http.StatusOK,
			sessionCookie + "=" + strings.Repeat("a", 60_000):                       http.StatusUnauthorized,
		} {
			wants(t, r.address, "GET /auth HTTP/1.1\r\nHost: a\r\nCookie: "+cookies+"\r\n\r\n", want)
		}
	})
	t.Run("F46_paths_of_64_KB", func(t *testing.T) {
		long := "/" + strings.Repeat("a", 60_000)
		wants(t, r.address, "GET "+long+" HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusNotFound)
		wants(t, r.address, "GET /"+strings.Repeat("a", 80_000)+" HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge)
		for _, header := range []string{"X-Original-URI: " + long, "X-Original-URL: http://" + s.host() + long, "X-Forwarded-Uri: " + strings.Repeat("/..", 20_000)} {
			wants(t, r.address, "GET /auth HTTP/1.1\r\nHost: a\r\n"+header+"\r\n\r\n", http.StatusUnauthorized)
		}
		wants(t, r.address, "GET /envoy"+long+" HTTP/1.1\r\nHost: "+s.host()+"\r\n\r\n", http.StatusUnauthorized)
	})
	t.Run("F46_rd_of_100000_characters", func(t *testing.T) {
		wants(t, r.address, "GET /start?rd=/"+strings.Repeat("a", 100_000)+" HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusRequestHeaderFieldsTooLarge)
		answer := wants(t, r.address, "GET /start?rd=/"+strings.Repeat("a", 60_000)+" HTTP/1.1\r\nHost: "+s.host()+"\r\n\r\n", http.StatusFound)
		if location := answer.Header.Get("Location"); len(location) > 4000 {
			t.Errorf("a Location of %d bytes", len(location))
		}
		wants(t, r.address, "GET /start?rd=//"+strings.Repeat("a", 60_000)+" HTTP/1.1\r\nHost: "+s.host()+"\r\n\r\n", http.StatusBadRequest)
	})
	t.Run("F46_1000_query_parameters", func(t *testing.T) {
		for path, want := range map[string]int{
			"/auth": http.StatusUnauthorized, "/start": http.StatusFound, "/callback": http.StatusBadRequest, "/logout": http.StatusOK, "/session": http.StatusUnauthorized,
		} {
			wants(t, r.address, "GET "+path+"?"+strings.Repeat("a=b&", 1000)+"a=b HTTP/1.1\r\nHost: "+s.host()+"\r\n\r\n", want)
			wants(t, r.address, "GET "+path+"?"+strings.Repeat("%61%zz=&;", 1000)+"a=b HTTP/1.1\r\nHost: "+s.host()+"\r\n\r\n", map[bool]int{true: http.StatusUnauthorized, false: want}[path == "/auth"])
		}
		groups := strings.Repeat("allowed_groups=x&", 1000)
		wants(t, r.address, "GET /auth?"+groups+"a=b HTTP/1.1\r\nHost: a\r\nCookie: "+sessionCookie+"="+good+"\r\n\r\n", http.StatusForbidden)
	})
	t.Run("F46_bodies", func(t *testing.T) {
		form := url.Values{"logout_token": {strings.Repeat("a", 1<<20)}}.Encode()
		wants(t, r.address, post("/backchannel-logout", s.host(), form), http.StatusRequestEntityTooLarge)
		wants(t, r.address, post("/auth", s.host(), strings.Repeat("a", 1<<20)), http.StatusUnauthorized)
	})

	t.Run("F51_forged_cookies", func(t *testing.T) {
		monitor.Commands(t)
		honestly := unharmed.count.Load()
		check(t, together(2000, 8, func(i int) error {
			answer, err := r.authCookie(fmt.Sprintf("%s%06d", good[:len(good)-6], i))
			if err == nil && answer.status != http.StatusUnauthorized && !strings.HasSuffix(good, fmt.Sprintf("%06d", i)) {
				err = fmt.Errorf("a forged cookie gets %d", answer.status)
			}
			return err
		}))
		storetest.WaitFor(t, "somebody honest to be served", func() error { return unharmed.since(honestly) })
		// Who is honest is in the cache, so whatever is asked now is asked for a forged one, or for an entry that the cache has dropped since.
		asked := 0
		for _, c := range monitor.Commands(t) {
			if !byItself(c) {
				asked++
			}
		}
		if asked > 200 {
			t.Errorf("2000 forged cookies made %d commands", asked)
		}
	})
	// A cookie that is genuine and of no session is one that ended: nobody else can make one. It costs one command.
	t.Run("F51_unknown_cookies", func(t *testing.T) {
		ring := keyring(t, s.settings["cookie.secret"])
		honestly := unharmed.count.Load()
		check(t, together(500, 8, func(int) error {
			answer, err := r.authCookie(ring.NewToken(session.PurposeSession, "main").Reveal())
			if err == nil && answer.status != http.StatusUnauthorized && answer.status != http.StatusServiceUnavailable { // the machine may be busy
				err = fmt.Errorf("an unknown session gets %d", answer.status)
			}
			return err
		}))
		check(t, s.refused(ring.NewToken(session.PurposeSession, "main").Reveal()))
		storetest.WaitFor(t, "somebody honest to be served", func() error { return unharmed.since(honestly) })
	})
	t.Run("F47_slow_clients", func(t *testing.T) { slowClients(t, s, r, unharmed) })

	check(t, unharmed.stop())
	check(t, r.passes("alice", good))
	before.holds(t, r)
}

// wants sends a request as it stands and checks the status of the answer, which is returned with its body closed. A 503 is asked again, as everywhere.
func wants(t *testing.T, address, request string, status int) (answer *http.Response) {
	t.Helper()
	for range 1 + retries {
		if answer = sendRaw(t, address, request); answer.StatusCode != http.StatusServiceUnavailable {
			break
		}
	}
	if answer.StatusCode != status {
		t.Errorf("%.60q… (%d bytes) gets %q, want %d", request, len(request), answer.Status, status)
	}
	return answer
}

func sendRaw(t *testing.T, address, request string) *http.Response {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	check(t, err)
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	// A refusal comes before all of the request is read.
	go io.WriteString(conn, request)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("%.60q gets no answer: %v", request, err)
		return &http.Response{Header: http.Header{}}
	}
	answer.Body.Close()
	return answer
}

func post(path, host, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, host, len(body), body)
}

// passing is somebody honest whose requests come all the time.
type passing struct {
	count atomic.Int64 // of those that passed
	stop  func() error // ends it, and tells what went wrong
}

// keepPassing asks for verdicts on one session until stop is called. Nothing but 200 for its owner and, since the machine may be busy, 503 is right.
func keepPassing(r *replica, person, cookie string) *passing {
	p, done := new(passing), make(chan struct{})
	var asking sync.WaitGroup
	var wrong error
	asking.Go(func() {
		for wrong == nil {
			select {
			case <-done:
				return
			default:
			}
			answer, err := r.authCookie(cookie)
			user := answer.header.Get("X-Auth-Request-User")
			switch {
			case err != nil:
				wrong = err
			case answer.status == http.StatusOK && user == person:
				p.count.Add(1)
			case answer.status != http.StatusServiceUnavailable:
				wrong = fmt.Errorf("%s is told %d %q", person, answer.status, user)
			}
		}
	})
	p.stop = func() error { close(done); asking.Wait(); return wrong }
	return p
}

func (p *passing) since(count int64) error {
	if p.count.Load() == count {
		return fmt.Errorf("nobody has passed since %d", count)
	}
	return nil
}

// size is what a replica takes.
type size struct{ goroutines, heap, files float64 }

func sizeOf(r *replica) size {
	number := func(series string) float64 {
		r.t.Helper()
		n, err := strconv.ParseFloat(r.metric(series), 64)
		check(r.t, err)
		return n
	}
	return size{number("go_goroutines"), number("go_memstats_heap_alloc_bytes"), number("process_open_fds")}
}

// holds waits until the replica is as small as it was: a few goroutines and connections more, and a heap that the next collections may still shrink.
func (before size) holds(t *testing.T, r *replica) {
	t.Helper()
	storetest.WaitFor(t, "the replica to be as small as before", func() error {
		now := sizeOf(r)
		if now.goroutines > before.goroutines+50 || now.files > before.files+50 || now.heap > before.heap+32<<20 {
			return fmt.Errorf("it was %+v, and is %+v", before, now)
		}
		return nil
	})
}

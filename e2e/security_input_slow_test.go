package e2e

import (
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// Bounds of the listeners: a header has 5 s to arrive, a request with its body 15 s. A busy machine gets ten times as much.
const headerTime, requestTime = 5 * time.Second, 15 * time.Second

// slowClients opens connections that send a byte a second: headers at both listeners, and bodies where one is read. All are closed in time. Others send one request and
// then nothing, as gateways may.
func slowClients(t *testing.T, s *stack, r *replica, unharmed *passing) {
	honestly, start := unharmed.count.Load(), time.Now()
	var slow sync.WaitGroup
	closed := make(chan error, 1000)
	open := func(n int, address, beginning string, within time.Duration) {
		for range n {
			conn, err := net.DialTimeout("tcp", address, patience)
			check(t, err)
			t.Cleanup(func() { conn.Close() })
			slow.Go(func() { closed <- dribble(conn, beginning, within) })
		}
	}
	form := "Host: " + s.host() + "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\nlogout_token="
	open(100, r.address, "GET /auth HTTP/1.1\r\nHost: a\r\nX-A: ", headerTime)
	open(20, r.address, "", headerTime)
	open(50, r.admin, "GET /livez HTTP/1.1\r\nX-A: ", headerTime)
	open(50, r.address, "POST /backchannel-logout HTTP/1.1\r\n"+form, requestTime)
	open(20, r.address, "POST /callback HTTP/1.1\r\n"+form, requestTime)

	var idle []net.Conn
	for range 500 {
		conn, err := net.DialTimeout("tcp", r.address, patience)
		check(t, err)
		defer conn.Close()
		idle = append(idle, conn)
	}
	for _, conn := range idle {
		conn.SetDeadline(time.Now().Add(patience))
		_, err := io.WriteString(conn, "GET /auth HTTP/1.1\r\nHost: a\r\n\r\n")
		check(t, err)
		_, err = conn.Read(make([]byte, 1))
		check(t, err)
	}
	storetest.WaitFor(t, "somebody honest to be served beside them", func() error { return unharmed.since(honestly) })
	slow.Wait()
	close(closed)
	var errs []error
	for err := range closed {
		errs = append(errs, err)
	}
	check(t, join(errs))
	t.Logf("240 slow clients were cut off within %v, beside 500 idle ones: %+v", time.Since(start).Round(time.Second), sizeOf(r))
	if got := sizeOf(r); got.goroutines > 2000 {
		t.Errorf("%v goroutines", got.goroutines)
	}
}

// dribble sends the beginning of a request and then a byte a second, until the server has had enough.
func dribble(conn net.Conn, beginning string, within time.Duration) error {
	start := time.Now()
	conn.SetDeadline(start.Add(10 * within))
	if _, err := io.WriteString(conn, beginning); err != nil {
		return nil
	}
	gone := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		gone <- err
	}()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-gone:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				return fmt.Errorf("after %v a slow client is still served", time.Since(start))
			}
			return nil
		case <-tick.C:
			conn.Write([]byte("a"))
		}
	}
}

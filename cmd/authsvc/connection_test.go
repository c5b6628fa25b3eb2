package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/nettest"
)

// TestConnection holds it against what net.Conn promises, deadlines above all.
func TestConnection(t *testing.T) {
	nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, nil, nil, err
		}
		defer l.Close()
		if b, err = net.Dial("tcp", l.Addr().String()); err != nil {
			return nil, nil, nil, err
		}
		accepted, err := l.Accept()
		if err != nil {
			return nil, nil, nil, errors.Join(err, b.Close())
		}
		a = newConnection(accepted)
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

// countedTimer counts how often the deadlines of a connection are set.
type countedTimer struct {
	net.Conn
	reads, writes int
}

func (c *countedTimer) SetReadDeadline(t time.Time) error {
	c.reads++
	return c.Conn.SetReadDeadline(t)
}

func (c *countedTimer) SetWriteDeadline(t time.Time) error {
	c.writes++
	return c.Conn.SetWriteDeadline(t)
}

// TestConnectionDeadlines reads and writes with deadlines that are put off, taken away and brought forward, and counts how often that reaches the connection
// itself.
func TestConnectionDeadlines(t *testing.T) {
	// read waits for a byte of nobody, and returns how long.
	read := func(c net.Conn) (time.Duration, error) {
		began := time.Now()
		_, err := c.Read(make([]byte, 2))
		return time.Since(began), err
	}
	for name, run := range map[string]func(t *testing.T, c *connection, timer *countedTimer, peer net.Conn){
		"put off each time": func(t *testing.T, c *connection, timer *countedTimer, peer net.Conn) {
			go func() {
				for range 100 {
					peer.Write([]byte("ab"))
					time.Sleep(10 * time.Millisecond)
				}
			}()
			for range 100 {
				c.SetReadDeadline(time.Now().Add(2 * time.Second))
				if _, err := read(c); err != nil {
					t.Fatal(err)
				}
				c.SetReadDeadline(time.Time{})
			}
			if timer.reads != 1 {
				t.Errorf("set %d times, not once", timer.reads)
			}
			c.SetReadDeadline(time.Now().Add(3 * time.Second)) // the timer goes off after one of them
			if took, err := read(c); took != 3*time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %v", took, err)
			}
			if timer.reads != 2 {
				t.Errorf("set %d times, not twice", timer.reads)
			}
		},
		"put off while it waits": func(t *testing.T, c *connection, _ *countedTimer, _ net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Second))
			time.AfterFunc(time.Second/2, func() { c.SetReadDeadline(time.Now().Add(time.Minute)) })
			if took, err := read(c); took != time.Minute+time.Second/2 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %v", took, err)
			}
		},
		"taken away while it waits": func(t *testing.T, c *connection, _ *countedTimer, peer net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Second))
			time.AfterFunc(time.Second/2, func() { c.SetReadDeadline(time.Time{}) })
			time.AfterFunc(time.Hour, func() { peer.Write([]byte("ab")) })
			if took, err := read(c); took != time.Hour || err != nil {
				t.Errorf("%v: %v", took, err)
			}
		},
		"brought forward while it waits": func(t *testing.T, c *connection, _ *countedTimer, _ net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			time.AfterFunc(time.Second, func() { c.SetReadDeadline(time.Unix(1, 0)) })
			if took, err := read(c); took != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %v", took, err)
			}
		},
		"brought forward before": func(t *testing.T, c *connection, _ *countedTimer, peer net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			go peer.Write([]byte("ab"))
			if _, err := read(c); err != nil {
				t.Fatal(err)
			}
			c.SetReadDeadline(time.Now().Add(time.Second))
			if took, err := read(c); took != time.Second || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %v", took, err)
			}
		},
		"written in pieces": func(t *testing.T, c *connection, timer *countedTimer, peer net.Conn) {
			c.SetWriteDeadline(time.Now().Add(time.Second))
			go peer.Read(make([]byte, 1))
			if n, err := c.Write([]byte("a")); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			time.Sleep(2 * time.Second) // by now the timer has gone off
			c.SetWriteDeadline(time.Now().Add(time.Hour))
			time.AfterFunc(time.Minute, func() { io.ReadFull(peer, make([]byte, 3)) })
			began := time.Now()
			if n, err := c.Write([]byte("abcde")); n != 3 || time.Since(began) != time.Hour || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d after %v: %v", n, time.Since(began), err)
			}
			if timer.writes != 2 {
				t.Errorf("set %d times, not twice", timer.writes)
			}
		},
		"one byte ahead": func(t *testing.T, c *connection, _ *countedTimer, peer net.Conn) {
			go peer.Write([]byte("ab"))
			one := make([]byte, 1)
			if n, err := c.Read(one); n != 0 || err != nil {
				t.Errorf("%d: %v", n, err)
			}
			c.SetReadDeadline(time.Unix(1, 0))
			if n, err := c.Read(one); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%d: %v", n, err)
			}
			c.SetReadDeadline(time.Now().Add(time.Second)) // and so it is no look ahead
			if n, err := c.Read(one); n != 1 || err != nil {
				t.Errorf("%d: %v", n, err)
			}
		},
		"closed": func(t *testing.T, c *connection, _ *countedTimer, _ net.Conn) {
			c.SetReadDeadline(time.Now().Add(time.Minute))
			time.AfterFunc(time.Second, func() { c.Close() })
			if took, err := read(c); took != time.Second || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%v: %v", took, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				timer := &countedTimer{Conn: ours}
				defer peer.Close()
				defer ours.Close()
				run(t, newConnection(timer), timer, peer)
			})
		})
	}
}

// pipes is a listener of net.Pipe, which keeps a bubble's time.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	if c, open := <-p.conns; open {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.conns) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "pipe"} }

// TestListenerBounds sends requests one after the other, and then too slowly in every way: the listener gives up when it has to, in the time of a bubble.
func TestListenerBounds(t *testing.T) {
	const fine = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, row := range map[string]struct {
		sends string        // after a fine request; what it begins is never ended
		want  time.Duration // until the connection is closed
		said  string        // before that
	}{
		"nothing":              {"", idleTimeout, ""},
		"a slow header":        {"GET / HTTP/1.1\r\nHost: a\r\nX-", readHeaderTimeout, ""},
		"a slow header's end":  {strings.TrimSuffix(fine, "\n"), readHeaderTimeout, ""},
		"a slow body":          {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234", readTimeout, "HTTP/1.1 408"},
		"a slow body's end":    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n12345678", readTimeout, "HTTP/1.1 408"},
		"an answer not read":   {strings.Replace(fine, "/", "/long", 1), writeTimeout, ""},
		"a request in between": {fine + fine, idleTimeout, "HTTP/1.1 200"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sources := &pipes{conns: make(chan net.Conn)}
				l, err := newListener(func() ([]net.Listener, error) { return []net.Listener{sources}, nil }, "", "", http.HandlerFunc(
					func(w http.ResponseWriter, r *http.Request) {
						if _, err := io.ReadAll(r.Body); err != nil {
							w.WriteHeader(http.StatusRequestTimeout)
						}
						if r.URL.Path == "/long" {
							io.WriteString(w, strings.Repeat("a", 1<<20))
						}
					}), zerolog.Nop())
				if err != nil {
					t.Fatal(err)
				}
				go l.Serve()
				ours, theirs := net.Pipe()
				sources.conns <- ours
				answers := bufio.NewReader(theirs)
				for range 3 {
					fmt.Fprint(theirs, fine)
					if a, err := http.ReadResponse(answers, nil); err != nil || a.StatusCode != http.StatusOK {
						t.Fatal(a, err)
					}
					time.Sleep(time.Second)
				}
				began := time.Now()
				fmt.Fprint(theirs, row.sends)
				if row.want == writeTimeout {
					time.Sleep(writeTimeout) // and nobody reads
				}
				said, err := io.ReadAll(answers)
				if took := time.Since(began).Round(time.Second); err != nil || took != row.want && took != row.want-time.Second || !strings.HasPrefix(string(said), row.said) {
					t.Errorf("after %v, not %v: %v: %.200q", took, row.want, err, said)
				}
				if err := l.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

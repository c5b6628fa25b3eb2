package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// inherit opens a socket as systemd does, and returns the copy that a service gets of it. The listener is systemd's own.
func inherit(t *testing.T, network, address string) (net.Listener, sockets) {
	t.Helper()
	own, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	file, err := own.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	return own, sockets{file}
}

// TestGateInherited: sockets of systemd always listen. Before the gate opens connections wait; once it has closed, or was told to refuse, they
// are turned away; and when it is shut for good they wait for the next process.
func TestGateInherited(t *testing.T) {
	dir, err := os.MkdirTemp("", "gate") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for network, address := range map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(dir, "s")} {
		t.Run(network, func(t *testing.T) {
			own, inherited := inherit(t, network, address)
			if err := inherited.check(); err != nil {
				t.Fatal(err)
			}
			g := &gate{failed: make(chan error, 1), turnAway: inherited.turnAway, listen: func() (*listener, error) {
				return newListener(inherited.listeners, "", "", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") }), zerolog.Nop())
			}}
			t.Cleanup(func() { g.shutDown(context.Background()) })
			ask := func() string {
				transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, own.Addr().String())
				}}
				answer, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Get("http://gate/")
				if err != nil {
					return "turned away"
				}
				defer answer.Body.Close()
				text, _ := io.ReadAll(answer.Body)
				return string(text)
			}
			must := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}

			early, err := net.Dial(network, own.Addr().String())
			must(err)
			defer early.Close()
			_, err = io.WriteString(early, "GET / HTTP/1.0\r\n\r\n")
			must(err)
			must(g.open())
			if got, err := io.ReadAll(early); err != nil || !strings.HasSuffix(string(got), "here") {
				t.Errorf("who came before it opened was told %q, %v", got, err)
			}
			must(g.refuse())
			if got := ask(); got != "here" {
				t.Errorf("an open gate that is told to refuse: %q", got)
			}
			for range 3 {
				must(g.close(t.Context()))
				if got := ask(); got != "turned away" {
					t.Errorf("while it is closed: %q", got)
				}
				must(g.refuse()) // which it does
				must(g.open())
				if g.stop != nil {
					t.Error("it is open, and refuses as well")
				}
				if got := ask(); got != "here" {
					t.Errorf("open again: %q", got)
				}
			}
			must(g.shutDown(t.Context()))
			must(g.refuse())
			must(g.open())
			if g.stop != nil {
				t.Error("it is shut for good, and refuses whom the next process shall get")
			}
			late := make(chan string, 1)
			go func() { late <- ask() }()
			next, err := own.Accept()
			must(err)
			defer next.Close()
			_, err = http.ReadRequest(bufio.NewReader(next))
			must(err)
			_, err = io.WriteString(next, "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nlater")
			must(err)
			if got := <-late; got != "later" {
				t.Errorf("after it was shut down: %q", got)
			}
		})
	}
}

// TestGateNeverOpened: a newcomer that is held back refuses once it is told to.
func TestGateNeverOpened(t *testing.T) {
	own, inherited := inherit(t, "tcp", "127.0.0.1:0")
	g := &gate{failed: make(chan error, 1), turnAway: inherited.turnAway}
	conn, err := net.Dial("tcp", own.Addr().String()) // the kernel takes it into the queue
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := g.refuse(); err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	if n, err := conn.Read(make([]byte, 1)); n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it was kept: %d, %v", n, err)
	}
	if err := g.shutDown(t.Context()); err != nil || g.stop != nil {
		t.Errorf("shut for good: %v; it refuses still: %v", err, g.stop != nil)
	}
}

// TestInheritedSockets: what cannot be served is named, with what would be right.
func TestInheritedSockets(t *testing.T) {
	_, tcp := inherit(t, "tcp", "127.0.0.1:0")
	datagrams, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer datagrams.Close()
	udp, err := datagrams.(*net.UDPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	pipe, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	for want, s := range map[string]sockets{
		"systemd passed no socket; ": nil,
		"no socket that listens; ":   {tcp[0], udp},
		"no socket that listens":     {pipe},
	} {
		if err := s.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	got := call(t, "serve", variables("AUTHSVC_LISTEN=systemd", "AUTHSVC_ADMIN_LISTEN=", "AUTHSVC_OIDC_ISSUER=http://127.0.0.1:1")...)
	if got.code != exitFailure || !strings.Contains(got.stderr, "listen: systemd passed no socket; ") {
		t.Errorf("%+v", got)
	}
}

package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// newGate makes a gate to an address, behind which the handler answers.
func newGate(t *testing.T, address string, handler http.HandlerFunc) (g *gate, failed chan error) {
	failed = make(chan error, 1)
	g = &gate{failed: failed, listen: func() (*listener, error) {
		return newListener(func() ([]net.Listener, error) { return openAddress(address) }, "", "", handler, zerolog.Nop())
	}}
	t.Cleanup(func() { g.shutDown(context.Background()) })
	return g, failed
}

// TestGate opens and closes, again and again, on a port and on a socket.
func TestGate(t *testing.T) {
	dir, err := os.MkdirTemp("", "gate") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for network, address := range map[string]string{"tcp": free.Addr().String(), "unix": filepath.Join(dir, "s")} {
		t.Run(network, func(t *testing.T) {
			name := address
			if network == "unix" {
				name = "unix:" + address
			}
			g, failed := newGate(t, name, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "here") })
			ask := func() (string, error) {
				transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				}}
				defer transport.CloseIdleConnections()
				answer, err := (&http.Client{Transport: transport}).Get("http://gate/")
				if err != nil {
					return "", err
				}
				defer answer.Body.Close()
				text, err := io.ReadAll(answer.Body)
				return string(text), err
			}
			if text, err := ask(); err == nil {
				t.Errorf("before it opened: %s", text)
			}
			for range 3 {
				for range 2 { // the second time changes nothing
					if err := g.open(); err != nil {
						t.Fatal(err)
					}
				}
				if text, err := ask(); err != nil || text != "here" {
					t.Errorf("%q, %v", text, err)
				}
				for range 2 {
					if err := g.close(t.Context()); err != nil {
						t.Error(err)
					}
				}
				if text, err := ask(); err == nil {
					t.Errorf("while it is closed: %s", text)
				}
			}
			if err := g.shutDown(t.Context()); err != nil {
				t.Error(err)
			}
			if err := g.open(); err != nil {
				t.Error(err)
			}
			if text, err := ask(); err == nil {
				t.Errorf("after it was shut down: %s", text)
			}
			if len(failed) > 0 {
				t.Errorf("it failed: %v", <-failed)
			}
		})
	}
}

// TestGateClosing: a request under way is finished; one that takes longer than there is time is broken off.
func TestGateClosing(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	begun, goOn := make(chan bool), make(chan bool)
	g, _ := newGate(t, free.Addr().String(), func(w http.ResponseWriter, _ *http.Request) {
		begun <- true
		<-goOn
		io.WriteString(w, "done")
	})
	ask := func() <-chan string {
		result := make(chan string, 1)
		go func() {
			answer, err := http.Get("http://" + free.Addr().String())
			if err != nil {
				result <- "broken off"
				return
			}
			defer answer.Body.Close()
			text, _ := io.ReadAll(answer.Body)
			result <- string(text)
		}()
		<-begun
		return result
	}
	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	result, closed := ask(), make(chan error)
	go func() { closed <- g.close(context.Background()) }()
	goOn <- true
	if err, text := <-closed, <-result; err != nil || text != "done" {
		t.Errorf("%s, %v", text, err)
	}

	if err := g.open(); err != nil {
		t.Fatal(err)
	}
	result = ask()
	noTime, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.close(noTime); err == nil || <-result != "broken off" {
		t.Errorf("a request that takes too long: %v", err)
	}
	goOn <- true
	if err := g.open(); err != nil { // the address is free
		t.Error(err)
	}
}

// TestAddressInUse ends the program, whichever listener cannot be opened.
func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, variable := range []string{"LISTEN", "ADMIN_LISTEN"} {
		environ := variables("AUTHSVC_LISTEN=127.0.0.1:0", "AUTHSVC_ADMIN_LISTEN=127.0.0.1:0", "AUTHSVC_OIDC_ISSUER=http://127.0.0.1:1",
			"AUTHSVC_SHUTDOWN_DELAY=0", "AUTHSVC_"+variable+"="+taken.Addr().String())
		got := call(t, "serve", environ...)
		if got.code != exitFailure || !strings.Contains(got.stderr, strings.ToLower(variable)+": ") || !strings.Contains(got.stderr, "address already in use") {
			t.Errorf("%s: %+v", variable, got)
		}
		if strings.Contains(got.stderr, `"message":"serving"`) {
			t.Errorf("%s: it said that it serves: %s", variable, got.stderr)
		}
	}
}

// TestReplicasNeedsAStore: a store that ends with its process has nobody to show.
func TestReplicasNeedsAStore(t *testing.T) {
	if got := call(t, "replicas", variables()...); got.code != exitFailure || !strings.Contains(got.stderr, "store.url is memory:") {
		t.Errorf("%+v", got)
	}
	if got := call(t, "replicas", variables("AUTHSVC_STORE_URL=redis://127.0.0.1:1")...); got.code != exitFailure || got.stdout != "" {
		t.Errorf("%+v", got)
	}
}

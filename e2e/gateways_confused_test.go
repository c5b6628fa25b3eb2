package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

// TestGatewaysConfused: where the service should be, something answers that is no verdict. Nobody is let in, and nobody waits for ever.
func TestGatewaysConfused(t *testing.T) {
	for _, g := range gateways {
		for what, answer := range map[string]string{
			"nothing":                    "",
			"another protocol":           "SSH-2.0-OpenSSH_9.2\r\n",
			"a server error":             "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad",
			"not found":                  "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nbad",
			"a redirect":                 "HTTP/1.1 302 Found\r\nLocation: https://other.example.com/\r\nContent-Length: 0\r\n\r\n",
			"another protocol, politely": "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
			"half a status":              "HTTP/1.1 2",
			"half a header":              "HTTP/1.1 200 OK\r\nX-Auth-Request-User: ali",
			"silence":                    silence,
		} {
			t.Run(g.name+"/"+what, func(t *testing.T) {
				t.Parallel()
				f := &fleet{stack: &stack{t: t, site: nginxtest.FreeAddress(t)}, t: t, backend: newBackend(t)}
				service := &babbler{answer: answer}
				g.start(t, f.site, []string{service.listen(t), service.listen(t)}, f.backend.Listener.Addr().String(), "?")
				storetest.WaitFor(t, "an answer that the service was asked for", func() error {
					a := f.send(f.site, "GET", "/a", append([]string{"Cookie: " + sessionCookie + "=a"}, pageHeaders...), "")
					if len(a.seen) > 0 {
						t.Fatalf("%d; the application saw %+v", a.status, a.seen)
					}
					if service.asked.Load() == 0 || a.status == 0 {
						return fmt.Errorf("%d; the service was asked %d times", a.status, service.asked.Load())
					}
					return nil
				})
			})
		}
	}
}

// babbler answers every request with the same bytes.
type babbler struct {
	answer string
	asked  atomic.Int64
}

// silence is to keep the connection and say nothing.
const silence = "silence"

// listen serves at a free address, which it returns, until the test ends.
func (b *babbler) listen(t *testing.T) string {
	t.Helper()
	l := listenOn(t, "127.0.0.1:0")
	var running sync.WaitGroup
	ended := make(chan struct{})
	t.Cleanup(running.Wait)
	t.Cleanup(func() { l.Close(); close(ended) })
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { b.serve(conn, ended) })
		}
	})
	return l.Addr().String()
}

func (b *babbler) serve(conn net.Conn, ended <-chan struct{}) {
	defer conn.Close()
	if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
		return // a look whether anybody is there
	}
	b.asked.Add(1)
	if b.answer == silence {
		<-ended
		return
	}
	io.WriteString(conn, b.answer) // an error means that the gateway has heard enough
}

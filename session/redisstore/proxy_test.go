package redisstore

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// proxy stands between a store and a server and does what networks do.
type proxy struct {
	Addr   string
	server string

	// dials counts the connections that were taken.
	dials atomic.Int64
	// answer, unless nil, decides what happens to a piece of the server's answers on one connection, of which sent bytes went
	// through before: how many bytes of it still go through, and whether the connection is cut then. It may wait.
	answer atomic.Pointer[func(sent, size int) (pass int, cut bool)]
	// stale, unless nil, gives what a connection that is in use brings before a piece of the server's answers: answers to somebody
	// else's questions.
	stale atomic.Pointer[func() []byte]
	// hang keeps everything that comes from clients from the server.
	hang atomic.Bool

	mu       sync.Mutex
	listener net.Listener
	conns    map[net.Conn]bool
	running  sync.WaitGroup
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	p := &proxy{server: server, conns: map[net.Conn]bool{}}
	p.listen(t, "127.0.0.1:0")
	t.Cleanup(func() { p.close(); p.running.Wait() })
	return p
}

func (p *proxy) listen(t *testing.T, address string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.listener, p.Addr = l, l.Addr().String()
	p.mu.Unlock()
	p.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.dials.Add(1)
			p.running.Go(func() { p.serve(c) })
		}
	})
}

// close ends the listener and all connections, with a reset.
func (p *proxy) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.listener.Close()
	for c := range p.conns {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
}

func (p *proxy) track(c net.Conn) (forget func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
		c.Close()
	}
}

func (p *proxy) serve(client net.Conn) {
	defer p.track(client)()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer p.track(server)()
	p.running.Go(func() { p.carry(client, server) })
	p.bring(server, client)
}

// carry takes commands to the server.
func (p *proxy) carry(client, server net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			server.Close()
			return
		}
		if p.hang.Load() {
			continue // swallowed: the connection is of no use any more
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// bring takes answers to the client.
func (p *proxy) bring(server, client net.Conn) {
	buffer := make([]byte, 64<<10)
	sent := 0
	for {
		n, err := server.Read(buffer)
		if err != nil {
			return
		}
		pass, cut := n, false
		if decide := p.answer.Load(); decide != nil {
			pass, cut = (*decide)(sent, n)
		}
		answer := buffer[:pass]
		if earlier := p.stale.Load(); earlier != nil && sent > 0 {
			answer = append((*earlier)(), answer...)
		}
		if _, err := client.Write(answer); err != nil || cut {
			if cut && pass%2 == 1 {
				client.(*net.TCPConn).SetLinger(0) // a reset; else an orderly end
			}
			return
		}
		sent += pass
	}
}

// deaf is the address of something that takes connections and never says a word.
func deaf(t *testing.T) (address string, dials *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dials = &atomic.Int64{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			running.Go(func() { io.Copy(io.Discard, c); c.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String(), dials
}

// slow returns a decision that delays all answers.
func slow(d time.Duration) *func(int, int) (int, bool) {
	f := func(_, size int) (int, bool) {
		time.Sleep(d) // the fault itself
		return size, false
	}
	return &f
}

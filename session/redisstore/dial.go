package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// dialer makes the connections of all pools, in place of go-redis' own, for three reasons:
//
//   - A pool of go-redis that met as many dial errors as it has places fails at once from then on and looks
//     only once a second whether Redis is back. So no dial fails here: it gives a connection that
//     is broken from the start (brokenConn), and this dialer decides when the network is tried.
//   - A server that is gone, hangs or refuses must not be met with a storm of dials by those who wait for it, nor be found so when
//     it returns (see line).
//   - Idle connections over TLS must be seen to be closed before they are used, as plain ones are (see conn).
type dialer struct {
	timeout time.Duration
	tls     *tlsFiles // nil for plain connections

	mu      sync.Mutex
	lines   map[string]*line
	renewed time.Time // connections made before are not used again
}

// retryInterval is how often a server that does not answer is tried again, at most, by each replica. With
// it, everyone passes again within two intervals of its return.
const retryInterval = 100 * time.Millisecond

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l := d.line(address)
	if err := l.admit(time.Now()); err != nil {
		return brokenConn{err}, nil
	}
	netDialer := net.Dialer{
		// A peer that lost power or was cut off without a word is found within half a minute.
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3},
	}
	raw, err := netDialer.DialContext(ctx, network, address)
	if err != nil {
		return brokenConn{l.failed(err)}, nil
	}
	c := &conn{Conn: raw, raw: raw, dialer: d, line: l, dialed: time.Now()}
	if d.tls != nil {
		secured, err := d.tls.handshake(ctx, raw, address)
		if err != nil {
			raw.Close()
			return brokenConn{l.failed(err)}, nil
		}
		c.Conn = secured
	}
	return c, nil
}

// line returns the state of an address. There are as many as a deployment has nodes.
func (d *dialer) line(address string) *line {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := d.lines[address]
	if l == nil {
		l = &line{}
		d.lines[address] = l
	}
	return l
}

// renew makes all present connections be closed instead of used again, at most once a second.
func (d *dialer) renew() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.renewed) > time.Second {
		d.renewed = now
	}
}

func (d *dialer) outdated(c *conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return c.dialed.Before(d.renewed)
}

// line is what is known about one address: once a new connection was refused or brought no answer, only one dial
// per retryInterval reaches it, and everyone else gets that connection's error, until it answers again.
type line struct {
	mu     sync.Mutex
	err    error // nil while the address answers
	next   time.Time
	hushed int // connections that were closed before they had much time to answer, since the last answer
}

func (l *line) admit(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		return nil
	}
	if now.Before(l.next) {
		return l.err
	}
	l.postpone(now)
	return nil
}

// postpone spreads the replicas' tries over the interval.
func (l *line) postpone(now time.Time) {
	l.next = now.Add(retryInterval/2 + rand.N(retryInterval/2))
}

func (l *line) failed(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.postpone(time.Now())
	}
	l.err = err
	return err
}

func (l *line) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.hushed = nil, 0
}

// silent notes that a new connection was closed and had not said anything. One that had little time, because its caller's was
// nearly up, says nothing about the address; a whole pool of them does.
func (l *line) silent(littleTime bool) {
	l.mu.Lock()
	l.hushed++
	believe := !littleTime || l.hushed >= poolSize
	l.mu.Unlock()
	if believe {
		l.failed(errSilent)
	}
}

// conn is a connection that tells its line how it went.
type conn struct {
	net.Conn          // over TLS, if any
	raw      net.Conn // the socket
	dialer   *dialer
	line     *line
	dialed   time.Time

	due time.Time // when what is read now must be there, unless that was put off already; of whoever uses the connection

	mu       sync.Mutex
	answered bool   // something other than an error came
	refusal  string // the code of the error that came instead
	ended    error  // by the other side
}

// SetReadDeadline begins the reading of a reply.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.due = t
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !c.due.IsZero() {
		n, err = c.readLate(b)
	}
	if n > 0 {
		c.hear(b[:n])
	} else if err != nil && !isTimeout(err) && !errors.Is(err, net.ErrClosed) {
		c.mu.Lock()
		c.ended = err
		c.mu.Unlock()
	}
	return n, err
}

// readLate looks once more when the time to read is up, for as long as this process was late to learn that, and at most half as long as it was to wait: it
// waited for a CPU then, and so, perhaps, did a server beside it. The reply may lie in the socket unseen, since a timer is looked at before a
// socket is, or be about to come. Of a store that hangs, and a process that does not wait, it changes nothing.
func (c *conn) readLate(b []byte) (int, error) {
	late := min(time.Since(c.due), c.dialer.timeout/2)
	c.due = time.Time{} // once
	if err := c.Conn.SetReadDeadline(time.Now().Add(late)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		err = &silentError{err}
	}
	return n, err
}

// silentError is a server's that was asked and did not answer in time, whatever this process was waiting for.
type silentError struct{ error }

func (e *silentError) Unwrap() error { return e.error }
func (*silentError) Timeout() bool   { return true } // go-redis looks at the error itself
func (*silentError) Temporary() bool { return true }

// hear looks at the answers to the first commands. RESP errors start with a minus and a code.
func (c *conn) hear(answer []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.answered:
	case answer[0] == '-':
		c.refusal = errorCode(string(answer[1:]))
	default:
		c.answered = true
		c.line.answered()
	}
}

// Close closes the socket itself: the farewell of TLS could wait for a peer that does not read.
func (c *conn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.answered {
		switch {
		case c.refusal != "":
			c.line.failed(&refusedError{code: c.refusal})
		case c.ended != nil:
			c.line.failed(c.ended)
		default:
			c.line.silent(time.Since(c.dialed) < c.dialer.timeout/2)
		}
		c.answered = true // tell once
	}
	return c.raw.Close()
}

// SyscallConn lets the pool look, before it uses an idle connection, whether there is anything to read: as we speak RESP2, where
// a server never speaks first, that means the end or a reply that somebody left behind. It sees the socket below
// TLS, which go-redis would not look at: after the handshake's tickets, which come before the first reply, nothing
// but an alert comes unasked there.
func (c *conn) SyscallConn() (syscall.RawConn, error) {
	if c.dialer.outdated(c) {
		return nil, net.ErrClosed
	}
	return c.raw.(syscall.Conn).SyscallConn()
}

// brokenConn is a connection that could not be made: whatever is done with it fails with the reason.
type brokenConn struct{ reason error }

func (c brokenConn) err() error                            { return &dialError{c.reason} }
func (c brokenConn) Read([]byte) (int, error)              { return 0, c.err() }
func (c brokenConn) Write([]byte) (int, error)             { return 0, c.err() }
func (c brokenConn) Close() error                          { return nil }
func (c brokenConn) LocalAddr() net.Addr                   { return &net.TCPAddr{} }
func (c brokenConn) RemoteAddr() net.Addr                  { return &net.TCPAddr{} }
func (c brokenConn) SetDeadline(time.Time) error           { return nil }
func (c brokenConn) SetReadDeadline(time.Time) error       { return nil }
func (c brokenConn) SetWriteDeadline(time.Time) error      { return nil }
func (c brokenConn) SyscallConn() (syscall.RawConn, error) { return nil, c.err() }

// dialError hides why there is no connection from go-redis, which would see something to be tried again, and pause
// for that while it holds a place in the pool. Store.do tries again without, and explain takes the reason out.
type dialError struct{ reason error }

func (e *dialError) Error() string { return "no connection: " + e.reason.Error() }

var errSilent = errors.New("the server takes connections but does not answer")

package main

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// connection is a client's, and makes net/http's care of it cheap: half a dozen deadlines and a second reader for each request cost a sixth of the CPU
// that a verdict takes.
//
// Deadlines hold as they do for any net.Conn, but the timer beneath is set when one is to come sooner than it goes off, and not each time that one is put off:
// when it goes off, whoever waits waits on as long as may be.
//
// While a handler runs, net/http reads one byte ahead, without a deadline, to learn of clients that go. Nothing is found here: no answer takes long, and what a
// verdict or a login has begun is finished for nobody, too.
type connection struct {
	net.Conn
	reads, writes deadline
}

func newConnection(c net.Conn) *connection {
	return &connection{Conn: c, reads: deadline{set: c.SetReadDeadline}, writes: deadline{set: c.SetWriteDeadline}}
}

// Read implements net.Conn, and finds nothing where net/http only wants to know whether the client has gone: see connection. Whatever else it reads has a
// deadline.
func (c *connection) Read(p []byte) (n int, err error) {
	if len(p) == 1 {
		switch end := c.reads.end(); {
		case end.IsZero():
			return 0, nil
		case !time.Now().Before(end):
			return 0, os.ErrDeadlineExceeded // the handler was faster
		}
	}
	for again := true; again; {
		c.reads.begin()
		n, err = c.Conn.Read(p)
		again = c.reads.again(err) && n == 0
	}
	return n, err
}

// Write implements net.Conn.
func (c *connection) Write(p []byte) (written int, err error) {
	for again := true; again; {
		var n int
		c.writes.begin()
		n, err = c.Conn.Write(p[written:])
		written += n
		again = c.writes.again(err)
	}
	return written, err
}

// SetReadDeadline implements net.Conn.
func (c *connection) SetReadDeadline(t time.Time) error { return c.reads.until(t) }

// SetWriteDeadline implements net.Conn.
func (c *connection) SetWriteDeadline(t time.Time) error { return c.writes.until(t) }

// SetDeadline implements net.Conn.
func (c *connection) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// CloseWrite is *net.TCPConn's, and what net/http asks for before it closes a connection on which more may be coming.
func (c *connection) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// deadline is a deadline of a connection, for one direction. Its methods may be called by several goroutines.
type deadline struct {
	set func(time.Time) error // the deadline of the connection itself

	mu      sync.Mutex
	wanted  time.Time // when to give up; zero is never
	armed   time.Time // what was set; zero is nothing
	waiting int       // how many calls may wait
}

// until sets the deadline, of calls under way, too.
func (d *deadline) until(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wanted = t
	if d.waiting == 0 {
		return nil
	}
	return d.hasten()
}

// end returns the deadline.
func (d *deadline) end() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wanted
}

// begin is called before a call that may wait.
func (d *deadline) begin() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting++
	d.hasten() // a connection that was closed says so again
}

// again is called behind such a call, with its error, and reports whether it gave up too soon, so that it has to be made again.
func (d *deadline) again(err error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
	if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) || !d.wanted.IsZero() && !time.Now().Before(d.wanted) {
		return false
	}
	return d.arm() == nil
}

// hasten sets what was set anew where it comes too late. d.mu is held.
func (d *deadline) hasten() error {
	if d.wanted.IsZero() || !d.armed.IsZero() && !d.wanted.Before(d.armed) {
		return nil
	}
	return d.arm()
}

// arm sets the deadline of the connection itself. d.mu is held.
func (d *deadline) arm() error {
	d.armed = d.wanted
	return d.set(d.wanted)
}

package redisstore

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// late is a connection on which a reply is awaited within bound from now, and the other end of it.
func late(t *testing.T) (c *conn, server net.Conn) {
	client, server := net.Pipe()
	t.Cleanup(func() { client.Close(); server.Close() })
	c = &conn{Conn: client, raw: client, dialer: &dialer{timeout: bound}, line: &line{}, dialed: time.Now()}
	c.SetReadDeadline(time.Now().Add(bound))
	return c, server
}

// A reply that came while this process waited for a CPU was in time, whenever it is read.
func TestReplyThatIsReadLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := late(t)
		go server.Write([]byte("+OK\r\n"))
		time.Sleep(10 * bound) // no CPU
		if n, err := c.Read(make([]byte, 5)); n == 0 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

// A server that waits for the same CPU answers as late as this process asks for the reply.
func TestReplyThatComesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := late(t)
		go func() {
			time.Sleep(bound + 70*time.Millisecond)
			server.Write([]byte("+OK\r\n"))
		}()
		time.Sleep(bound + 40*time.Millisecond) // no CPU
		if n, err := c.Read(make([]byte, 5)); n == 0 || err != nil {
			t.Errorf("read %d bytes, %v", n, err)
		}
	})
}

// Whoever was on time waits no longer than was said, and whoever was late, once, for as long as that or half of it all.
func TestReplyThatDoesNotCome(t *testing.T) {
	for _, tt := range []struct{ away, want time.Duration }{
		{0, bound},
		{bound / 2, bound},
		{bound + 40*time.Millisecond, bound + 80*time.Millisecond},
		{10 * bound, 10*bound + bound/2},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := late(t)
			start := time.Now()
			time.Sleep(tt.away) // no CPU
			for range 2 {
				if _, err := c.Read(make([]byte, 5)); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("read: %v", err)
				}
			}
			if took := time.Since(start); took != tt.want {
				t.Errorf("away for %v, it took %v, want %v", tt.away, took, tt.want)
			}
		})
	}
}

// An operation that learned late that its time was up, and asked nothing, has another try, and no other.
func TestOperationThatIsLate(t *testing.T) {
	for _, tt := range []struct {
		name  string
		away  time.Duration // beyond the deadline
		err   error
		tries int
		took  time.Duration
	}{
		{"on time", 0, context.DeadlineExceeded, 1, bound},
		{"late", 30 * time.Millisecond, context.DeadlineExceeded, 2, bound + 2*30*time.Millisecond},
		{"very late", 10 * bound, context.DeadlineExceeded, 2, 11*bound + bound/2},
		{"late, when it was asked", 10 * bound, &silentError{os.ErrDeadlineExceeded}, 1, 11 * bound},
		{"late, with an answer", 10 * bound, nil, 1, 11 * bound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, start, tries := &Store{}, time.Now(), 0
				err := s.within(t.Context(), bound, func(ctx context.Context) error {
					<-ctx.Done()
					if tries++; tries == 1 {
						time.Sleep(tt.away)
					}
					return tt.err
				})
				if took := time.Since(start); err != tt.err || tries != tt.tries || took != tt.took {
					t.Errorf("%v after %d tries and %v, want %v after %d and %v", err, tries, took, tt.err, tt.tries, tt.took)
				}
			})
		})
	}
}

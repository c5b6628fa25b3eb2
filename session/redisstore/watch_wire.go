package redisstore

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// wire is a connection of the push channel. It is set up by call; then one goroutine reads it and another may ask. It speaks RESP3, where a server that tells
// of changes answers questions as well.
type wire struct {
	address string
	conn    net.Conn
	in      *respReader
	timeout time.Duration
	// resp2 says that the server knows no HELLO: then what is told and what is answered look alike, and nothing but PING can be asked.
	resp2 bool

	mu sync.Mutex
	// asked is when a question was sent that has not been answered; zero if there is none.
	asked time.Time
	// sure is when the last question that was answered was sent: what happened before it was told before the answer.
	sure time.Time
}

// dialWire connects within the timeout of the store and says who we are.
func (s *Store) dialWire(ctx context.Context, network, address, user, password string) (*wire, error) {
	dialing, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	conn, err := s.dialer.dial(dialing, network, address)
	if err != nil {
		return nil, err
	}
	w := &wire{address: address, conn: conn, in: newRESPReader(conn), timeout: s.timeout, sure: time.Now()}
	if err := w.greet(ctx, user, password); err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

// greet makes it RESP3, if the server has that. HELLO needs no right (it is what one says before one has any).
func (w *wire) greet(ctx context.Context, user, password string) error {
	hello := []string{"HELLO", "3"}
	if password != "" {
		hello = append(hello, "AUTH", cmp.Or(user, "default"), password)
	}
	_, err := w.call(ctx, hello...)
	if err == nil || !isRefusal(err) {
		return err
	}
	w.resp2 = true
	switch {
	case password == "":
		// A connection that brought nothing but a refusal would count as one that the server does not want (see conn).
		_, err = w.call(ctx, "PING")
	case user == "":
		_, err = w.call(ctx, "AUTH", password)
	default:
		_, err = w.call(ctx, "AUTH", user, password)
	}
	return err
}

// call sends a command and waits for its reply. What is told meanwhile is dropped.
func (w *wire) call(ctx context.Context, args ...string) (any, error) {
	deadline := time.Now().Add(w.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	w.conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { w.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := w.conn.Write(appendCommand(nil, args...)); err != nil {
		return nil, err
	}
	subscribing := args[0] == "SUBSCRIBE"
	for {
		f, err := w.in.next(func([]byte) {})
		if err != nil {
			return nil, err
		}
		if reply, failed := f.value.(respError); failed {
			return nil, fmt.Errorf("%s: %w", args[0], reply)
		}
		// A subscription is confirmed by a push.
		if !f.push || subscribing && f.value.([]any)[0] == "subscribe" {
			return f.value, nil
		}
	}
}

// ask sends a question whose reply the reading goroutine gets, unless the one before it has not been answered.
func (w *wire) ask(args ...string) error {
	now := time.Now()
	w.mu.Lock()
	waiting := !w.asked.IsZero()
	if !waiting {
		w.asked = now
	}
	w.mu.Unlock()
	if waiting {
		return nil
	}
	w.conn.SetWriteDeadline(now.Add(checkInterval))
	_, err := w.conn.Write(appendCommand(nil, args...))
	return err
}

func (w *wire) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.asked.IsZero() {
		w.sure, w.asked = w.asked, time.Time{}
	}
}

func (w *wire) sureUntil() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sure
}

// listen reads until the connection ends, a reading function says so, or nothing was answered for silence.
func (w *wire) listen(changed func(key []byte), told func(values []any), answer func(value any) error) error {
	w.conn.SetReadDeadline(time.Now().Add(silence))
	for {
		f, err := w.in.next(changed)
		if err != nil {
			return err
		}
		values, list := f.value.([]any)
		if f.push || w.resp2 && list && len(values) > 0 && values[0] != "pong" {
			told(values)
			continue
		}
		if reply, failed := f.value.(respError); failed {
			return reply
		}
		if err := answer(f.value); err != nil {
			return err
		}
		w.answered()
		w.conn.SetReadDeadline(time.Now().Add(silence))
	}
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
)

// wire is between one replica and Redis. It knows the connections on which Redis tells of changes, and can hurt them alone.
type wire struct {
	listener net.Listener
	socket   string // of Redis
	running  sync.WaitGroup

	mu    sync.Mutex
	harm  harm
	lines map[*wireLine]bool
}

// harm is what a wire does to connections on which Redis tells of changes, or to all; to new ones, too.
type harm int

const (
	noHarm   harm = iota
	silence       // they stay open and nothing comes through, in either direction
	deafness      // they stay open and nothing comes from Redis until the harm ends; then it comes, late
	reset         // they break
	blackout      // silence on all connections
)

// wireLine is one connection.
type wireLine struct {
	client, server net.Conn
	feed           bool   // Redis tells of changes on it
	held           []byte // came from Redis and was held back
	lost           bool   // some bytes are gone for ever
}

// startWire listens on a port and leads to Redis' socket. The flagship ends it.
func (f *flagship) startWire(socket string) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("a port in front of Redis: %w", err)
	}
	w := &wire{listener: listener, socket: socket, lines: map[*wireLine]bool{}}
	w.running.Go(w.accept)
	f.OnStop(w.close)
	return w, nil
}

// url is what the replica takes for Redis.
func (w *wire) url() string { return "redis://" + w.listener.Addr().String() + "/0" }

func (w *wire) close() error {
	err := w.listener.Close()
	w.mu.Lock()
	for l := range w.lines {
		l.close()
	}
	w.mu.Unlock()
	w.running.Wait()
	return err
}

func (w *wire) accept() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", w.socket)
		if err != nil {
			client.Close()
			continue
		}
		l := &wireLine{client: client, server: server}
		w.mu.Lock()
		w.lines[l] = true
		w.mu.Unlock()
		w.running.Go(func() { w.pump(l, client, w.toRedis) })
		w.running.Go(func() { w.pump(l, server, w.fromRedis) })
	}
}

// pump passes on what comes from one end, until the connection ends.
func (w *wire) pump(l *wireLine, from net.Conn, pass func(*wireLine, []byte) error) {
	defer func() {
		l.close()
		w.mu.Lock()
		delete(w.lines, l)
		w.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || pass(l, buffer[:n]) != nil {
			return
		}
	}
}

var errReset = errors.New("reset")

// toRedis passes commands on. The word that asks for pushes or messages comes in one piece: it is among the first that a client writes.
func (w *wire) toRedis(l *wireLine, commands []byte) error {
	w.mu.Lock()
	upper := bytes.ToUpper(commands)
	l.feed = l.feed || bytes.Contains(upper, []byte("TRACKING")) || bytes.Contains(upper, []byte("SUBSCRIBE"))
	harm := w.harmTo(l)
	l.lost = l.lost || harm == silence
	w.mu.Unlock()
	switch harm {
	case silence:
		return nil
	case reset:
		return errReset
	}
	_, err := l.server.Write(commands)
	return err
}

// fromRedis passes answers and pushes on.
func (w *wire) fromRedis(l *wireLine, answers []byte) error {
	w.mu.Lock()
	if !l.feed && w.harm != blackout {
		w.mu.Unlock()
		_, err := l.client.Write(answers)
		return err
	}
	defer w.mu.Unlock() // so that what was held back comes first
	switch w.harmTo(l) {
	case silence:
		l.lost = true
	case deafness:
		l.held = append(l.held, answers...)
	default:
		_, err := l.client.Write(answers)
		return err
	}
	return nil
}

// harmTo is what happens to a connection now. w.mu is held.
func (w *wire) harmTo(l *wireLine) harm {
	switch {
	case w.harm == blackout:
		return silence
	case !l.feed:
		return noHarm
	}
	return w.harm
}

// do begins a harm, or ends it.
func (w *wire) do(h harm) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.harm = h
	for l := range w.lines {
		switch {
		case l.lost || l.feed && h == reset:
			l.close()
		case h == noHarm && len(l.held) > 0:
			l.client.Write(l.held) // an error means that the replica has given it up
			l.held = nil
		}
	}
}

// feeds is on how many connections Redis tells the replica of changes now.
func (w *wire) feeds() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for l := range w.lines {
		if l.feed {
			n++
		}
	}
	return n
}

// close breaks both ends: the replica sees a reset where it is one.
func (l *wireLine) close() {
	if tcp, ok := l.client.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	l.client.Close()
	l.server.Close()
}

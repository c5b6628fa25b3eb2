package main

import (
	"context"
	"sync"
	"time"
)

// gate is the public listener, which opens when the other replicas have nothing against this one, and may have to close again. Its methods
// may be called from several goroutines.
type gate struct {
	listen func() (*listener, error)
	failed chan<- error // gets what ended the listener when nobody closed it

	mu      sync.Mutex
	current *listener // nil while closed
	done    chan struct{}
	shut    bool // for good
}

// closingTime is what requests under way get when the gate closes before the program ends. Gateways find out at once: no
// connection is taken any more.
const closingTime = 2 * time.Second

// open listens, unless the gate is open or shut for good. Errors: the address cannot be listened on.
func (g *gate) open() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil || g.shut {
		return nil
	}
	l, err := g.listen()
	if err != nil {
		return err
	}
	done := make(chan struct{})
	g.current, g.done = l, done
	go func() {
		defer close(done)
		if err := l.Serve(); err != nil {
			g.failed <- err
		}
	}()
	return nil
}

// close stops listening until it is opened again, gives requests under way until ctx ends, and breaks off those that are left.
func (g *gate) close(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current == nil {
		return nil
	}
	err := g.current.Shutdown(ctx)
	if err != nil {
		g.current.Close()
	}
	<-g.done
	g.current = nil
	return err
}

// shutDown closes for good.
func (g *gate) shutDown(ctx context.Context) error {
	g.mu.Lock()
	g.shut = true
	g.mu.Unlock()
	return g.close(ctx)
}

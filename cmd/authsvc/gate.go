package main

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gate is the public listener, which opens when the other replicas have nothing against this one, and may have to close again. Its methods
// may be called from several goroutines.
type gate struct {
	listen func() (*listener, error)
	failed chan<- error // gets what ended the listener when nobody closed it
	// turnAway, for sockets that listen whether the gate is open or not, refuses connections until stop is called.
	turnAway func() (stop func(), err error)

	mu      sync.Mutex
	current *listener // nil while closed
	done    chan struct{}
	stop    func() // turning away; nil while that is not done
	shut    bool   // for good
}

// closingTime is what requests under way get when the gate closes before the program ends. Gateways find out at once: no
// connection is taken any more.
const closingTime = 2 * time.Second

// queueTime is how long connections to sockets of systemd may wait in the queue for the gate to open first: a restart under way is no
// reason to refuse anybody, and takes less.
const queueTime = 2 * time.Second

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
	g.stopRefusing()
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
	refused := g.startRefusing() // from now on, and not after the last request
	err := g.current.Shutdown(ctx)
	if err != nil {
		g.current.Close()
	}
	<-g.done
	g.current = nil
	return errors.Join(err, refused)
}

// refuse turns connections away that would wait for the gate to open, unless it is open.
func (g *gate) refuse() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.current != nil {
		return nil
	}
	return g.startRefusing()
}

func (g *gate) startRefusing() (err error) {
	if g.turnAway != nil && g.stop == nil && !g.shut {
		g.stop, err = g.turnAway()
	}
	return err
}

func (g *gate) stopRefusing() {
	if g.stop != nil {
		g.stop()
		g.stop = nil
	}
}

// shutDown closes for good. What comes to sockets of systemd from then on waits for the next process.
func (g *gate) shutDown(ctx context.Context) error {
	g.mu.Lock()
	g.shut = true
	g.stopRefusing()
	g.mu.Unlock()
	return g.close(ctx)
}

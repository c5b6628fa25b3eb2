package redisstore

import (
	"context"
	"errors"
	"sync"
	"time"

	"authsvc/session"
)

// channel is the push channel, from the attempt to set it up until something of it is lost.
type channel struct {
	store    *Store
	observer session.Observer
	// tracking says that the server tells; else messages do.
	tracking bool

	ctx       context.Context
	cancel    context.CancelCauseFunc
	running   sync.WaitGroup
	addresses []string // of the masters, sorted
	masters   []*wire
	sentinels *sentinels // nil without

	mu    sync.Mutex // held while the observer is told
	armed bool
}

// errNoTracking says that the server does not tell of changes, or not this user.
var errNoTracking = errors.New("the server does not track for this user")

func newChannel(ctx context.Context, s *Store, o session.Observer, tracking bool) *channel {
	c := &channel{store: s, observer: o, tracking: tracking}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	if s.location.topology == sentinel {
		c.sentinels = &sentinels{channel: c, wires: map[string]*wire{}}
	}
	return c
}

// open sets up everything, then checks that nothing has changed meanwhile, and arms.
func (c *channel) open() error {
	ctx, cancel := context.WithTimeout(c.ctx, silence+c.store.timeout)
	defer cancel()
	network, addresses, err := c.findMasters(ctx)
	if err != nil {
		return err
	}
	c.addresses, c.masters = addresses, make([]*wire, len(addresses))
	errs := make([]error, len(addresses))
	var connecting sync.WaitGroup
	for i, address := range addresses {
		connecting.Go(func() {
			errs[i] = session.Catch(func() (err error) {
				c.masters[i], err = c.connect(ctx, network, address)
				return err
			})
		})
	}
	connecting.Wait()
	if err := errors.Join(errs...); err != nil {
		if errors.Is(err, errNoTracking) {
			c.store.found(false)
		}
		return err
	}
	if c.sentinels != nil {
		if err := c.sentinels.confirm(ctx, addresses[0]); err != nil {
			return err
		}
	}
	if !c.tracking {
		// Whether writes may be announced is learned before anyone relies on it.
		if err := c.store.client.Publish(ctx, c.store.changesChannel(), "").Err(); err != nil {
			return err
		}
	}
	c.store.found(c.tracking)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed = true
	c.observer.Armed()
	return nil
}

// connect makes a master tell, and checks that it is one.
func (c *channel) connect(ctx context.Context, network, address string) (*wire, error) {
	s := c.store
	user, password := s.credentials()
	w, err := s.dialWire(ctx, network, address, user, password)
	if err != nil {
		return nil, err
	}
	err = c.subscribe(ctx, w)
	if err == nil && !w.resp2 {
		w.sure = time.Now()
		var answer any
		if answer, err = w.call(ctx, c.question()...); err == nil {
			err = c.check(address, answer)
		}
	}
	if err != nil {
		w.conn.Close()
		return nil, err
	}
	return w, nil
}

func (c *channel) subscribe(ctx context.Context, w *wire) error {
	if !c.tracking {
		if w.resp2 && c.store.location.topology == cluster {
			return errors.New("a cluster without RESP3 cannot be asked while it is listened to")
		}
		_, err := w.call(ctx, "SUBSCRIBE", c.store.changesChannel())
		return err
	}
	if w.resp2 {
		return errNoTracking
	}
	_, err := w.call(ctx, "CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", c.store.recordsPrefix())
	if isRefusal(err) {
		return errNoTracking
	}
	return err
}

// keep listens and asks until something is lost.
func (c *channel) keep() {
	for _, w := range c.masters {
		c.beside(func() {
			c.lose(w.listen(c.changedKey, c.told, func(answer any) error { return c.check(w.address, answer) }))
		})
	}
	if c.sentinels != nil {
		for _, address := range c.store.location.addresses {
			c.beside(func() { c.sentinels.follow(c.ctx, address, c.addresses[0]) })
		}
	}
	check, probe := time.NewTicker(checkInterval), time.NewTicker(probeInterval)
	defer check.Stop()
	defer probe.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-check.C:
			c.ask()
		case <-probe.C:
			c.beside(c.probe)
		}
	}
}

// beside does a part of the work as long as the channel lives, which ends with a panic of it.
func (c *channel) beside(work func()) {
	c.running.Go(func() {
		if err := session.Catch(func() error { work(); return nil }); err != nil {
			c.lose(err)
		}
	})
}

// ask asks everyone for a sign of life.
func (c *channel) ask() {
	for _, w := range c.masters {
		if err := w.ask(c.question()...); err != nil {
			c.lose(err)
		}
	}
	if c.sentinels == nil {
		return
	}
	for _, w := range c.sentinels.present() {
		w.ask(c.sentinels.name()...) // an error ends the reading, too
	}
}

// probe looks whether changes are still told by the same means.
func (c *channel) probe() {
	ctx, cancel := context.WithTimeout(c.ctx, c.store.timeout)
	defer cancel()
	tracks, err := c.store.probe(ctx)
	if err != nil {
		return
	}
	c.store.found(tracks)
	if tracks != c.tracking {
		c.lose(errNoTracking)
	}
}

// changedKey tells of a change by the name of a key.
func (c *channel) changedKey(key []byte) {
	if id, ok := c.store.recordID(key); ok {
		c.changed(id)
	}
}

func (c *channel) changed(id session.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed {
		c.observer.Changed(id)
	}
}

// told takes a push: all keys are gone, or a message about one. Messages of another length are no IDs (see open).
func (c *channel) told(values []any) {
	switch {
	case values[0] == kindInvalidate && len(values) == 2 && values[1] == true:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.armed {
			c.observer.Lost(c.sure())
			c.observer.Armed()
		}
	case values[0] == "message" && len(values) == 3:
		message, _ := values[2].(string)
		if id := (session.ID{}); len(message) == len(id) {
			copy(id[:], message)
			c.changed(id)
		}
	}
}

// lose tells that the channel is lost, before anything else. Where the masters are others now, no connection to an old one is used again.
func (c *channel) lose(err error) {
	if errors.Is(err, errMoved) {
		c.store.dialer.renew()
	}
	c.mu.Lock()
	if c.armed {
		c.armed = false
		c.observer.Lost(c.sure())
	}
	c.mu.Unlock()
	c.cancel(err)
}

// sure returns until when every change was told.
func (c *channel) sure() (sure time.Time) {
	if c.sentinels != nil {
		sure = c.sentinels.sure()
	}
	for _, w := range c.masters {
		if until := w.sureUntil(); sure.IsZero() || until.Before(sure) {
			sure = until
		}
	}
	return sure
}

// end closes everything and waits until it has ended.
func (c *channel) end() {
	c.lose(context.Canceled)
	for _, w := range c.masters {
		if w != nil {
			w.conn.Close()
		}
	}
	if c.sentinels != nil {
		c.sentinels.close()
	}
	c.running.Wait()
}

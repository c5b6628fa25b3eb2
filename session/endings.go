package session

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// maxEndings bounds the sessions whose end is not confirmed yet.
const maxEndings = 10000

// Endings are sessions that somebody ended and that the store could not confirm. They are refused here from that moment on, and their
// records are deleted as soon as the store answers again. They are kept in memory, and at most 10,000 of them: a replica that stops during the
// outage forgets them. It is safe for concurrent use.
type Endings struct {
	Store Store
	// Panicked, unless nil, is told of a panic of what deletes them, which begins again after a pause.
	Panicked func(error)

	count   atomic.Int64 // of until, so that a verdict usually looks at one number
	mu      sync.Mutex
	until   map[ID]time.Time // when the session would end by itself, by this host's clock
	running bool
}

// Has reports whether the session was ended here.
func (e *Endings) Has(id ID) bool {
	if e == nil || e.count.Load() == 0 {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	_, ended := e.until[id]
	return ended
}

// add takes a session whose record could not be deleted; life is how long it could live at most.
func (e *Endings) add(id ID, life time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.until == nil {
		e.until = map[ID]time.Time{}
	}
	if len(e.until) >= maxEndings {
		return // the caller has said that nothing is confirmed
	}
	e.until[id] = time.Now().Add(life)
	e.count.Store(int64(len(e.until)))
	if !e.running {
		e.running = true
		go e.run()
	}
}

// run deletes until nothing is left to delete.
func (e *Endings) run() {
	for {
		err := Catch(func() error { e.deleteAll(); return nil })
		if err == nil {
			return
		}
		if e.Panicked != nil {
			e.Panicked(err)
		}
		time.Sleep(defaultPause)
	}
}

func (e *Endings) deleteAll() {
	for delay := saveRetryMin; ; delay = min(2*delay, saveRetryMax) {
		time.Sleep(delay)
		for _, id := range e.ids() {
			if e.Store.Delete(context.Background(), id) == nil {
				e.drop(id)
			} else {
				break // it does not answer: later
			}
		}
		if e.rest() {
			return
		}
	}
}

func (e *Endings) ids() []ID {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	ids := make([]ID, 0, len(e.until))
	for id, until := range e.until {
		if now.After(until) {
			delete(e.until, id)
			continue
		}
		ids = append(ids, id)
	}
	e.count.Store(int64(len(e.until)))
	return ids
}

func (e *Endings) drop(id ID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.until, id)
	e.count.Store(int64(len(e.until)))
}

// rest reports whether there is nothing left to do, and ends the running then.
func (e *Endings) rest() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.running = len(e.until) > 0
	return !e.running
}

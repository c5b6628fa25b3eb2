package redisstore

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// Those who load at the same time share round trips: while usualBatches are under way to a server, whoever comes joins the next one,
// which sets out when one of them returns. Before a batch sets out it lets pass on this CPU who is about to ask. So nobody waits while there is little
// to do, and the more there is the more goes by each, whatever the latency: most of a load's cost is the system calls and the goroutines that are woken,
// and they are few now. A session that many ask for goes once. Nobody is told what was asked before they came: a batch takes nobody in once it has set
// out, so that whoever comes after a logout was acknowledged learns of it.
//
// A batch belongs to the caller who was the first in it, who sets out, lands, and calls the next. There is no goroutine that could
// die, and no queue beyond those callers.
const (
	usualBatches = 2
	// sharePatience is how long a batch waits for another to return: those that a connection or a server has swallowed would otherwise
	// hold up everyone else for as long as an operation may take.
	sharePatience = 10 * time.Millisecond
)

// lanes are the batches that are under way and the ones that are next.
type lanes struct {
	patience time.Duration // sharePatience, but for tests

	mu   sync.Mutex
	busy map[laneName]*lane // no others
}

// laneName is what the loads of a batch have in common: the master that is asked, since one that hangs must not hold up the sessions of
// the others, what is read, and how long it may take.
type laneName struct {
	master     *redis.Client // nil where there is one at a time
	withTokens bool
	limit      time.Duration
}

type lane struct {
	away   int                      // batches that are under way, and one that was called
	next   *batch                   // nil, or it waits
	places map[session.ID]*question // in the next batch
}

// batch is what goes to the server together.
type batch struct {
	questions []*question
	called    bool
	turn      chan struct{} // closed when it is called
	done      chan struct{} // closed when all questions have their answers
}

// join puts a question into the next batch.
func (l *lane) join(asked question) *question {
	q := l.places[asked.id]
	if q == nil {
		q = &asked
		l.next.questions = append(l.next.questions, q)
		l.places[asked.id] = q
	}
	q.withTTL = q.withTTL || asked.withTTL
	return q
}

// share asks for a record, together with others who ask. Callers with less time than that may take go alone.
func (s *Store) share(ctx context.Context, asked question, withTokens bool) (session.Record, error) {
	asked.err = errUnasked
	limit := session.StoreTime(ctx, s.timeout)
	if d, ok := ctx.Deadline(); ok && time.Until(d) < limit+s.lanes.patience {
		s.load(ctx, withTokens, []*question{&asked})
		return asked.record, asked.err
	}
	start := time.Now()
	q := s.ride(laneName{s.masterOf(ctx, asked.id), withTokens, limit}, asked)
	session.SpendStoreTime(ctx, min(time.Since(start), limit))
	return q.record, q.err
}

// ride takes the next batch to the server.
func (s *Store) ride(name laneName, asked question) *question {
	ls := &s.lanes
	ls.mu.Lock()
	l := ls.busy[name]
	if l == nil {
		l = &lane{places: map[session.ID]*question{}}
		ls.busy[name] = l
	}
	b := l.next
	if b != nil { // somebody else takes it
		q := l.join(asked)
		ls.mu.Unlock()
		<-b.done
		return q
	}
	b = &batch{turn: make(chan struct{}), done: make(chan struct{})}
	l.next = b
	q := l.join(asked)
	waits := l.away >= usualBatches
	if !waits {
		l.away++
		b.called = true
	}
	ls.mu.Unlock()
	if waits {
		ls.await(b)
	}
	ls.setOut(l, b)
	defer ls.land(name, l)
	defer close(b.done) // also when it panics
	s.loadWithin(name, b.questions)
	return q
}

// loadWithin is load for callers who share what it takes.
func (s *Store) loadWithin(name laneName, questions []*question) {
	ctx := context.Background()
	if name.limit < s.timeout {
		ctx = session.WithStoreTime(ctx, name.limit)
	}
	s.load(ctx, name.withTokens, questions)
}

// await returns when the batch may set out.
func (ls *lanes) await(b *batch) {
	timer := time.NewTimer(ls.patience)
	defer timer.Stop()
	select {
	case <-b.turn:
	case <-timer.C:
	}
}

// setOut closes the batch, after those who have something to do before they ask, and wait for this CPU: most of them join it. Where nobody waits it
// takes no time.
func (ls *lanes) setOut(l *lane, b *batch) {
	runtime.Gosched()
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if !b.called {
		l.away++
	}
	l.next = nil
	clear(l.places)
}

// land notes that a batch has returned, and calls the next.
func (ls *lanes) land(name laneName, l *lane) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if l.next != nil && !l.next.called && l.away <= usualBatches {
		l.next.called = true
		close(l.next.turn) // it takes the place
		return
	}
	l.away--
	if l.away == 0 && l.next == nil {
		delete(ls.busy, name)
	}
}

// masterOf tells sessions of one node of a cluster from those of another. Until the cluster was reached nobody knows.
func (s *Store) masterOf(ctx context.Context, id session.ID) *redis.Client {
	cluster, ok := s.client.(*redis.ClusterClient)
	if !ok || !s.reached.Load() {
		return nil
	}
	master, err := cluster.MasterForKey(context.WithoutCancel(ctx), s.recordKey(kindSession, id))
	if err != nil {
		return nil // the load will tell
	}
	return master
}

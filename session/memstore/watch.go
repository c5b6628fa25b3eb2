package memstore

import (
	"context"
	"time"

	"authsvc/session"
)

// Watch implements session.Watcher. A write tells before it returns, and a record that has expired is told when it is noticed. Nothing is ever lost before ctx
// ends.
func (s *Store) Watch(ctx context.Context, o session.Observer) {
	s.mu.Lock()
	s.observers[&o] = struct{}{}
	o.Armed()
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.observers, &o)
	o.Lost(time.Now())
}

// drop removes a record, if it is there. The caller holds mu.
func (s *Store) drop(id session.ID) {
	if _, found := s.records[id]; found {
		delete(s.records, id)
		s.tell(id)
	}
}

// tell tells all who watch. The caller holds mu.
func (s *Store) tell(id session.ID) {
	for o := range s.observers {
		(*o).Changed(id)
	}
}

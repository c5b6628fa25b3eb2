package authsvc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

var errStoreDown = errors.New("the store is down")

// faultyStore is a store that can be down, in whole or in part, and that counts what it is asked and what it keeps.
type faultyStore struct {
	*memstore.Store
	down     atomic.Bool
	commands atomic.Int64
	records  atomic.Int64 // created less deleted
	deleting sync.Mutex

	mu      sync.Mutex
	refused []string // operations that fail
}

func (f *faultyStore) ask(operation string, of ...session.ID) error {
	f.commands.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down.Load() || slices.Contains(f.refused, operation) {
		return errStoreDown
	}
	for _, id := range of {
		if slices.Contains(f.refused, operation+" "+id.String()) {
			return errStoreDown
		}
	}
	return nil
}

// refuse makes the operations of these names fail, and no others; a load or delete may be that of one session: "load ID".
func (f *faultyStore) refuse(operations ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = operations
}

func (f *faultyStore) Reached() bool { return true }

func (f *faultyStore) Ping(ctx context.Context) error {
	if f.down.Load() {
		return errStoreDown
	}
	return nil
}

func (f *faultyStore) Count(ctx context.Context) (session.Totals, error) {
	if err := f.ask("count"); err != nil {
		return session.Totals{}, err
	}
	return f.Store.Count(ctx)
}

func (f *faultyStore) Load(ctx context.Context, id session.ID) (session.Record, error) {
	if err := f.ask("load", id); err != nil {
		return session.Record{}, err
	}
	return f.Store.Load(ctx, id)
}

func (f *faultyStore) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	if err := f.ask("load", id); err != nil {
		return session.Record{}, err
	}
	return f.Store.LoadWithoutTTL(ctx, id)
}

func (f *faultyStore) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	if err := f.ask("loadwithtokens"); err != nil {
		return session.Record{}, err
	}
	return f.Store.LoadWithTokens(ctx, id)
}

func (f *faultyStore) Create(ctx context.Context, r session.Record) error {
	if err := f.ask("create"); err != nil {
		return err
	}
	err := f.Store.Create(ctx, r)
	if err == nil {
		f.records.Add(1)
	}
	return err
}

func (f *faultyStore) Swap(ctx context.Context, r session.Record) error {
	if err := f.ask("swap"); err != nil {
		return err
	}
	return f.Store.Swap(ctx, r)
}

func (f *faultyStore) Touch(ctx context.Context, id session.ID, ttl time.Duration) error {
	if err := f.ask("touch"); err != nil {
		return err
	}
	return f.Store.Touch(ctx, id, ttl)
}

func (f *faultyStore) Delete(ctx context.Context, id session.ID) error {
	if err := f.ask("delete", id); err != nil {
		return err
	}
	f.deleting.Lock() // two that delete the same record count it once
	defer f.deleting.Unlock()
	if _, err := f.Store.Load(ctx, id); err == nil {
		f.records.Add(-1)
	}
	return f.Store.Delete(ctx, id)
}

func (f *faultyStore) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) ([]byte, bool, error) {
	if err := f.ask("claim"); err != nil {
		return nil, false, err
	}
	return f.Store.Claim(ctx, name, value, ttl)
}

func (f *faultyStore) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (bool, error) {
	if err := f.ask("replace"); err != nil {
		return false, err
	}
	return f.Store.Replace(ctx, name, old, value, ttl)
}

func (f *faultyStore) ReadSlot(ctx context.Context, name session.SlotName) ([]byte, error) {
	if err := f.ask("readslot"); err != nil {
		return nil, err
	}
	return f.Store.ReadSlot(ctx, name)
}

func (f *faultyStore) Note(ctx context.Context, names []session.IndexName, entry session.IndexEntry) error {
	if err := f.ask("note"); err != nil {
		return err
	}
	return f.Store.Note(ctx, names, entry)
}

func (f *faultyStore) Noted(ctx context.Context, name session.IndexName) ([]session.IndexEntry, error) {
	if err := f.ask("noted"); err != nil {
		return nil, err
	}
	return f.Store.Noted(ctx, name)
}

func (f *faultyStore) Forget(ctx context.Context, name session.IndexName, id session.ID) error {
	if err := f.ask("forget"); err != nil {
		return err
	}
	return f.Store.Forget(ctx, name, id)
}

func (f *faultyStore) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (map[string][]byte, error) {
	if err := f.ask("announce"); err != nil {
		return nil, err
	}
	return f.Store.Announce(ctx, name, value, ttl)
}

func (f *faultyStore) Replicas(ctx context.Context) (map[string][]byte, error) {
	if err := f.ask("replicas"); err != nil {
		return nil, err
	}
	return f.Store.Replicas(ctx)
}

func (f *faultyStore) Leave(ctx context.Context, name string) error {
	if err := f.ask("leave"); err != nil {
		return err
	}
	return f.Store.Leave(ctx, name)
}

package authsvc

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

var errStoreDown = errors.New("the store is down")

// faultyStore is a store that can be down, and that counts what it is asked and what it keeps.
type faultyStore struct {
	*memstore.Store
	down     atomic.Bool
	commands atomic.Int64
	records  atomic.Int64 // created less deleted
}

func (f *faultyStore) ask() error {
	f.commands.Add(1)
	if f.down.Load() {
		return errStoreDown
	}
	return nil
}

func (f *faultyStore) Reached() bool { return true }

func (f *faultyStore) Ping(ctx context.Context) error {
	if f.down.Load() {
		return errStoreDown
	}
	return nil
}

func (f *faultyStore) Load(ctx context.Context, id session.ID) (session.Record, error) {
	if err := f.ask(); err != nil {
		return session.Record{}, err
	}
	return f.Store.Load(ctx, id)
}

func (f *faultyStore) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	if err := f.ask(); err != nil {
		return session.Record{}, err
	}
	return f.Store.LoadWithTokens(ctx, id)
}

func (f *faultyStore) Create(ctx context.Context, r session.Record) error {
	if err := f.ask(); err != nil {
		return err
	}
	err := f.Store.Create(ctx, r)
	if err == nil {
		f.records.Add(1)
	}
	return err
}

func (f *faultyStore) Touch(ctx context.Context, id session.ID, ttl time.Duration) error {
	if err := f.ask(); err != nil {
		return err
	}
	return f.Store.Touch(ctx, id, ttl)
}

func (f *faultyStore) Delete(ctx context.Context, id session.ID) error {
	if err := f.ask(); err != nil {
		return err
	}
	if _, err := f.Store.Load(ctx, id); err == nil {
		f.records.Add(-1)
	}
	return f.Store.Delete(ctx, id)
}

func (f *faultyStore) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) ([]byte, bool, error) {
	if err := f.ask(); err != nil {
		return nil, false, err
	}
	return f.Store.Claim(ctx, name, value, ttl)
}

func (f *faultyStore) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (bool, error) {
	if err := f.ask(); err != nil {
		return false, err
	}
	return f.Store.Replace(ctx, name, old, value, ttl)
}

func (f *faultyStore) ReadSlot(ctx context.Context, name session.SlotName) ([]byte, error) {
	if err := f.ask(); err != nil {
		return nil, err
	}
	return f.Store.ReadSlot(ctx, name)
}

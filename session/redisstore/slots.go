package redisstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"authsvc/session"
)

// A stored slot starts with a mark, random for each write: two replicas may claim a slot with the same value, and only one of them
// may win, but one that asks again because an answer was lost must find that it had won. So the mark is made once, before do.
const markSize = 16

func marked(value []byte) []byte {
	mark := make([]byte, markSize, markSize+len(value))
	rand.Read(mark)
	return append(mark, value...)
}

func unmarked(stored []byte) ([]byte, error) {
	if len(stored) < markSize {
		return nil, fmt.Errorf("%w: a slot holds %d bytes", session.ErrCorrupt, len(stored))
	}
	return stored[markSize:], nil
}

// Claim implements session.Slots. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) (holder []byte, claimed bool, err error) {
	if err := session.CheckSlotValue(name, value); err != nil {
		return nil, false, err
	}
	keys, ours := s.slotKeys(name), marked(value)
	err = s.do(ctx, "claim", func(ctx context.Context) error {
		text, err := claimSlot.Run(ctx, s.client, keys, ours, ttl.Milliseconds()).Text()
		if err != nil {
			return err
		}
		claimed = bytes.Equal([]byte(text), ours)
		holder, err = unmarked([]byte(text))
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return holder, claimed, nil
}

// Replace implements session.Slots. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (replaced bool, err error) {
	if err := session.CheckSlotValue(name, value); err != nil {
		return false, err
	}
	keys, ours := s.slotKeys(name), marked(value)
	err = s.do(ctx, "replace", func(ctx context.Context) error {
		replaced, err = replaceSlot.Run(ctx, s.client, keys, old, ours, ttl.Milliseconds(), markSize+1).Bool()
		return err
	})
	return replaced && err == nil, err
}

// ReadSlot implements session.Slots. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) ReadSlot(ctx context.Context, name session.SlotName) (value []byte, err error) {
	if err := name.Check(); err != nil {
		return nil, err
	}
	err = s.do(ctx, "read_slot", func(ctx context.Context) error {
		stored, err := s.client.Get(ctx, s.slotKeys(name)[0]).Bytes()
		if err != nil {
			return absent(err)
		}
		value, err = unmarked(stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return value, nil
}

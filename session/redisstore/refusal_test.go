package redisstore

import (
	"errors"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// A full Redis refuses what is new, and gives and removes what is there.
func TestOutOfMemory(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	records := stored(t, s, 3)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	fresh := record(99)
	if err := s.Create(t.Context(), fresh); !storetest.CannotTell(err) || Cause(err) != "memory" {
		t.Errorf("Create: %v (%s), want none of the sentinels", err, Cause(err))
	}
	second := records[0]
	second.Version++
	if err := s.Swap(t.Context(), second); !storetest.CannotTell(err) || Cause(err) != "memory" {
		t.Errorf("Swap: %v (%s), want none of the sentinels", err, Cause(err))
	}
	if _, err := s.Load(t.Context(), fresh.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v, want ErrNotFound", err)
	}
	intact(t, s, records)
	if err := s.Delete(t.Context(), records[2].ID); err != nil {
		t.Errorf("Delete: %v", err)
	}
	lives, err := server.Lives(t.Context())
	if err != nil || len(lives) != 4 {
		t.Errorf("%d keys are left of two records, %v", len(lives), err)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	if err := s.Create(t.Context(), fresh); err != nil {
		t.Error(err)
	}
}

// A server that forgot its scripts is told them again.
func TestScriptFlush(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	for n := range 3 {
		if err := s.Create(t.Context(), record(n)); err != nil {
			t.Error(err)
		}
		server.Do("SCRIPT", "FLUSH")
		r := record(100 + n)
		if err := s.Create(t.Context(), r); err != nil {
			t.Error(err)
		}
		server.Do("SCRIPT", "FLUSH")
		if err := s.Touch(t.Context(), r.ID, time.Hour); err != nil {
			t.Error(err)
		}
	}
}

func TestFlushAll(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	r := stored(t, s, 1)[0]
	server.Flush()
	if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v, want ErrNotFound", err)
	}
	r.Version++
	if err := s.Swap(t.Context(), r); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Swap: %v, want ErrNotFound", err)
	}
}

// A master that was made a replica takes no writes; it says so also from within a script.
func TestReadOnly(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	records := stored(t, s, 2)
	server.Do("REPLICAOF", "127.0.0.1", "1")
	second := records[0]
	second.Version++
	for name, err := range map[string]error{
		"Create": s.Create(t.Context(), record(9)),
		"Swap":   s.Swap(t.Context(), second),
		"Touch":  s.Touch(t.Context(), records[0].ID, 2*time.Hour),
		"Delete": s.Delete(t.Context(), records[1].ID),
	} {
		if !storetest.CannotTell(err) || Cause(err) != "readonly" {
			t.Errorf("%s: %v (%s), want none of the sentinels", name, err, Cause(err))
		}
	}
	intact(t, s, records)
	server.Do("REPLICAOF", "NO", "ONE")
	if err := s.Swap(t.Context(), second); err != nil {
		t.Error(err)
	}
}

// A server that has no place for more clients keeps serving those that it has.
func TestMaxClients(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	healthy(t, s)
	records := stored(t, s, 3)
	before := server.Info("total_connections_received")
	server.Do("CONFIG", "SET", "maxclients", "3")
	refused := 0
	crowd(t, s, 1, 200, records, func(_, _ session.Record, err error) {
		if err != nil {
			refused++
		}
	})
	if refused > 0 {
		t.Errorf("%d of 200 were not served by the connection that was there", refused)
	}
	crowd(t, s, 100, 50, records, func(_, _ session.Record, err error) {
		if err != nil && !storetest.CannotTell(err) {
			t.Error(err)
		}
	})
	if dials := server.Info("total_connections_received") - before; dials > 200 {
		t.Errorf("%d connections were tried", dials)
	}
	server.Do("CONFIG", "SET", "maxclients", "1000")
	healthy(t, s)
	intact(t, s, records)
}

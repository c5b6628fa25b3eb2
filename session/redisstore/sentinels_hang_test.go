package redisstore

import (
	"sync/atomic"
	"testing"

	"authsvc/session"
	"authsvc/session/storetest"
)

// Sentinels that hang or are gone keep nobody waiting who needs a new connection, and take nothing from those who have one.
func TestSentinelsAreOutOfReach(t *testing.T) {
	g := storetest.StartSentinel(t)
	records := stored(t, open(t, Options{URL: g.URL}), 5)
	for name, away := range map[string]struct{ begin, end func(*storetest.Server) }{
		"killed":  {(*storetest.Server).Kill, (*storetest.Server).Start},
		"hanging": {(*storetest.Server).Pause, (*storetest.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			connected := open(t, Options{URL: g.URL})
			healthy(t, connected)
			s := settled(t, g.URL)
			for _, one := range g.Sentinels {
				away.begin(one)
			}
			crowd(t, connected, 1, 100, records, func(_, _ session.Record, err error) {
				if err != nil {
					t.Errorf("with a connection: %v", err)
				}
			})
			g.Servers[0].Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			var failed atomic.Int32
			crowd(t, s, 400, 5, records, func(_, _ session.Record, err error) {
				if err != nil {
					failed.Add(1)
					unanswered(t, "timeout", "refused", "connection", "other")(session.Record{}, session.Record{}, err)
				}
			})
			if failed.Load() == 0 {
				t.Error("everyone was connected again, so nothing was tried")
			}
			for _, one := range g.Sentinels {
				away.end(one)
			}
			g.Settle()
			healthy(t, s)
			intact(t, s, records)
		})
	}
}

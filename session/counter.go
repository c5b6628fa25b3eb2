package session

import (
	"context"
	"time"
)

// Totals are how much a store holds.
type Totals struct {
	// Sessions is the number of records that live.
	Sessions int64
	// Users is the number of users who have one. While the signing key changes, whoever has used sessions under both keys counts
	// twice, for as long as a session that is not used lives.
	Users int64
	// Bytes is the size of the records' stored values, both parts; what a store spends besides, for names and the like, is not in it.
	Bytes int64
}

// Counter tells how much a store holds, at a cost that does not grow with it: a store keeps count while it writes. Safe for concurrent
// use.
type Counter interface {
	// Count returns what all processes have stored, to the second in which a session ends. What another process has written in the last
	// second may be missing. For as long as their sessions would have lived three things are missed: what a process had not sent
	// when it was killed, writes whose answer was lost, and what others than this service, or an eviction, removed one by one. A
	// store that was emptied holds nothing at once. Errors and deadlines are as for Store: an error means "cannot tell".
	Count(ctx context.Context) (Totals, error)

	// Seen notes that the user of a list has a session that lives for life from now. It is kept in memory until it is sent with
	// the counts, and so neither waits nor fails. A user counts until the longest life that was seen is over, or until Forget
	// leaves their list empty.
	Seen(user IndexName, life time.Duration)
}

// seen tells the counter that the user of s has a session that lives for life from now.
func (m *Manager) seen(s Session, life time.Duration) {
	if m.Counter != nil {
		m.Counter.Seen(IndexName{KindUser, m.names(Group{KindUser, s.Issuer, s.Subject})[0]}, life)
	}
}

package session

import (
	"context"
	"time"
)

// Watcher is an optional interface of a Store: it tells of changes to records, whoever makes them, so that what was read can be kept until
// it is out of date. It is safe for concurrent use; each Watch has a channel of its own.
type Watcher interface {
	// Watch tells o of changes until ctx ends. It keeps (re)establishing the channel by itself, however long the store is gone, and returns
	// when ctx has ended, everything that it started has, and an observer that was armed has been told Lost.
	Watch(ctx context.Context, o Observer)
}

// Observer is told of changes. Calls come one at a time, and each must return at once, without a call of the store: what is told next waits for it.
//
// At first nothing is told. Armed begins a time in which every change is told by Changed; Lost ends it. They take turns: Armed first, Lost only after
// Armed, and Changed only between the two. So whoever keeps what it reads:
//
//   - keeps only what it asked the store for after Armed, and only until Lost;
//   - drops on Changed what it keeps of that record, and does not keep what a read that is under way brings of it, for that may be the older value;
//   - bounds the age of all that it keeps. A change is told after its writer had its answer: on one host within a millisecond as a rule, later on a busy
//     one. And a channel that breaks without a word is noticed only when a sign of life is missing, 1.2 seconds after the last one at most.
type Observer interface {
	// Armed says that from now on every change is told. What was asked for before this call may be out of date and must not be used.
	Armed()

	// Changed says that the identity part of a record was replaced, that its life was changed, that it was deleted or evicted, or that it
	// expired and the store noticed (which may be long after its end, so expiry is not to be left to it). A creation may be told, too. The process's
	// own writes are told as well, and one change may be told more than once.
	//
	// A store that knows only what its users write (session/redisstore says when) tells no expiry, eviction or flush.
	Changed(id ID)

	// Lost says that changes may have been missed since sure, by this host's clock, and that nothing is told until Armed. Every
	// change before sure was told. It comes at once when the channel is closed, and within 1.2 seconds when it falls silent. When the whole store was
	// flushed, Armed follows at once.
	Lost(sure time.Time)
}

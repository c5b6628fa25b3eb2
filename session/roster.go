package session

import (
	"context"
	"fmt"
	"time"
)

// KindReplica names the key under which the roster is kept. No slot is of this kind.
const KindReplica = "replica"

// Roster tells who shares the store: every replica says again and again that it is there, with what the others shall know of it.
// Safe for concurrent use. Errors and deadlines are as for Store: an error means "cannot tell". Announcements are taken one after the
// other: of two replicas that announce themselves, at least one finds the other in what it gets back.
type Roster interface {
	// Announce puts a replica on the roster for ttl, in the place of what it said before, and returns the roster as it is then: by name
	// what each one said, this one among them. With no ttl it is taken off.
	Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (map[string][]byte, error)

	// Replicas returns the roster; an empty one is no error.
	Replicas(ctx context.Context) (map[string][]byte, error)

	// Leave takes a replica off the roster. That it is not there is no error.
	Leave(ctx context.Context, name string) error
}

// Bounds of a roster: bytes of a name, bytes of what a replica says, and replicas.
const (
	MaxRosterName  = 128
	MaxRosterValue = 32 << 10
	MaxReplicas    = 1000
)

// ErrRosterFull says that MaxReplicas others are on the roster. It means "cannot tell".
var ErrRosterFull = fmt.Errorf("session: there are %d replicas on the roster, and no place for another", MaxReplicas)

// CheckRosterEntry returns an error unless a replica may announce itself so. Every adapter checks by it.
func CheckRosterEntry(name string, value []byte) error {
	switch {
	case name == "" || len(name) > MaxRosterName:
		return fmt.Errorf("session: a replica's name has 1 to %d bytes, not %d", MaxRosterName, len(name))
	case len(value) > MaxRosterValue:
		return fmt.Errorf("session: a replica says at most %d bytes, not %d", MaxRosterValue, len(value))
	}
	return nil
}

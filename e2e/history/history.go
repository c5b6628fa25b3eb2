// Package history checks what browsers have seen of a service that had faults. A program records every operation, what was sent and answered and when, and
// then asks whether the promises were kept: nobody passes after their logout, nobody is asked to sign in again, nobody is taken for another, every
// answer comes within its bound, all is well soon after the fault, every refusal to tell was counted, and nothing was left over. The checks are pure.
package history

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Kind says what an operation asks for.
type Kind int

const (
	// Verdict asks whether a session may pass: 200, 401 or 503.
	Verdict Kind = iota
	// Login begins a session, which exists for everybody else from its answer on. Only logins that were answered with a cookie have a Session.
	Login
	// Logout ends a session, by the person's button. It is acknowledged by a status below 400.
	Logout
	// ProviderLogout ends a session, through the provider's back-channel logout.
	ProviderLogout
	// Known is no request: the session lived already when the history began.
	Known
)

// String returns the kind's name in reports.
func (k Kind) String() string {
	return [...]string{"verdict", "login", "logout", "provider's logout", "known"}[k]
}

// Operation is one request and its answer.
type Operation struct {
	Kind    Kind
	Session string // which session the browser showed, or was given; unique in the history
	Person  string // whose it is: the identity that an answer must tell
	Replica string // who was asked

	Due      time.Time // when it was to be sent; lateness counts from here
	Sent     time.Time
	Answered time.Time // or given up
	Status   int       // 0: no answer
	Identity string    // whom a 200 was told to be
	Failure  string    // why there is no answer
}

// acknowledged reports whether the service said that it did what it was asked to.
func (o Operation) acknowledged() bool { return o.Status >= 200 && o.Status < 400 }

// overlaps reports whether the operation was under way within the window.
func (o Operation) overlaps(w Window) bool {
	return !o.Answered.Before(w.From) && !o.Sent.After(w.Until)
}

// Window is a time in which something was the matter.
type Window struct{ From, Until time.Time }

// Fault is a time in which something was the matter, so that operations of these kinds may fail; of all kinds where there are none. Verdicts about the sessions that it spares
// may not, nor those of other replicas where it is the matter of one.
type Fault struct {
	Window
	Kinds   []Kind
	Spared  map[string]bool
	Replica string // "": it is everybody's
}

// excuses reports whether the fault, or what heals after it, is why an operation failed.
func (f Fault) excuses(o Operation, heal time.Duration) bool {
	if o.Kind == Verdict && (f.Spared[o.Session] || f.Replica != "" && o.Replica != f.Replica) {
		return false
	}
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, o.Kind)) && o.overlaps(Window{f.From, f.Until.Add(heal)})
}

// History is what happened so far. It is safe for concurrent use; the zero History is empty.
type History struct {
	mu         sync.Mutex
	operations []Operation
}

// Add records an operation that has come to its end.
func (h *History) Add(o Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.operations = append(h.operations, o)
}

// Operations returns what was recorded, in no particular order.
func (h *History) Operations() []Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Operation(nil), h.operations...)
}

// Unavailable counts the verdicts of a replica that were refused since nobody could tell, and those that had no answer, which the replica may have given.
func Unavailable(operations []Operation, replica string) (refused, unanswered int) {
	for _, o := range operations {
		if o.Kind != Verdict || o.Replica != replica {
			continue
		}
		switch o.Status {
		case http.StatusServiceUnavailable:
			refused++
		case 0:
			unanswered++
		}
	}
	return refused, unanswered
}

// Errors counts the logins and logouts that were answered 500 or more, each of which some replica counts by its cause.
func Errors(operations []Operation) (errors int) {
	for _, o := range operations {
		if o.Kind != Verdict && o.Status >= http.StatusInternalServerError {
			errors++
		}
	}
	return errors
}

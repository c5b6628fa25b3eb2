package history

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Promises are what a history is held against.
type Promises struct {
	// Logout is for how long after the acknowledgement of a logout an answer may still be sent for that lets the session pass.
	Logout time.Duration
	// Answer is within what every verdict is answered.
	Answer time.Duration
	// Faults are when something was the matter; only then, and for Heal afterwards, may verdicts be 503 or not answered at all, and logins and logouts fail.
	Faults []Fault
	Heal   time.Duration
	// Silent are replicas that may be unable to answer at all within Faults: they are killed, or paused. Another's answers are all within their bound.
	Silent map[string]bool
	// Busy is when the machine had so much else to do that the time of an answer says nothing: answers that are late then, or say that nobody can tell, are excused.
	Busy []Window
	// Losses are the sessions that the store itself has lost, by name: their browsers must sign in again. All others live.
	Losses map[string]Loss
}

// Loss is when the store lost a session. From From on it may be refused; from Gone on, unless that is zero, it must be, as after a logout. Wait is for how much longer than
// all others verdicts about it may take, from From on, since they wait for a refresh.
type Loss struct {
	From, Gone time.Time
	Wait       time.Duration
}

// Report is what a check saw.
type Report struct {
	Verdicts, Allowed, Refused, Unavailable, Unanswered int // by answer: 200, 401 or 403, 503, none
	Logins, Logouts                                     int // acknowledged
	LoginsFailed, LogoutsFailed                         int
	Lost                                                int           // sessions that lived, and were refused
	LostByStore                                         int           // sessions that were refused since the store had lost them
	P50, P99, Max                                       time.Duration // of the verdicts, from when they were due
	Slowest                                             time.Duration // of the verdicts, from when they were sent
	Healed                                              time.Duration // after the last fault's end, the last refusal to tell was sent
	Excused                                             int           // answers that were late, or did not tell, while the machine was too busy
	Violations                                          []Violation
	Held                                                map[string]int // how many times each check looked at something
}

// Violation is a promise that was not kept.
type Violation struct {
	Check string
	Text  string
	Times int
}

// Names of the checks.
const (
	CheckOut      = "out means out"
	CheckLost     = "nobody loses a session"
	CheckIdentity = "nobody is another"
	CheckAnswer   = "answered in time"
	CheckHealthy  = "healthy again"
	CheckCounted  = "every 5xx is counted"
	CheckLeak     = "nothing is left over"
)

// life is what is known of one session.
type life struct {
	person       string
	begun        time.Time // the login was answered
	ending       time.Time // the first logout was sent; zero: none
	ended        time.Time // the first acknowledged logout was answered; zero: none
	acknowledged bool
	lost         bool
	lostByStore  bool
}

// Check holds the operations against the promises.
func Check(operations []Operation, p Promises) Report {
	r := Report{Held: map[string]int{}}
	lives := livesOf(operations)
	var late []time.Duration
	for _, o := range operations {
		switch o.Kind {
		case Login:
			r.logins(o, p)
		case Logout, ProviderLogout:
			r.logouts(o, p)
		case Verdict:
			late = append(late, o.Answered.Sub(o.Due))
			r.verdict(o, lives[o.Session], p)
		}
	}
	slices.Sort(late)
	if n := len(late); n > 0 {
		r.P50, r.P99, r.Max = late[n/2], late[min(n*99/100, n-1)], late[n-1]
	}
	for _, l := range lives {
		if l.lost {
			r.Lost++
		}
		if l.lostByStore {
			r.LostByStore++
		}
	}
	return r
}

// livesOf returns what is known of the sessions, by name.
func livesOf(operations []Operation) map[string]*life {
	lives := map[string]*life{}
	for _, o := range operations {
		l := lives[o.Session]
		if l == nil {
			l = &life{person: o.Person}
			lives[o.Session] = l
		}
		switch {
		case o.Kind == Known || o.Kind == Login && o.acknowledged():
			l.begun, l.acknowledged = o.Answered, true
		case o.Kind == Logout || o.Kind == ProviderLogout:
			if l.ending.IsZero() || o.Sent.Before(l.ending) {
				l.ending = o.Sent
			}
			if o.acknowledged() && (l.ended.IsZero() || o.Answered.Before(l.ended)) {
				l.ended = o.Answered
			}
		}
	}
	return lives
}

// verdict checks one verdict about a session.
func (r *Report) verdict(o Operation, l *life, p Promises) {
	r.Verdicts++
	took := o.Answered.Sub(o.Sent)
	r.Slowest = max(r.Slowest, took)
	switch {
	case o.Status == http.StatusOK:
		r.Allowed++
		r.allowed(o, l, p)
	case o.Status == http.StatusServiceUnavailable:
		r.Unavailable++
		r.failed(o, p)
	case o.Status == 0:
		r.Unanswered++
		r.failed(o, p)
	case o.Status == http.StatusUnauthorized || o.Status == http.StatusForbidden:
		r.Refused++
		r.refused(o, l, p)
	default:
		r.violate(CheckAnswer, "%s answered %d, which is none of 200, 401, 403 and 503", o.Replica, o.Status)
	}
	if p.silent(o) {
		return
	}
	r.Held[CheckAnswer]++
	bound := p.Answer
	if loss := p.Losses[o.Session]; !o.Answered.Before(loss.From) {
		bound += loss.Wait
	}
	if (took > bound || o.Status == 0) && p.busy(o) {
		r.Excused++
	} else if took > bound {
		r.violate(CheckAnswer, "%s answered %d after %v; the bound is %v", o.Replica, o.Status, took.Round(time.Millisecond), bound)
	} else if o.Status == 0 {
		r.violate(CheckAnswer, "%s did not answer: %s", o.Replica, o.Failure)
	}
}

// allowed checks an answer that lets a session pass: it has an owner, who is the one that the answer names, and nobody has ended it.
func (r *Report) allowed(o Operation, l *life, p Promises) {
	r.Held[CheckIdentity]++
	if !l.acknowledged {
		r.violate(CheckIdentity, "%s let %s pass, whose session nobody began", o.Replica, l.person)
	}
	if o.Identity != l.person {
		r.violate(CheckIdentity, "%s took %s for %q", o.Replica, l.person, o.Identity)
	}
	over, why := l.ended, "the logout was acknowledged"
	if gone := p.Losses[o.Session].Gone; !gone.IsZero() && (over.IsZero() || gone.Before(over)) {
		over, why = gone, "the store had lost the session"
	}
	if over.IsZero() {
		return
	}
	r.Held[CheckOut]++
	if after := o.Sent.Sub(over); after > p.Logout {
		r.violate(CheckOut, "%s let %s pass %v after %s; the bound is %v", o.Replica, l.person, after.Round(time.Millisecond), why, p.Logout)
	}
}

// refused checks an answer that asks to sign in: the session had not lived, somebody had begun to end it, or the store had lost it.
func (r *Report) refused(o Operation, l *life, p Promises) {
	lived := l.acknowledged && !o.Sent.Before(l.begun)
	ending := !l.ending.IsZero() && !l.ending.After(o.Answered)
	if !lived || ending {
		if !l.ended.IsZero() && o.Sent.After(l.ended) {
			r.Held[CheckOut]++
		}
		return
	}
	if loss, lost := p.Losses[o.Session]; lost && !o.Answered.Before(loss.From) {
		l.lostByStore = true
		return
	}
	l.lost = true
	r.violate(CheckLost, "%s answered %d to %s, whose session lives", o.Replica, o.Status, l.person)
}

// failed checks an answer that does not tell, or that did not come: something was the matter.
func (r *Report) failed(o Operation, p Promises) {
	for _, f := range p.Faults {
		if f.excuses(o, p.Heal) {
			if after := o.Sent.Sub(f.Until); after > r.Healed {
				r.Healed = after
			}
			return
		}
	}
	if p.busy(o) {
		r.Excused++
		return
	}
	failure := ""
	if o.Failure != "" {
		failure = " (" + o.Failure + ")"
	}
	r.violate(CheckHealthy, "%s: a %s was answered %d%s %s", o.Replica, o.Kind, o.Status, failure, p.when(o))
}

// busy reports whether the machine was too busy for the operation.
func (p Promises) busy(o Operation) bool {
	return slices.ContainsFunc(p.Busy, o.overlaps)
}

// when tells how an operation lies to the faults.
func (p Promises) when(o Operation) string {
	for _, w := range slices.Backward(p.Faults) {
		if o.Sent.After(w.From) && o.Sent.Before(w.Until) {
			return fmt.Sprintf("in the fault, though only %v may fail", w.Kinds)
		}
		if o.Sent.After(w.Until) {
			return fmt.Sprintf("%v after the fault's end; the bound is %v", o.Sent.Sub(w.Until).Round(time.Millisecond), p.Heal)
		}
	}
	return "while nothing was the matter"
}

// silent reports whether the operation's replica could not have answered it.
func (p Promises) silent(o Operation) bool {
	if !p.Silent[o.Replica] {
		return false
	}
	return slices.ContainsFunc(p.Faults, func(f Fault) bool { return o.overlaps(Window{f.From, f.Until.Add(p.Heal)}) })
}

func (r *Report) logins(o Operation, p Promises) {
	if o.acknowledged() {
		r.Logins++
		return
	}
	r.LoginsFailed++
	r.failed(o, p)
}

func (r *Report) logouts(o Operation, p Promises) {
	if o.acknowledged() {
		r.Logouts++
		return
	}
	r.LogoutsFailed++
	r.failed(o, p)
}

// violate notes a violation. Of each kind the first few are told in words.
func (r *Report) violate(check, format string, args ...any) {
	const told = 3
	same := 0
	for i := range r.Violations {
		if r.Violations[i].Check == check {
			if same++; same == told {
				r.Violations[i].Times++
				return
			}
		}
	}
	r.Violations = append(r.Violations, Violation{check, fmt.Sprintf(format, args...), 1})
}

// Fail notes a violation that a program saw by itself.
func (r *Report) Fail(check, format string, args ...any) { r.violate(check, format, args...) }

// String tells the violation, and how often there were more like it.
func (v Violation) String() string {
	more := ""
	if v.Times > 1 {
		more = fmt.Sprintf(" (and %d more)", v.Times-1)
	}
	return v.Check + ": " + v.Text + more
}

// ByCheck orders violations by the checks' names.
func ByCheck(a, b Violation) int { return cmp.Compare(a.Check, b.Check) }

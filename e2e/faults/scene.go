package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// scene is one row being played on a stage. Its methods are for the row's fault, one goroutine.
type scene struct {
	*stage
	row       row
	history   *history.History
	faults    []history.Fault
	open      bool // the last of them has not ended
	silent    map[string]bool
	uncounted map[string]int // 503s that are not in the history, by replica
	notes     []string
	failed    []string
	gone      time.Time               // when the store had lost what it lost; zero: nobody knows
	spoiled   map[string]history.Loss // sessions that are known to be lost, or that may be
}

// begin says that the fault begins now: from here to end, what is asked may fail: verdicts may be 503; where kinds are given, only those.
func (s *scene) begin(kinds ...history.Kind) {
	s.faults = append(s.faults, history.Fault{Window: history.Window{From: time.Now()}, Kinds: kinds})
	s.open = true
}

// beginAt is begin, of a fault that is the matter of one replica: verdicts of others may not fail.
func (s *scene) beginAt(one *rig.Replica) {
	s.begin()
	s.faults[len(s.faults)-1].Replica = one.Name
}

// end says that the fault is over.
func (s *scene) end() {
	if s.open {
		s.faults[len(s.faults)-1].Until = time.Now()
	}
	s.open = false
}

// during lets time pass, while people work. In a fault it lasts until somebody has seen what the fault must show, which on a machine that is busy may take longer.
func (s *scene) during(ctx context.Context, d time.Duration) {
	if s.quick {
		d /= 3
	}
	rig.Pass(ctx, time.Now().Add(d))
	if s.open {
		const enough = 10 * time.Second
		rig.WaitFor(ctx, enough, func(context.Context) error { return s.unseen(time.Now()) }) // the checks say what is missing
	}
}

// unseen is an error as long as nobody has seen what the row's fault must show, in a fault that lasts until then.
func (s *scene) unseen(until time.Time) error {
	faults := slices.Clone(s.faults)
	for i := range faults {
		if faults[i].Until.IsZero() {
			faults[i].Until = until
		}
	}
	seen := statuses(s.history.Operations(), faults)
	for _, status := range s.row.shows {
		if seen[status] == 0 {
			return fmt.Errorf("nobody saw a %d, so that nothing was tried (%v)", status, seen)
		}
	}
	return nil
}

// silence says that this replica cannot answer until the end: it is killed or paused.
func (s *scene) silence(one *rig.Replica) { s.silent[one.Name] = true }

// storeLost says that the store has lost sessions now: none of them may pass any more.
func (s *scene) storeLost() { s.gone = time.Now() }

// storeSpoils says that the store has made a record unreadable now: its session may not pass any more.
func (s *scene) storeSpoils(session string) {
	now := time.Now()
	s.spoiled[session] = history.Loss{From: now, Gone: now}
}

// mayLose says that from then on a session may be lost with a refresh, for which verdicts may wait when the access token's life is over.
func (s *scene) mayLose(session string, from time.Time) {
	const refreshWait = 2 * time.Second // session.refresh_wait
	s.spoiled[session] = history.Loss{From: from, Wait: refreshWait}
}

// note adds something to what was seen.
func (s *scene) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

// fail says that something does not hold, besides what the history checker sees.
func (s *scene) fail(format string, args ...any) {
	s.failed = append(s.failed, fmt.Sprintf(format, args...))
}

// await waits until state is nil, at most for limit, times -patient, and returns how long that took.
func (s *scene) await(ctx context.Context, limit time.Duration, state func(context.Context) error) (time.Duration, error) {
	start := time.Now()
	err := rig.WaitFor(ctx, s.patiently(limit), state)
	return time.Since(start), err
}

// patiently is a bound, times -patient.
func (o options) patiently(bound time.Duration) time.Duration {
	return time.Duration(float64(bound) * o.patient)
}

// eachStoreProxy does something to what is between each replica and Redis; standalone alone has that.
func (s *scene) eachStoreProxy(do func(*rig.Proxy) error) error {
	for _, p := range s.toStore {
		if err := do(p); err != nil {
			return err
		}
	}
	return nil
}

// statuses are the answers to verdicts that were seen between begin and end, with how often.
func statuses(operations []history.Operation, faults []history.Fault) map[int]int {
	seen := map[int]int{}
	for _, o := range operations {
		for _, w := range faults {
			if o.Kind == history.Verdict && !o.Sent.Before(w.From) && !o.Sent.After(w.Until) {
				seen[o.Status]++
			}
		}
	}
	return seen
}

// onEach asks every replica about somebody's session, past the load, for a second if nobody can tell, and returns the answers.
func (s *scene) onEach(ctx context.Context, v *visitor) (seen map[string]int) {
	show, _ := v.shown()
	browser := rig.Person{Rig: s.Rig, Name: show.person, Cookie: show.cookie}
	seen = map[string]int{}
	for _, one := range s.Replicas {
		s.await(ctx, time.Second, func(ctx context.Context) error { // what stays without an answer is the row's to judge
			a, err := browser.AskAt(ctx, one)
			if err != nil {
				return err
			}
			seen[one.Name] = a.Status
			if a.Status == http.StatusServiceUnavailable {
				s.uncounted[one.Name]++
				return errors.New("nobody can tell")
			}
			return nil
		})
	}
	return seen
}

package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

const (
	answerBound = 150 * time.Millisecond // of every verdict, whatever the store does
	// scheduling is what a machine with two cores, which runs people, replicas and Redis at once, may add to an answer.
	scheduling = 100 * time.Millisecond
	// busyPing is how long a PING takes, to a Redis that does nothing else, where the machine is too busy to tell anything about times; busyAfter is for how long it suffers.
	busyPing  = 40 * time.Millisecond
	busyAfter = 300 * time.Millisecond
	outBound  = 1200 * time.Millisecond
	healBound = time.Second

	calm   = 1500 * time.Millisecond // before the fault
	after  = 1500 * time.Millisecond // after everything has healed
	settle = 8 * time.Second         // for what is to be given back
)

// play plays one row on a stage that is ready, and judges it.
func (s *stage) play(ctx context.Context, r row) result {
	start := time.Now()
	scene := &scene{stage: s, row: r, history: &history.History{}, silent: map[string]bool{}, uncounted: map[string]int{}, spoiled: map[string]history.Loss{}}
	out := result{ID: r.id, Name: r.name, Topology: s.topology, Bound: r.bound}
	err := rig.Try(func() error { return scene.run(ctx, &out) })
	if err != nil {
		out.fail("%v", err)
	}
	out.Seconds = time.Since(start).Seconds()
	return out
}

// run is the row: rest, work, the fault, work, rest, and the checks.
func (s *scene) run(ctx context.Context, out *result) error {
	s.pulse.Take()
	began := time.Now()
	before, err := s.measure(ctx)
	if err != nil {
		return err
	}
	cookies := s.cookies()
	for session := range cookies {
		person, _, _ := strings.Cut(session, "#")
		s.history.Add(history.Operation{Kind: history.Known, Session: session, Person: person, Sent: time.Now(), Answered: time.Now()})
	}
	load := s.startLoad(ctx, s.history, s.row.buttons)
	s.during(ctx, calm+s.pause)
	err = rig.Try(func() error { return s.row.fault(ctx, s) })
	s.end()
	if err == nil {
		s.during(ctx, cmp.Or(s.row.heal, healBound)+after)
	}
	load.end()
	if err != nil || ctx.Err() != nil {
		return fmt.Errorf("the fault: %w", cmp.Or(err, ctx.Err()))
	}
	if err := s.sweep(ctx, s.history, load.ended...); err != nil {
		return err
	}
	operations := s.history.Operations()
	p := history.Promises{
		Logout: s.patiently(cmp.Or(s.row.out, outBound)), Answer: s.patiently(answerBound + scheduling), Heal: s.heal(), Faults: s.faults, Silent: s.silent,
	}
	busy := s.busy(&p, began)
	maps.Copy(cookies, s.cookies())
	for _, show := range load.ended { // of these some began in this row, too, and were lost before they ended
		cookies[show.session] = show.cookie
	}
	if p.Losses, err = s.losses(ctx, operations, cookies); err != nil {
		return err
	}
	report := history.Check(operations, p)
	s.compare(ctx, before, operations, &report)
	s.shown(&report)
	out.take(report, s)
	out.Excused, out.inconclusive = report.Excused, busy > time.Since(began)/5
	gone := refused(operations)
	for session := range p.Losses {
		gone[session] = true
	}
	for _, v := range s.people {
		v.forgetGone(gone)
	}
	return nil
}

// refused are the sessions that a verdict has refused.
func refused(operations []history.Operation) map[string]bool {
	sessions := map[string]bool{}
	for _, o := range operations {
		if o.Kind == history.Verdict && o.Status == http.StatusUnauthorized {
			sessions[o.Session] = true
		}
	}
	return sessions
}

// heal is within what all is well after the fault.
func (s *scene) heal() time.Duration { return s.patiently(cmp.Or(s.row.heal, healBound)) }

// cookies are those of the sessions that live, by the sessions' names.
func (s *stage) cookies() map[string]string {
	cookies := map[string]string{}
	for _, v := range s.people {
		if show, in := v.shown(); in {
			cookies[show.session] = show.cookie
		}
	}
	return cookies
}

// losses asks the store which of the sessions that were refused it has lost. Where it may lose none, it is asked as well: the report then says so.
func (s *scene) losses(ctx context.Context, operations []history.Operation, cookies map[string]string) (map[string]history.Loss, error) {
	losses := maps.Clone(s.spoiled)
	if !s.row.loses || len(s.faults) == 0 {
		return losses, nil
	}
	missing, err := s.store.missing(ctx, cookies)
	if err != nil {
		return nil, err
	}
	for name := range missing {
		losses[name] = history.Loss{From: s.faults[0].From, Gone: s.gone}
	}
	return losses, nil
}

// busy says in the promises when the machine was too busy, and returns for how long in all. With -patient no time says anything, and nobody has to look.
func (s *scene) busy(p *history.Promises, began time.Time) (all time.Duration) {
	slow := s.pulse.Take()
	if s.patient > 1 {
		p.Busy = []history.Window{{From: began, Until: time.Now()}}
		return 0
	}
	for _, one := range slow {
		p.Busy = append(p.Busy, history.Window{From: one.From, Until: one.From.Add(one.Took + busyAfter)})
		all += one.Took
	}
	return all
}

// forgetGone makes the browser of a session that is gone sign in again: the store lost it, or it was refused, which is judged by now and would fail the rows that follow, too.
func (v *visitor) forgetGone(gone map[string]bool) {
	if show, in := v.shown(); in && gone[show.session] {
		v.forget()
	}
}

// shown fails the report where the fault was not seen.
func (s *scene) shown(report *history.Report) {
	if err := s.unseen(time.Time{}); err != nil {
		report.Fail(checkTried, "%v", err)
	}
	for _, check := range []string{history.CheckOut, history.CheckIdentity, history.CheckAnswer} {
		if report.Held[check] == 0 {
			report.Fail(checkTried, "nothing in the history could have violated %q", check)
		}
	}
	for _, text := range s.failed {
		report.Fail(checkRow, "%s", text)
	}
}

const (
	checkTried = "the fault was felt"
	checkRow   = "the row's own"
)

// holdings are what a replica has counted and holds.
type holdings struct {
	history.Resources
	resident            float64 // bytes, the race detector's included
	unavailable, panics int
	errors              int // answers of 500 and more that are no verdicts
}

// measure waits until nobody is connected any more, and returns what each replica holds.
func (s *stage) measure(ctx context.Context) (map[string]holdings, error) {
	s.Browser.CloseIdleConnections()
	rig.Pass(ctx, time.Now().Add(100*time.Millisecond))
	all := map[string]holdings{}
	for _, one := range s.Replicas {
		metrics, err := one.Metrics(ctx)
		if err != nil {
			return nil, err
		}
		h := holdings{Resources: history.Resources{
			PID: one.PID(), Goroutines: metrics["go_goroutines"], Files: metrics["process_open_fds"],
		}, resident: metrics["process_resident_memory_bytes"]}
		h.Memory = h.resident
		if s.race {
			// What Go has from the system. The rest is the race detector's, which remembers ever more of who wrote what from where.
			h.Memory = metrics["go_memstats_sys_bytes"] - metrics["go_memstats_heap_released_bytes"]
		}
		for name, value := range metrics {
			if strings.HasPrefix(name, `authsvc_decisions_total{outcome="unavailable"`) {
				h.unavailable += int(value)
			}
			if strings.HasPrefix(name, "authsvc_errors_total{") {
				h.errors += int(value)
			}
		}
		h.panics = int(metrics["authsvc_panics_total"])
		all[one.Name] = h
	}
	s.Browser.CloseIdleConnections()
	return all, nil
}

// slack is what a replica may hold more after a fault than before: a pool to each master may have grown to its most, and keeps its connections for two
// minutes; the collector leaves some memory for later.
func (s *stage) slack() history.Resources {
	const pool, few, heap = 32, 12, 24 << 20
	return history.Resources{Goroutines: few, Files: few + float64(pool*len(s.store.masters())), Memory: heap}
}

// compare holds what the replicas hold and have counted against what they held before, and against what was seen. What is given back late is waited for.
func (s *scene) compare(ctx context.Context, before map[string]holdings, operations []history.Operation, report *history.Report) {
	slack := s.slack()
	var wrong []string
	err := rig.WaitFor(ctx, s.patiently(settle), func(ctx context.Context) error {
		now, err := s.measure(ctx)
		if err != nil {
			return err
		}
		wrong = nil
		for _, one := range s.Replicas {
			for _, text := range history.LeftOver(before[one.Name].Resources, now[one.Name].Resources, slack) {
				wrong = append(wrong, one.Name+" holds "+text)
			}
		}
		if len(wrong) > 0 {
			return fmt.Errorf("%s", strings.Join(wrong, "; "))
		}
		counted, restarted := 0, false
		for _, one := range s.Replicas {
			was, is := before[one.Name], now[one.Name]
			counted += is.errors - was.errors
			restarted = restarted || was.PID != is.PID // what it had counted is gone
			if is.panics > was.panics || is.panics > 0 && was.PID != is.PID {
				report.Fail(checkRow, "%s has panicked, %d times", one.Name, is.panics)
			}
			if was.PID != is.PID || s.own.nginx { // it counts from its start; nginx asks again by itself
				continue
			}
			refused, unanswered := history.Unavailable(operations, one.Name)
			if text := history.Counted(one.Name, is.unavailable-was.unavailable, refused+s.uncounted[one.Name], unanswered); text != "" {
				report.Fail(history.CheckCounted, "%s", text)
			}
		}
		if seen := history.Errors(operations); counted < seen && !restarted { // a row may ask for more than its history tells
			report.Fail(history.CheckCounted, "%d errors were counted; %d logins and logouts were answered 500 or more", counted, seen)
		}
		return nil
	})
	if err != nil {
		report.Fail(history.CheckLeak, "%v (%s)", err, strings.Join(wrong, "; "))
	}
	slices.SortFunc(report.Violations, history.ByCheck)
}

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// result is what came of a row on one topology.
type result struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Topology topology `json:"topology"`
	Bound    string   `json:"bound"`
	NotRun   string   `json:"not_run,omitempty"` // why

	Verdicts    int `json:"verdicts"`
	Unavailable int `json:"unavailable"` // 503, or no answer of a replica that could not
	Refused     int `json:"refused"`
	Logins      int `json:"logins"`
	Logouts     int `json:"logouts"`
	Lost        int `json:"lost"`          // sessions
	LostByStore int `json:"lost_by_store"` // sessions that Redis itself had lost

	P50     float64  `json:"p50_ms"`
	P99     float64  `json:"p99_ms"`
	Max     float64  `json:"max_ms"`
	Slowest float64  `json:"slowest_ms"` // from sending; the others from when it was due
	Fault   float64  `json:"fault_seconds"`
	Healed  float64  `json:"healed_seconds"` // after the end of the fault, the last 503
	Seconds float64  `json:"seconds"`
	Excused int      `json:"excused"` // answers that were late while the machine was too busy
	Notes   []string `json:"notes,omitempty"`

	inconclusive bool // the machine was too busy for too long

	Failures []string `json:"failures,omitempty"`
}

func (r *result) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

func (r *result) holds() bool { return len(r.Failures) == 0 }

// take takes over what the history checker saw.
func (r *result) take(report history.Report, s *scene) {
	r.Verdicts, r.Refused = report.Verdicts, report.Refused
	r.Unavailable = report.Unavailable + report.Unanswered
	r.Logins, r.Logouts, r.Lost, r.LostByStore = report.Logins, report.Logouts, report.Lost, report.LostByStore
	r.P50, r.P99, r.Max, r.Slowest = milliseconds(report.P50), milliseconds(report.P99), milliseconds(report.Max), milliseconds(report.Slowest)
	for _, w := range s.faults {
		r.Fault += w.Until.Sub(w.From).Seconds()
	}
	r.Healed = report.Healed.Seconds()
	r.Notes = s.notes
	for _, v := range report.Violations {
		r.fail("%v", v)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// seen is what people saw, in a few words.
func (r *result) seen() string {
	if r.NotRun != "" {
		return "not run: " + r.NotRun
	}
	parts := []string{fmt.Sprintf("%d of %d 503", r.Unavailable, r.Verdicts)}
	if r.Unavailable == 0 {
		parts[0] = fmt.Sprintf("%d verdicts", r.Verdicts)
	}
	if r.Unavailable > 0 {
		parts = append(parts, fmt.Sprintf("well after %.2f s", r.Healed))
	}
	if r.LostByStore > 0 {
		parts = append(parts, fmt.Sprintf("%d had to sign in again", r.LostByStore))
	}
	if r.Excused > 0 {
		parts = append(parts, fmt.Sprintf("%d excused: the machine was too busy", r.Excused))
	}
	return strings.Join(append(parts, r.Notes...), ", ")
}

func (r *result) verdict() string {
	switch {
	case !r.holds():
		return "FAILED"
	case r.NotRun != "":
		return "-"
	}
	return "holds"
}

const line = "%-5s %-10s %-52s %-44s %5s %6s %6s %6s  %-6s %s\n"

// writeTable writes all rows.
func writeTable(w io.Writer, results []result) {
	fmt.Fprintf(w, line, "", "", "fault", "must do", "lost", "p50 ms", "p99 ms", "max ms", "", "seen")
	for _, r := range results {
		if r.NotRun != "" {
			fmt.Fprintf(w, line, r.ID, r.Topology, r.Name, r.Bound, "-", "-", "-", "-", r.verdict(), r.seen())
			continue
		}
		fmt.Fprintf(w, line, r.ID, r.Topology, r.Name, r.Bound, fmt.Sprint(r.Lost), ms(r.P50), ms(r.P99), ms(r.Slowest), r.verdict(), r.seen())
		for _, failure := range r.Failures {
			fmt.Fprintf(w, "      FAILED: %s\n", failure)
		}
	}
	fmt.Fprint(w, `
lost: sessions that lived and were refused, unless Redis itself had lost them, or the fault's own refresh. p50, p99: of verdicts, from when they were due; max: from sending, bound 150 ms
and what a busy machine adds. Every row is checked for: nobody passes after the logout; nobody is another; 200 again within a second of the fault's end, or
as said; goroutines, descriptors and memory back; every 5xx counted.
`)
}

func ms(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// writeJSON writes the rows for programs.
func writeJSON(path string, o options, results []result, seconds float64) error {
	return rig.WriteRows(path, results, seconds, map[string]any{"sessions": o.sessions, "rate": o.rate, "replicas": o.replicas})
}

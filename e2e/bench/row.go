package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"authsvc/e2e/rig"
)

// row is one line of the table.
type row struct {
	ID   string `json:"id"`
	Case string `json:"case"`
	// Unit is that of the figure and of its target; the limit says its own.
	Unit string `json:"unit"`
	// Incumbent is what oauth2-proxy did on a quiet machine of two cores; "" where nobody has measured it.
	Incumbent string `json:"incumbent,omitempty"`
	Target    bound  `json:"target"`

	Limit    string   `json:"limit,omitempty"` // what was measured beside it, in the same run
	Measured *figure  `json:"measured"`        // nil when it could not be
	Before   float64  `json:"others_before"`   // cores that other programs used before the row, and during it
	During   float64  `json:"others_during"`
	Notes    []string `json:"notes,omitempty"`
	Failures []string `json:"failures,omitempty"`
}

func (r *row) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

func (r *row) note(format string, args ...any) *row {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
	return r
}

// judge notes a failure where the target does not hold, or nobody knows.
func (r *row) judge() {
	switch {
	case r.Measured == nil && len(r.Failures) == 0:
		r.fail("it was not measured")
	case r.Measured != nil && !r.Target.holds(r.Measured.Median):
		r.fail("the median is %s, the target %v", decimal(r.Measured.Median), r.Target)
	}
}

func (r *row) holds() bool { return len(r.Failures) == 0 }

// measured is the median and the spread of what was measured.
func (r *row) measured() string {
	f := r.Measured
	switch {
	case f == nil:
		return "-"
	case len(f.Samples) == 1:
		return decimal(f.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", decimal(f.Median), decimal(f.Min), decimal(f.Max))
}

func (r *row) verdict() string {
	switch {
	case !r.holds():
		return "FAILS"
	case r.Target.None:
		return "told"
	}
	return "holds"
}

// writeTable writes the rows, with notes and failures below each.
func writeTable(w io.Writer, rows []*row) {
	line := func(cells ...string) {
		for i, width := range []int{70, 13, 25, 24, 8, 5, 0} {
			fmt.Fprint(w, cells[i], strings.Repeat(" ", max(width-utf8.RuneCountInString(cells[i]), 0)))
			if width > 0 {
				fmt.Fprint(w, " ")
			}
		}
		fmt.Fprintln(w)
	}
	line("", "incumbent", "limit, in this run", "measured (min–max)", "target", "", "others: cores before/during")
	for _, r := range rows {
		name := r.Case
		if r.Unit != "" {
			name += ": " + r.Unit
		}
		line(name, dash(r.Incumbent), dash(r.Limit), r.measured(), r.Target.String(), r.verdict(), fmt.Sprintf("%.1f/%.1f", r.Before, r.During))
		for _, note := range r.Notes {
			fmt.Fprintf(w, "      %s\n", note)
		}
		for _, failure := range r.Failures {
			fmt.Fprintf(w, "      FAILS: %s\n", failure)
		}
	}
	fmt.Fprint(w, `
measured: the median of the rounds, and the least and the most of them; where there is a limit, the ratio to it, of the two that were measured one right
after the other. incumbent: oauth2-proxy v7.15.3 with logs off, on a quiet machine of two cores. others: how many cores programs that are no part of this
used; where that is not near 0, the figures say little. -: not measured; as a target: nothing says what it must be.
`)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// writeJSON writes the rows for programs.
func writeJSON(path string, o options, rows []*row, s *sizing, seconds float64) error {
	settings := map[string]any{
		"connections": o.connections, "seconds_a_round": o.seconds, "rounds": o.rounds, "replicas": o.replicas, "sessions": o.sessions,
		"redis_latency_ms": o.latency.Milliseconds(),
	}
	if s != nil {
		settings["sizing"] = s
	}
	return rig.WriteRows(path, rows, seconds, settings)
}

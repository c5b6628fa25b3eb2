package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// row is what one scenario counted. Counts of the provider and of the store are those since the row began.
type row struct {
	Number   string `json:"number"`
	What     string `json:"what"`
	Users    int    `json:"users"`
	Requests int    `json:"requests"`

	Records   int `json:"records"`
	Grants    int `json:"refresh_grants"`
	Reuse     int `json:"reuse_rejections"`
	LoggedOut int `json:"logged_out"`
	Non200    int `json:"non_200"`

	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Max     float64 `json:"max_ms"`
	Seconds float64 `json:"seconds"`

	Incumbent *incumbent `json:"incumbent,omitempty"`
	Notes     []string   `json:"notes,omitempty"`
	Failures  []string   `json:"failures,omitempty"`
}

// incumbent is what the incumbent did in a like case, as measured; a text that is "" was not.
type incumbent struct {
	What      string `json:"what"`
	Users     string `json:"users"`
	Records   string `json:"records,omitempty"`
	Grants    string `json:"refresh_grants,omitempty"`
	Reuse     string `json:"reuse_rejections,omitempty"`
	LoggedOut string `json:"logged_out,omitempty"`
	Non200    string `json:"non_200,omitempty"`
	P50       string `json:"p50_ms,omitempty"`
	P99       string `json:"p99_ms,omitempty"`
	Max       string `json:"max_ms,omitempty"`
}

// oauth2-proxy v7.15.3-9-g14af2951 behind nginx 1.22.1, Redis 7.0.15, two replicas, round robin, two cores, a provider that rotates and
// revokes the family on reuse.
var (
	incumbentRecords = &incumbent{What: "oauth2-proxy, its renewed cookie not forwarded", Users: "15,000", Records: "30,000"}
	incumbentFast    = &incumbent{What: "oauth2-proxy, 4 requests each", Users: "15,000", Grants: "15,000", Reuse: "0", LoggedOut: "0",
		P50: "235", P99: "776", Max: "1,437"}
	incumbentSlow = &incumbent{What: "oauth2-proxy, 6 s, 8 requests each", Users: "300", Grants: "300", Reuse: "1,238", LoggedOut: "300",
		P50: "5,668", P99: "17,076", Max: "17,802"}
	incumbentKilled = &incumbent{What: "oauth2-proxy, 1 s, 4 requests each", Users: "120", LoggedOut: "41-57 %", Non200: "up to 50 %", P99: "6,200"}
	incumbentHangUp = &incumbent{What: "oauth2-proxy, 500 ms, gone after 200 ms", Users: "300", Grants: "300", Reuse: "300", LoggedOut: "300"}
)

// expect notes a failure unless what was seen is what was wanted.
func (r *row) expect(what string, seen, wanted int) {
	if seen != wanted {
		r.fail("%s: %s, expected %s", what, thousands(seen), thousands(wanted))
	}
}

func (r *row) fail(format string, args ...any) {
	r.Failures = append(r.Failures, fmt.Sprintf(format, args...))
}

func (r *row) failed() bool { return len(r.Failures) > 0 }

func (r *row) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// count takes over what a tally has; that somebody was taken for another is a failure of every row.
func (r *row) count(t *tally) {
	r.Non200 = t.others(http.StatusOK)
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Requests = len(t.took)
	r.times(t.took)
	if r.Non200 > 0 {
		r.note("answers by status: %v", t.statuses)
	}
	if len(t.wrong) > 0 {
		r.fail("%d answers took a person for another: %s", len(t.wrong), t.wrong[0])
	}
}

func (r *row) times(took []time.Duration) {
	sorted := slices.Sorted(slices.Values(took))
	r.P50, r.P99, r.Max = milliseconds(percentile(sorted, .5)), milliseconds(percentile(sorted, .99)), milliseconds(percentile(sorted, 1))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// verdict is the row in one line, for those who wait.
func (r *row) verdict() string {
	if r.failed() {
		return fmt.Sprintf("%-3s FAILED  %s: %s", r.Number, r.What, strings.Join(r.Failures, "; "))
	}
	return fmt.Sprintf("%-3s ok      %s (%.0f s)", r.Number, r.What, r.Seconds)
}

const line = "%-3s %-48s %7s %8s %8s %7s %7s %10s %8s %8s %8s\n"

// writeTable writes all rows, each with the incumbent's figures below it.
func writeTable(w io.Writer, rows []*row) {
	fmt.Fprintf(w, line, "", "", "users", "records", "grants", "reuse", "out", "non-200", "p50 ms", "p99 ms", "max ms")
	for _, r := range rows {
		fmt.Fprintf(w, line, r.Number, r.What, thousands(r.Users), thousands(r.Records), thousands(r.Grants), thousands(r.Reuse),
			thousands(r.LoggedOut), thousands(r.Non200), decimal(r.P50), decimal(r.P99), decimal(r.Max))
		if i := r.Incumbent; i != nil {
			fmt.Fprintf(w, line, "", "  "+i.What, i.Users, dash(i.Records), dash(i.Grants), dash(i.Reuse), dash(i.LoggedOut), dash(i.Non200),
				dash(i.P50), dash(i.P99), dash(i.Max))
		}
		for _, note := range r.Notes {
			fmt.Fprintf(w, "      %s\n", note)
		}
		for _, failure := range r.Failures {
			fmt.Fprintf(w, "      FAILED: %s\n", failure)
		}
	}
	fmt.Fprint(w, `
records: session keys that the row added; grants: refreshes that the provider granted; reuse: refresh tokens that came again, each of
which revokes the family; out: people who are refused afterwards; -: not measured. oauth2-proxy v7.15.3 was measured with 2 replicas.
`)
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func decimal(ms float64) string {
	if ms == 0 {
		return "-"
	}
	if ms < 100 {
		return strconv.FormatFloat(ms, 'f', 1, 64)
	}
	return thousands(int(ms + .5))
}

// thousands writes 15000 as 15,000.
func thousands(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

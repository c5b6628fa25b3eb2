package main

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFigure(t *testing.T) {
	for _, c := range []struct {
		samples          []float64
		median, min, max float64
	}{
		{[]float64{3}, 3, 3, 3},
		{[]float64{5, 1, 3}, 3, 1, 5},
		{[]float64{4, 1, 2, 9}, 3, 1, 9},
	} {
		f := newFigure(c.samples...)
		if f.Median != c.median || f.Min != c.min || f.Max != c.max {
			t.Errorf("%v: median %v, from %v to %v", c.samples, f.Median, f.Min, f.Max)
		}
	}
}

func TestBound(t *testing.T) {
	for _, c := range []struct {
		target bound
		value  float64
		holds  bool
	}{
		{atLeast(.92), .92, true}, {atLeast(.92), .91, false}, {atLeast(.92), math.NaN(), false},
		{atMost(1.15), 1.15, true}, {atMost(1.15), 1.16, false}, {atMost(1.15), math.NaN(), false}, {atMost(0), 1, false},
	} {
		if c.target.holds(c.value) != c.holds {
			t.Errorf("%v of %v: %v", c.target, c.value, !c.holds)
		}
	}
}

func TestDecimal(t *testing.T) {
	for v, want := range map[float64]string{0: "0", .16: "0.16", 1.005: "1.00", 12.34: "12.3", 123.4: "123", 30: "30", 1234.5: "1,235", 1234567: "1,234,567", -1234: "-1,234"} {
		if got := decimal(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestParseWrk(t *testing.T) {
	const head = "Running 2s test @ http://127.0.0.1:8080/auth\n  1 threads and 32 connections\nRequests/sec:  40500.00\n"
	good := answers{requests: 81000, took: 2 * time.Second, p50: 600 * time.Microsecond, p99: 6 * time.Millisecond}
	for _, c := range []struct {
		name, output string
		want         answers
		wrong        string // in the error of parsing, or of the answers
	}{
		{"all well", head + "bench 81000 2000000 600 6000 0 0 0 0\n", good, ""},
		{"nothing else", "bench 81000 2000000 600 6000 0 0 0 0", good, ""},
		{"refusals", head + "bench 81000 2000000 600 6000 0 0 0 7\n", answers{81000, 2 * time.Second, 600 * time.Microsecond, 6 * time.Millisecond, 0, 0, 0, 7}, "7 were refused"},
		{"no answers", head + "bench 0 2000000 0 0 32 0 0 0\n", answers{took: 2 * time.Second, unconnected: 32}, "no answer"},
		{"the script failed", head, answers{}, "to the end"},
		{"no time", head + "bench 5 0 600 6000 0 0 0 0\n", answers{}, "some time"},
		{"cut", head + "bench 81000 2000000 600\n", answers{}, "3 numbers"},
		{"the word elsewhere", "a bench 1 2 3 4 5 6 7 8\n", answers{}, "to the end"},
	} {
		got, err := parseWrk(c.output)
		if err == nil {
			if got != c.want {
				t.Errorf("%s: %+v", c.name, got)
			}
			err = got.err()
		}
		if (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: %v, want %q", c.name, err, c.wrong)
		}
	}
	if rate := good.rate(); rate != 40500 {
		t.Errorf("%v requests a second", rate)
	}
}

// A process's name may look like anything, and a family has grandchildren.
func TestMachine(t *testing.T) {
	stat := func(name, parent, times string) process {
		p, err := parseProcess("7 (" + name + ") S " + parent + " 1 1 0 -1 4194304 1 2 3 4 " + times + " 20 0 1 0 99 1 2 3")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	table := map[int]process{
		1: stat("init", "0", "1000 0 0 0"), 10: stat("bench", "1", "1 2 3 4"), 11: stat("a ) S 1 (b", "10", "10 0 0 5"), 12: stat("nginx: worker", "11", "100 0 0 0"),
		20: stat("another", "1", "500 0 0 0"),
	}
	if ours := family(table, 10); ours != 125 {
		t.Errorf("the family took %v ticks, want 125", ours)
	}
	busy, err := busyTicks("cpu  100 10 20 9999 5 3 4 2 50 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n")
	if err != nil || busy != 139 {
		t.Errorf("the machine was busy for %v ticks, %v; want 139", busy, err)
	}
	if _, err := parseProcess("7 (cut) S 1"); err == nil {
		t.Error("a cut line passes")
	}
	if _, err := busyTicks("intr 5"); err == nil {
		t.Error("a line without times passes")
	}
	start := time.Now()
	since, now := machine{start, 10, 4}, machine{start.Add(2 * time.Second), 13, 6}
	if others := now.others(since); others != .5 {
		t.Errorf("others used %v cores, want 0.5", others)
	}
}

func TestChoose(t *testing.T) {
	good := options{connections: 1, seconds: 1, rounds: 1, replicas: 1, sessions: someSessions}
	for only, want := range map[string]string{"off,direct": "direct,off", "direct": "direct", "nobody": "error", "direct,": "error"} {
		o := good
		o.only = only
		chosen, err := choose(o)
		var names []string
		for _, s := range chosen {
			names = append(names, s.name)
		}
		if got := strings.Join(names, ","); err == nil && got != want || err != nil && want != "error" {
			t.Errorf("-only %q: %q, %v; want %q", only, got, err, want)
		}
	}
	if all, err := choose(good); err != nil || len(all) != len(scenarios()) {
		t.Errorf("without -only: %d, %v", len(all), err)
	}
	for name, spoil := range map[string]func(*options){
		"rounds": func(o *options) { o.rounds = 0 }, "sessions": func(o *options) { o.sessions = 5 }, "latency": func(o *options) { o.latency = time.Microsecond },
	} {
		o := good
		spoil(&o)
		if _, err := choose(o); err == nil {
			t.Errorf("bad %s pass", name)
		}
	}
	for _, all := range [][]scenario{scenarios(), scaleScenarios()} {
		ids := map[string]bool{}
		for _, s := range all {
			for _, r := range s.rows {
				if ids[r.ID] || r.ID == "" {
					t.Errorf("two rows are called %q", r.ID)
				}
				ids[r.ID] = true
			}
		}
	}
	good.scale, good.only = true, "expiry,fill"
	if chosen, err := choose(good); err != nil || len(chosen) != 2 || chosen[0].name != "fill" {
		t.Errorf("of scale: %d, %v", len(chosen), err)
	}
	good.latency = time.Millisecond
	if _, err := choose(good); err == nil {
		t.Error("scale takes a latency")
	}
}

// A row fails that misses its target, and one that could not be measured.
func TestPlay(t *testing.T) {
	b := &bench{say: t.Logf, calm: time.Millisecond}
	three := []row{{ID: "good", Case: "good", Target: atMost(2)}, {ID: "bad", Case: "bad", Target: atMost(2)}, {ID: "none", Case: "none", Target: atMost(2)}}
	rows := b.play(t.Context(), scenario{"some", three, func(b *bench, _ context.Context) error {
		b.fill("good", newFigure(1, 2, 3), "%s", "limit")
		b.fill("bad", newFigure(3), "").note("a note")
		return nil
	}})
	verdicts := func(rows []*row) (list []string) {
		for _, r := range rows {
			list = append(list, r.verdict())
		}
		return list
	}
	if got := verdicts(rows); !slices.Equal(got, []string{"holds", "FAILS", "FAILS"}) {
		t.Errorf("the rows are %v", got)
	}
	var table strings.Builder
	writeTable(&table, rows)
	for _, text := range []string{"2 (1–3)", "a note", "FAILS: the median is 3, the target ≤ 2", "FAILS: it was not measured"} {
		if !strings.Contains(table.String(), text) {
			t.Errorf("the table does not say %q:\n%s", text, &table)
		}
	}
	rows = b.play(t.Context(), scenario{"broken", three, func(b *bench, _ context.Context) error {
		b.fill("good", newFigure(1), "")
		return errors.New("no Redis")
	}})
	if got := verdicts(rows); !slices.Equal(got, []string{"FAILS", "FAILS", "FAILS"}) {
		t.Errorf("after an error the rows are %v", got)
	}
}

func TestReplaceEach(t *testing.T) {
	if got, err := replaceEach("a b c", map[string]string{"a": "x", "c": ""}); err != nil || got != "x b " {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"d", "a"} {
		if _, err := replaceEach("a a a b", map[string]string{text: "x"}); err == nil {
			t.Errorf("%q passes", text)
		}
	}
}

func TestSpread(t *testing.T) {
	for n, want := range map[int]string{2: "a c", 4: "a b c d", 9: "a b c d"} {
		if got := strings.Join(spread([]string{"a", "b", "c", "d"}, n), " "); got != want {
			t.Errorf("%d of 4: %s", n, got)
		}
	}
}

func TestRefreshToken(t *testing.T) {
	if n := len(refreshToken("http://127.0.0.1:12345")); n < 450 || n > 550 {
		t.Errorf("a refresh token of %d bytes; the baseline's had 0.5 kB", n)
	}
}

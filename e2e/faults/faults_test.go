package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/e2e/rig"
)

// TestFaults plays one row of each class with the built program. It says nothing about times: make faults does.
func TestFaults(t *testing.T) {
	o := options{sessions: 60, rate: 60, replicas: 3, patient: 10, quick: true}
	plays, err := choose(o)
	if err != nil {
		t.Fatal(err)
	}
	if o.program, err = build(t.Context(), t.TempDir(), false); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "faults") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	results, err := playAll(t.Context(), o, dir, plays, t.Logf)
	if err != nil {
		t.Error(err)
	}
	if len(results) != len(plays) {
		t.Errorf("%d of %d rows were played", len(results), len(plays))
	}
	for _, r := range results {
		for _, failure := range r.Failures {
			t.Errorf("%s on %s, %s: %s", r.ID, r.Topology, r.Name, failure)
		}
	}
}

func TestChoose(t *testing.T) {
	usual := options{sessions: 10, rate: 1, replicas: 1, patient: 1}
	for name, c := range map[string]struct {
		change func(*options)
		want   string // the ids and topologies; "error"
	}{
		"one row everywhere":         {func(o *options) { o.only = "F20" }, "F20 standalone F20 sentinel F20 cluster"},
		"all variants on one":        {func(o *options) { o.only, o.on = "F5,F19", "standalone" }, "F5a standalone F5b standalone F19 standalone"},
		"one variant":                {func(o *options) { o.only = "F5b" }, "F5b standalone"},
		"no such row":                {func(o *options) { o.only = "F5,F99" }, "error"},
		"no such topology":           {func(o *options) { o.on = "ring" }, "error"},
		"not on that topology":       {func(o *options) { o.only, o.on = "F5", "cluster" }, "error"},
		"nobody":                     {func(o *options) { o.sessions = 0 }, "error"},
		"less patience than nothing": {func(o *options) { o.patient = .5 }, "error"},
	} {
		o := usual
		c.change(&o)
		plays, err := choose(o)
		var names []string
		for _, p := range plays {
			names = append(names, p.row.id, string(p.topology))
		}
		if got := strings.Join(names, " "); err == nil && got != c.want || err != nil && c.want != "error" {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
}

// Every row says what it is, and where; its id is its own.
func TestCatalogue(t *testing.T) {
	seen := map[string]bool{}
	last := 0
	for _, r := range catalogue() {
		if seen[r.id] {
			t.Errorf("there are two rows %s", r.id)
		}
		seen[r.id] = true
		if r.name == "" || r.bound == "" || len(r.on) == 0 || r.fault == nil && r.missing == nil {
			t.Errorf("%s lacks a name, a bound, a topology or a fault", r.id)
		}
		for _, on := range r.on {
			if !slices.Contains(everywhere, on) {
				t.Errorf("%s happens on %q", r.id, on)
			}
		}
		if n := number(r.id); n < last || n < 1 || n > 53 {
			t.Errorf("%s comes after F%d", r.id, last)
		} else {
			last = n
		}
	}
}

// TestProxy hurts a connection in our own ways.
func TestProxy(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // answers each piece with ten bytes
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				piece := make([]byte, 100)
				for {
					if _, err := c.Read(piece); err != nil {
						return
					}
					if _, err := c.Write([]byte("0123456789")); err != nil {
						return
					}
				}
			}()
		}
	}()
	p, err := rig.StartProxy("the test", "127.0.0.1:0", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Down()
	ask := func() (answer string, err error) {
		c, err := net.Dial("tcp", p.Address())
		if err != nil {
			return "", err
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(10 * time.Second))
		text := make([]byte, 100)
		for len(answer) < 20 {
			if _, err := c.Write([]byte("?")); err != nil {
				return answer, err
			}
			n, err := c.Read(text)
			answer += string(text[:n])
			if err != nil {
				return answer, err
			}
		}
		return answer, nil
	}
	if answer, err := ask(); err != nil || answer != "01234567890123456789" {
		t.Errorf("unharmed: %q, %v", answer, err)
	}
	pieces.Store(0)
	if err := p.Hurt(rig.Answers, "cut", map[string]any{"every": 2, "most": 40}); err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(); err == nil || answer != "012345678901" {
		t.Errorf("cut: %q, %v", answer, err)
	}
	p.Heal()
	if err := p.Hurt(rig.Answers, "late", map[string]any{"every": 1, "late": 100}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if answer, err := ask(); err != nil || answer != "01234567890123456789" || time.Since(began) < 200*time.Millisecond {
		t.Errorf("late: %q, %v, after %v", answer, err, time.Since(began))
	}
	p.Heal()
	if err := p.Hurt(rig.Answers, "no such harm", nil); err == nil {
		t.Error("a harm that there is not does no harm, silently")
	}
	p.Down()
	if answer, err := ask(); err == nil {
		t.Errorf("down: %q", answer)
	}
	if err := p.Up(); err != nil {
		t.Fatal(err)
	}
	if answer, err := ask(); err != nil || answer != "01234567890123456789" {
		t.Errorf("up again: %q, %v", answer, err)
	}
}

// A row that fails, holds, or could not run says so in the table.
func TestTable(t *testing.T) {
	failed := result{ID: "F1", Topology: standalone, Name: "a fault", Bound: "503", Verdicts: 100, Unavailable: 7, Lost: 3}
	failed.fail("it %s", "burns")
	var text strings.Builder
	writeTable(&text, []result{failed, {ID: "F2", Topology: cluster, Name: "another"}, {ID: "F3", Topology: sentinel, NotRun: "needs root"}})
	for _, want := range []string{"FAILED", "FAILED: it burns", "7 of 100 503", "holds", "not run: needs root"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table does not say %q:\n%s", want, text.String())
		}
	}
	path := filepath.Join(t.TempDir(), "rows.json")
	if err := writeJSON(path, options{}, []result{failed}, 1); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"it burns"`) {
		t.Errorf("%s, %v", text, err)
	}
}

// A row that cannot run here is told, and starts nothing.
func TestMissing(t *testing.T) {
	r := row{id: "F25", missing: func() string { return "needs root and ip netns" }}
	results, err := playAll(context.Background(), options{}, t.TempDir(), []play{{r, sentinel}}, t.Logf)
	if err != nil || len(results) != 1 || results[0].NotRun != "needs root and ip netns" || results[0].verdict() != "-" {
		t.Errorf("got %+v, %v", results, err)
	}
}

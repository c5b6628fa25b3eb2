package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The scenarios that need neither wrk nor much time fill their rows: what they count is right, whatever the machine made of the rest.
func TestScale(t *testing.T) {
	dir, err := os.MkdirTemp("", "bench-") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "authsvc")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "authsvc/cmd/authsvc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build, whose packages these are then
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, output)
	}
	b := &bench{
		options: options{program: program, connections: 1, seconds: 1, rounds: 1, replicas: 1, sessions: 100, scale: true},
		dir:     dir, calm: time.Millisecond, say: t.Logf, sizing: &sizing{Processor: "a processor"},
	}
	defer func() {
		if err := b.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, s := range scaleScenarios() {
		if !slices.Contains([]string{"fill", "logins", "operator", "bounded"}, s.name) {
			continue
		}
		for _, r := range b.play(t.Context(), s) {
			if r.Measured == nil {
				t.Errorf("%s: %q is not measured: %v", s.name, r.ID, r.Failures)
			}
		}
	}
	if n := len(b.sizing.Memory); n != 1 || b.sizing.Memory[0].Sessions != 100 || b.sizing.Memory[0].Bytes <= 0 {
		t.Errorf("%d sizes: %+v", n, b.sizing.Memory)
	}
}

// What was measured is told as it is, what follows from it is marked, and what nobody measured is left out.
func TestSizing(t *testing.T) {
	var text strings.Builder
	(*sizing)(nil).write(&text)
	(&sizing{}).write(&text)
	if text.Len() > 0 {
		t.Errorf("of nothing it tells %q", &text)
	}
	s := &sizing{Memory: []taken{{1000, 2 << 20}, {10_000, 20 << 20}}}
	s.write(&text)
	for line, want := range map[string]string{"1,000 ": "2 MiB -", "10,000 ": "20 MiB -", "100,000 ": "200 MiB * -", "1,000,000 ": "1.95 GiB * -"} {
		_, rest, _ := strings.Cut(text.String(), "\n"+line)
		rest, _, _ = strings.Cut(rest, "\n")
		if got := strings.Join(strings.Fields(rest), " "); got != want {
			t.Errorf("%s sessions: %q, want %q", line, got, want)
		}
	}
	if strings.Contains(text.String(), "verdicts") {
		t.Errorf("it tells of verdicts that nobody measured:\n%s", &text)
	}
	s.WarmCPU, s.OffCPU, s.RedisCPU, s.ClusterBytes, s.ClusterCPU, s.LoginCPU = 30, 60, 10, .9, 1.2, 2
	text.Reset()
	s.write(&text)
	for _, want := range []string{"0.30 0.60 0.10", "0.60 MiB *", "2 ms", "1.20 ×"} {
		if !strings.Contains(strings.Join(strings.Fields(text.String()), " "), want) {
			t.Errorf("it does not tell %q:\n%s", want, &text)
		}
	}
}

// A row for which nothing says what it must be is told, and fails when it was not measured.
func TestTold(t *testing.T) {
	for _, c := range []struct {
		measured *figure
		want     string
	}{{&figure{Samples: []float64{7}, Median: 7}, "told"}, {nil, "FAILS"}} {
		r := row{Target: told, Measured: c.measured}
		if r.judge(); r.verdict() != c.want {
			t.Errorf("%+v: %s", c.measured, r.verdict())
		}
	}
}

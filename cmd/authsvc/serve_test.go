package main

import (
	"bufio"
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/authsvc"
	"authsvc/session/memstore"
)

// asProgram in the environment makes the test binary the program.
const asProgram = "TEST_RUNS_AUTHSVC=1"

func TestMain(m *testing.M) {
	if lookup(os.Environ(), "TEST_RUNS_AUTHSVC") != "" {
		main()
	}
	os.Exit(m.Run())
}

// TestSecondSignalEndsAtOnce: whoever presses Ctrl-C again does not want to wait.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a tenth of the delay below
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "serve")
	cmd.Env = variables(asProgram, "AUTHSVC_LISTEN=127.0.0.1:0", "AUTHSVC_ADMIN_LISTEN=", "AUTHSVC_SHUTDOWN_DELAY=10m",
		"AUTHSVC_PUBLIC_URL=http://localhost", "AUTHSVC_OIDC_ISSUER=http://127.0.0.1:1")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	await := func(message string) {
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"message":"`+message+`"`) {
				return
			}
		}
		t.Errorf("it ended before it said %s", message)
	}
	await("serving")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	await("draining")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines.Scan() { // until the process closes its end
		}
	}()
	// The first signal of these may still be too early by a moment.
	for again := true; again; {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			again = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	err = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", err)
	}
}

// TestFollowSecrets: new secrets count once two looks in a row agree, and what is bad is told once each time it becomes so.
func TestFollowSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("first")
	s := &settings{environ: variables("AUTHSVC_ADMIN_TOKEN_FILE=" + file)}
	config, err := s.load()
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := zerolog.New(&out)
		service, err := authsvc.New(authsvc.Options{Config: config, Store: memory{memstore.New(nil)}, Log: log, Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		var current atomic.Pointer[authsvc.Config]
		current.Store(config)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go followSecrets(ctx, s, &current, service, log, nil)

		for i, step := range []struct {
			write    string // what the file holds at the next look
			want     string
			replaced int // how often it was told
			bad      int
		}{
			{"first", "first", 0, 0},
			{"sec", "first", 0, 0}, // half written
			{"second", "first", 0, 0},
			{"second", "second", 1, 0},
			{"second", "second", 1, 0},
			{"", "second", 1, 1},
			{"", "second", 1, 1},
			{"third", "second", 1, 1},
			{"", "second", 1, 1},
			{"third", "second", 1, 1}, // not in a row
			{"third", "third", 2, 1},
			{"", "third", 2, 2}, // bad anew
			{"third", "third", 2, 2},
			{"", "third", 2, 3},
			{"fourth", "third", 2, 3},
			{"third", "third", 2, 3}, // a change taken back
			{"fourth", "third", 2, 3},
			{"fourth", "fourth", 3, 3},
		} {
			write(step.write)
			time.Sleep(secretsInterval)
			synctest.Wait()
			got := current.Load().AdminToken.Reveal()
			replaced, bad := strings.Count(out.String(), "secrets replaced"), strings.Count(out.String(), "has become bad")
			if got != step.want || replaced != step.replaced || bad != step.bad {
				t.Errorf("step %d, %q: got %s, replaced %d times, bad %d times; want %+v", i, step.write, got, replaced, bad, step)
			}
		}
	})
}

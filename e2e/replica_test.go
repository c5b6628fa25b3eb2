package e2e

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

// replica is one running "authsvc serve".
type replica struct {
	address, admin string
	log            logBuffer

	t        *testing.T
	program  string            // "" is the one that is tested
	command  func() *exec.Cmd  // nil runs it with "serve"
	settings map[string]string // without effect where command sets the environment
	stderr   *os.File          // what it writes to in the place of log, unless nil
	cmd      *exec.Cmd
	done     chan struct{} // closed when the process has ended
}

// newReplica starts a replica on free ports, unless the settings say where, and does not wait for it. It ends with the test, which
// fails unless the replica then leaves with 0 after SIGTERM; a build with the race detector leaves with another code after a race.
func newReplica(t *testing.T, settings map[string]string) *replica {
	t.Helper()
	r := &replica{t: t, settings: maps.Clone(settings)}
	for key, address := range map[string]*string{"listen": &r.address, "admin_listen": &r.admin} {
		if r.settings[key] == "" {
			r.settings[key] = nginxtest.FreeAddress(t)
		}
		*address = r.settings[key]
	}
	r.begin()
	return r
}

// begin starts the replica, which ends with its test.
func (r *replica) begin() {
	r.t.Helper()
	r.t.Cleanup(func() {
		if r.running() {
			if code := r.terminate(); code != 0 {
				r.t.Errorf("replica %s left with %d", r.address, code)
			}
		}
		if r.t.Failed() {
			text := r.log.String()
			r.t.Logf("replica %s wrote:\n%s", r.address, text[max(0, len(text)-6000):])
		}
	})
	r.start()
}

func (r *replica) start() {
	r.t.Helper()
	if r.command != nil {
		r.cmd = r.command()
	} else {
		r.cmd = exec.Command(cmp.Or(r.program, program), "serve")
		r.cmd.Env = slices.Concat(environment(), variables(r.settings))
	}
	r.cmd.Stdout, r.cmd.Stderr, r.cmd.SysProcAttr = &r.log, &r.log, dieWithTest()
	if r.stderr != nil {
		r.cmd.Stderr = r.stderr
	}
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	cmd, done := r.cmd, make(chan struct{})
	r.done = done
	go func() { cmd.Wait(); close(done) }()
}

func (r *replica) running() bool {
	select {
	case <-r.done:
		return false
	default:
		return true
	}
}

func (r *replica) signal(signal syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(signal); err != nil {
		r.t.Fatal(err)
	}
}

// terminate asks the replica to leave and returns its exit code.
func (r *replica) terminate() int {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	return r.exitCode()
}

func (r *replica) kill() {
	r.t.Helper()
	r.signal(syscall.SIGKILL)
	<-r.done
}

// exitCode waits until the replica has ended.
func (r *replica) exitCode() int {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(40 * time.Second):
		r.t.Errorf("replica %s does not leave", r.address)
		r.cmd.Process.Kill()
		<-r.done
	}
	return r.cmd.ProcessState.ExitCode()
}

// readiness is what /readyz says.
type readiness struct {
	status   int
	Ready    bool
	Failing  map[string]string
	Degraded map[string]string
}

func (r *replica) readyz(query string) (readiness, error) {
	text, status, err := r.adminPage("/readyz" + query)
	state := readiness{status: status}
	if err == nil {
		err = json.Unmarshal([]byte(text), &state)
	}
	return state, err
}

// adminPage gets a page of the admin listener.
func (r *replica) adminPage(path string) (body string, status int, err error) {
	response, err := direct.Get("http://" + r.admin + path)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), response.StatusCode, err
}

// awaitReady waits until the replica is ready and nothing is degraded: the provider is known, too.
func (r *replica) awaitReady() {
	r.t.Helper()
	storetest.WaitFor(r.t, "replica "+r.address+" to be ready", func() error {
		if !r.running() {
			r.t.Fatalf("the replica ended:\n%s", r.log.String())
		}
		state, err := r.readyz("?strict=1")
		if err == nil && state.status != http.StatusOK {
			err = fmt.Errorf("%+v", state)
		}
		return err
	})
}

// metric returns the value of one line of /metrics, 0 if there is none.
func (r *replica) metric(series string) string {
	r.t.Helper()
	text, _, err := r.adminPage("/metrics")
	if err != nil {
		r.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, found := strings.CutPrefix(line, series+" "); found {
			return strings.TrimSpace(value)
		}
	}
	return "0"
}

// logBuffer keeps what a process writes.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"authsvc/session/storetest"
)

// writesTo starts the replica anew with another stderr.
func (r *replica) writesTo(file *os.File) {
	r.t.Helper()
	r.stderr = file
	r.becomes("")
	r.awaitReady()
}

// refuses asks for n verdicts that are told in the log, and checks each.
func (r *replica) refuses(n int) {
	r.t.Helper()
	check(r.t, together(n, 8, func(int) error {
		answer, err := r.auth("", nil)
		if err == nil && answer.status != http.StatusUnauthorized {
			err = fmt.Errorf("%d to a stranger", answer.status)
		}
		return err
	}))
}

// TestLifecycleLog: whatever becomes of stderr, verdicts come as ever, and the replica leaves with 0 on SIGTERM. What is lost is counted and told.
func TestLifecycleLog(t *testing.T) {
	s := newStack(t, options{replicas: 1})
	r, alice := s.replicas[0], s.visitor("alice")
	alice.signIn()
	cookie := alice.cookie(sessionCookie)
	pipe := func() (read, write *os.File) {
		t.Helper()
		read, write, err := os.Pipe()
		check(t, err)
		t.Cleanup(func() { read.Close(); write.Close() })
		return read, write
	}
	lost := func(t *testing.T) {
		t.Helper()
		check(t, r.passes("alice", cookie))
		storetest.WaitFor(t, "lost lines to be counted", func() error {
			if r.metric("authsvc_log_dropped_total") == "0" {
				return fmt.Errorf("none is")
			}
			return nil
		})
		if state, err := r.readyz(""); err != nil || state.status != http.StatusOK {
			t.Errorf("/readyz: %+v, %v", state, err)
		}
	}

	t.Run("nobody reads it", func(t *testing.T) {
		_, write := pipe()
		r.writesTo(write)
		r.refuses(700) // more than a pipe holds
		check(t, r.passes("alice", cookie))
	})
	t.Run("somebody reads it late", func(t *testing.T) {
		read, write := pipe()
		r.writesTo(write)
		r.refuses(6000) // more than the replica keeps as well
		lost(t)
		told := make(chan string)
		go func() {
			for lines := bufio.NewScanner(read); lines.Scan(); {
				if strings.Contains(lines.Text(), "lines of the log were lost here") {
					told <- lines.Text()
				}
			}
		}()
		line := <-told
		if n := r.metric("authsvc_log_dropped_total"); !strings.Contains(line, fmt.Sprintf(`"lines":%s,`, n)) {
			t.Errorf("%s lines are lost, and it tells %s", n, line)
		}
		check(t, r.passes("alice", cookie))
	})
	t.Run("its reader has gone", func(t *testing.T) {
		read, write := pipe()
		r.writesTo(write)
		read.Close()
		write.Close() // or the pipe would have a writer yet
		r.refuses(10)
		lost(t)
	})
	t.Run("the disk is full", func(t *testing.T) {
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		check(t, err)
		defer full.Close()
		r.writesTo(full)
		r.refuses(10)
		lost(t)
	})
	t.Run("nobody reads the metrics", func(t *testing.T) {
		r.writesTo(nil)
		for range 10 {
			conn, err := net.Dial("tcp", r.admin)
			check(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte(strings.Repeat("GET /metrics HTTP/1.1\r\nHost: admin\r\n\r\n", 500)))
			check(t, err)
		}
		check(t, r.passes("alice", cookie))
		if state, err := r.readyz(""); err != nil || state.status != http.StatusOK {
			t.Errorf("/readyz: %+v, %v", state, err)
		}
		if code := r.terminate(); code != 0 {
			t.Errorf("it left with %d", code)
		}
	})
}

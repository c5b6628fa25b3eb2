package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
)

// failingListener fails to take each connection.
type failingListener struct {
	net.Listener
	err error
}

func (l *failingListener) Accept() (net.Conn, error) {
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: l.err}
}
func (l *failingListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4180}
}

// TestListenerComplains: what keeps connections out is told once a minute with what to do about it, and net/http gets the very error.
func TestListenerComplains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		failing := &failingListener{err: os.NewSyscallError("accept4", syscall.EMFILE)}
		l := &complainingListener{Listener: failing, log: zerolog.New(&lines)}
		try := func(want string) {
			t.Helper()
			lines.Reset()
			for range 3 {
				_, err := l.Accept()
				if !errors.Is(err, failing.err) {
					t.Errorf("Accept says %v, not %v, by which net/http knows whether to try on", err, failing.err)
				}
			}
			if got := strings.Count(lines.String(), "\n"); (want == "" && got != 0) || (want != "" && (got != 1 || !strings.Contains(lines.String(), want))) {
				t.Errorf("the log has %q, want one line with %q", lines.String(), want)
			}
		}
		try(`"error":"accept tcp: accept4: too many open files","listen":"127.0.0.1:4180","message":"no connection can be taken; those that come wait; raise`)
		try("")
		time.Sleep(complaintInterval)
		try("LimitNOFILE=")
		time.Sleep(complaintInterval)
		failing.err = os.NewSyscallError("accept4", syscall.ENFILE)
		try("fs.file-max")
		time.Sleep(complaintInterval)
		failing.err = os.NewSyscallError("accept4", syscall.ENOBUFS)
		try(`"message":"no connection can be taken; those that come wait"`)
		time.Sleep(complaintInterval)
		failing.err = net.ErrClosed // as at every end
		try("")
	})
}

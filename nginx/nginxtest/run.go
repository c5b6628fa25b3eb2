// Package nginxtest runs the real nginx for tests and for the demo: its own folder, its own
// processes, nothing shared with the system's nginx. [Start] and [Check] are for tests, [Run] and
// [Test] for programs; the package does not import "testing".
package nginxtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// ErrNotInstalled means that there is no nginx on this machine.
var ErrNotInstalled = errors.New("nginx is not installed; on Debian and Ubuntu: apt-get install nginx")

// startLimit bounds the wait for nginx to listen; stopLimit the wait for it to leave before it is killed.
const (
	startLimit = 30 * time.Second
	stopLimit  = 5 * time.Second
)

// Server is a running nginx. Its methods are safe for concurrent use.
type Server struct {
	dir    string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // how nginx ended; read it after done is closed
}

// Run starts nginx with the given lines inside http{} and returns when it listens on every address of
// the configuration. dir is an existing folder that this nginx has for itself: configuration, process id,
// error log and temporary files go there. nginx runs until [Server.Stop], or until ctx is done.
//
// [ErrNotInstalled] says that there is no nginx; any other error carries what nginx wrote.
func Run(ctx context.Context, dir, httpBlock string) (*Server, error) {
	dir, program, err := prepare(dir, httpBlock)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "error.log"))
	if err != nil {
		return nil, fmt.Errorf("nginx's error log: %w", err)
	}
	defer log.Close() // nginx has its own copy

	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, arguments(dir)...)
	cmd.Stderr = log
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start nginx: %w", err)
	}
	s := &Server{dir: dir, cancel: cancel, done: make(chan struct{})}
	go func() {
		s.err = cmd.Wait()
		close(s.done)
	}()
	if err := s.awaitListening(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Test asks nginx whether it accepts the given lines inside http{} (nginx -t), in dir, which may be
// empty. A warning counts as a refusal. The error carries what nginx wrote.
func Test(ctx context.Context, dir, httpBlock string) error {
	dir, program, err := prepare(dir, httpBlock)
	if err != nil {
		return err
	}
	output, err := exec.CommandContext(ctx, program, append(arguments(dir), "-t")...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("nginx -t: %w\n%s", err, output)
	}
	if bytes.Contains(output, []byte("[warn]")) {
		return fmt.Errorf("nginx -t warns\n%s", output)
	}
	return nil
}

// Stop ends nginx and returns when it is gone, after at most five seconds. Open connections are cut. The
// error is nginx's own, if it did not leave cleanly; a second call returns the same.
func (s *Server) Stop() error {
	s.cancel()
	<-s.done
	// nginx leaves with 0 after SIGTERM; then cmd.Wait reports only that its context is done.
	if s.err == nil || errors.Is(s.err, context.Canceled) || errors.Is(s.err, context.DeadlineExceeded) {
		return nil
	}
	return fmt.Errorf("nginx: %w\n%s", s.err, s.ErrorLog())
}

// Done is closed when nginx has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.done }

// ErrorLog returns what nginx has written to its error log so far.
func (s *Server) ErrorLog() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "error.log"))
	if err != nil {
		return "error log: " + err.Error()
	}
	return string(text)
}

// awaitListening returns when nginx has written its process id, which it does once every socket listens:
// from then on the kernel takes connections.
func (s *Server) awaitListening(ctx context.Context) error {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	poll := time.NewTicker(2 * time.Millisecond)
	defer poll.Stop()
	for {
		if text, err := os.ReadFile(filepath.Join(s.dir, "nginx.pid")); err == nil && len(text) > 0 {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("nginx was stopped before it listened: %w", ctx.Err())
		case <-s.done:
			return fmt.Errorf("nginx ended at once: %w\n%s", s.err, s.ErrorLog())
		case <-limit.C:
			return fmt.Errorf("nginx does not listen after %s\n%s", startLimit, s.ErrorLog())
		}
	}
}

// prepare writes nginx.conf into dir; it returns dir as an absolute path, and nginx's program.
func prepare(dir, httpBlock string) (absolute, program string, err error) {
	program, err = exec.LookPath("nginx")
	if err != nil {
		// Debian keeps it where only root's PATH looks.
		if program, err = exec.LookPath("/usr/sbin/nginx"); err != nil {
			return "", "", ErrNotInstalled
		}
	}
	if absolute, err = filepath.Abs(dir); err != nil {
		return "", "", fmt.Errorf("nginx's folder: %w", err)
	}
	if err = os.Remove(filepath.Join(absolute, "nginx.pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", "", fmt.Errorf("an earlier nginx's process id: %w", err)
	}
	if err = os.WriteFile(filepath.Join(absolute, "nginx.conf"), []byte(configuration(absolute, httpBlock)), 0o600); err != nil {
		return "", "", fmt.Errorf("nginx's configuration: %w", err)
	}
	return absolute, program, nil
}

func arguments(dir string) []string {
	return []string{"-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"}
}

// configuration surrounds the http block with what an nginx of its own needs.
func configuration(dir, httpBlock string) string {
	var text bytes.Buffer
	if os.Geteuid() == 0 {
		// Otherwise the worker becomes nobody and may not enter dir.
		text.WriteString("user root;\n")
	}
	fmt.Fprintf(&text, `daemon off;
worker_processes 1;
pid %q;
error_log stderr notice;
events { worker_connections 4096; }
http {
access_log off;
`, filepath.Join(dir, "nginx.pid"))
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "scgi", "uwsgi"} {
		fmt.Fprintf(&text, "%s_temp_path %q;\n", kind, filepath.Join(dir, kind+"_temp"))
	}
	text.WriteString(httpBlock)
	text.WriteString("\n}\n")
	return text.String()
}

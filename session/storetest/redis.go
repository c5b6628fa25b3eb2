package storetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Server is a redis-server process. Its methods fail the test when they cannot do what they say.
type Server struct {
	// Addr is host:port, URL the store URL, Socket the path of the unix socket.
	Addr, URL, Socket string
	// TLSAddr and TLSURL are those at which it speaks TLS, if it does.
	TLSAddr, TLSURL string

	tb     testing.TB
	dir    string
	args   []string
	client *redis.Client
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
}

// StartRedis starts a redis-server on a free port of the loopback interface, that listens on a unix socket too and keeps its
// files in a folder of its own. It stores nothing on disk unless the arguments say so. It ends with the test. A missing redis-server fails the test.
func StartRedis(tb testing.TB, args ...string) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redis") // a socket's path must be short
	if err != nil {
		tb.Fatal(err)
	}
	port := freePort(tb)
	return start(tb, dir, port, append([]string{
		"--port", port, "--bind", "127.0.0.1", "--unixsocket", filepath.Join(dir, "s"), "--dir", dir, "--save", "",
		"--enable-debug-command", "local", "--cluster-port", freePort(tb),
	}, args...))
}

// start starts a redis-server with the arguments, which make it listen on the port and keep its files in dir.
func start(tb testing.TB, dir, port string, args []string) *Server {
	tb.Helper()
	s := &Server{
		Addr: "127.0.0.1:" + port, URL: "redis://127.0.0.1:" + port, Socket: filepath.Join(dir, "s"), tb: tb, dir: dir, args: args,
	}
	s.client = redis.NewClient(&redis.Options{
		Addr: s.Addr, Password: s.password(), Protocol: 2, DisableIdentity: true, DialerRetries: 1,
	})
	tb.Cleanup(func() {
		s.client.Close()
		s.Kill()
		if tb.Failed() {
			if log, err := os.ReadFile(s.logFile()); err == nil {
				tb.Logf("redis-server %s wrote:\n%s", s.Addr, tail(string(log), 2000))
			}
		}
		os.RemoveAll(dir)
	})
	s.Start()
	return s
}

func tail(text string, n int) string { return text[max(0, len(text)-n):] }

// freePort returns a port that is free now. It is below those that systems give to outgoing connections, so that none of these can take it before
// the server does.
func freePort(tb testing.TB) string {
	tb.Helper()
	const lowest, highest, tries = 10_240, 32_767, 100
	var err error
	for range tries {
		port := strconv.Itoa(lowest + rand.IntN(highest-lowest+1))
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			l.Close()
			return port
		}
	}
	tb.Fatalf("find a free port: %v", err)
	return ""
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }

// Start starts a server that was killed or stopped, on the same port and with the data that it left on disk, and waits until it
// takes commands.
func (s *Server) Start() {
	s.tb.Helper()
	s.Launch()
	WaitFor(s.tb, "redis-server to take commands", s.ready)
}

// Launch is Start without waiting: a server that has much to read from disk takes connections long before commands.
func (s *Server) Launch() {
	s.tb.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.tb.Fatalf("these tests need a redis-server: install the package redis-server (%v)", err)
	}
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer log.Close()
	s.cmd = exec.Command(path, s.args...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.SysProcAttr = log, log, dieWithTest()
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	cmd, done := s.cmd, make(chan struct{})
	s.done = done
	go func() { cmd.Wait(); close(done) }()
}

// ready asks the server for a sign of life; that it wants a password is one.
func (s *Server) ready() error {
	select {
	case <-s.done:
		log, _ := os.ReadFile(s.logFile())
		s.tb.Fatalf("redis-server ended at once:\n%s", tail(string(log), 2000))
	default:
	}
	c, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Second))
	if _, err := c.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && !strings.HasPrefix(answer, "+PONG") && !strings.HasPrefix(answer, "-NOAUTH") {
		err = fmt.Errorf("it says %q", answer)
	}
	return err
}

// Kill ends the server as a crash does. What it had not written to disk is lost.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Stop ends the server in order.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

func (s *Server) end(signal syscall.Signal) {
	if s.cmd == nil {
		return
	}
	s.cmd.Process.Signal(signal)
	s.cmd.Process.Signal(syscall.SIGCONT)
	<-s.done
}

// Pause stops the process: connections stay, and new ones are made, but nothing is answered until Resume.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends Pause.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(signal syscall.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.tb.Fatal(err)
	}
}

// Deafen lets a replica hear no more of its master, which goes on without it, until Listen.
func (s *Server) Deafen() {
	s.tb.Helper()
	s.Do("CONFIG", "SET", "masterauth", "a password that no master asks for") // and so it refuses it
	s.Do("CLIENT", "KILL", "TYPE", "master")
	WaitFor(s.tb, "the replica to hear nothing", func() error {
		if !strings.Contains(s.Do("INFO", "replication").(string), "master_link_status:down") {
			return errors.New("it hears its master")
		}
		return nil
	})
}

// Listen ends Deafen.
func (s *Server) Listen() {
	s.tb.Helper()
	s.Do("CONFIG", "SET", "masterauth", "")
}

func (s *Server) password() string {
	if i := slices.Index(s.args, "--requirepass"); i >= 0 && i+1 < len(s.args) {
		return s.args[i+1]
	}
	return ""
}

// Client returns a plain client of the server's database 0, for all that a test does behind a store's back. It is closed with the
// test.
func (s *Server) Client() *redis.Client { return s.client }

// Do runs one command.
func (s *Server) Do(args ...any) any {
	s.tb.Helper()
	result, err := s.client.Do(context.Background(), args...).Result()
	if err != nil {
		s.tb.Fatalf("%v: %v", args[0], err)
	}
	return result
}

// Flush removes all keys.
func (s *Server) Flush() {
	s.tb.Helper()
	s.Do("FLUSHALL")
}

// Lives returns what is left of the life of every key; negative for a key without expiry.
func (s *Server) Lives(ctx context.Context) (map[string]time.Duration, error) {
	return lives(ctx, s.client)
}

func lives(ctx context.Context, c *redis.Client) (map[string]time.Duration, error) {
	found := map[string]time.Duration{}
	keys := c.Scan(ctx, 0, "*", 1000).Iterator()
	for keys.Next(ctx) {
		left, err := c.PTTL(ctx, keys.Val()).Result()
		if err != nil {
			return nil, err
		}
		if left != -2 { // it is gone by now
			found[keys.Val()] = left
		}
	}
	return found, keys.Err()
}

// Info returns a number of the server's INFO.
func (s *Server) Info(name string) int64 {
	s.tb.Helper()
	for line := range strings.Lines(s.Do("INFO", "everything").(string)) {
		if value, found := strings.CutPrefix(strings.TrimSpace(line), name+":"); found {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				s.tb.Fatalf("INFO %s is %q", name, value)
			}
			return n
		}
	}
	s.tb.Fatalf("INFO has no %s", name)
	return 0
}

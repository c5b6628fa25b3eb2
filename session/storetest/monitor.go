package storetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Command is one command that a server ran.
type Command struct {
	// Client is the address of who sent it, "unix:" and a path, or "lua" for a command of a script.
	Client string
	// Args are the command's name, in capitals, and its arguments.
	Args []string
}

func (c Command) String() string { return fmt.Sprintf("%s %q", c.Client, c.Args) }

// Monitor records the commands that a server runs, by MONITOR.
type Monitor struct {
	client *redis.Client

	mu       sync.Mutex
	commands []Command
}

// Monitor starts recording; the server must let a client without a name in. It ends with the test.
func (s *Server) Monitor(tb testing.TB) *Monitor {
	tb.Helper()
	c, err := net.Dial("tcp", s.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	var reading sync.WaitGroup
	tb.Cleanup(func() { c.Close(); reading.Wait() })
	if password := s.password(); password != "" {
		fmt.Fprintf(c, "AUTH %s\r\n", password)
	}
	fmt.Fprint(c, "MONITOR\r\n")
	m := &Monitor{client: s.Client()}
	reading.Go(func() {
		lines := bufio.NewReader(c)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if command, ok := parseCommand(strings.TrimSpace(line)); ok {
				m.mu.Lock()
				m.commands = append(m.commands, command)
				m.mu.Unlock()
			}
		}
	})
	m.Commands(tb) // wait until it records
	return m
}

// Commands returns what was run since it was called last, without what keeps connections: HELLO, AUTH, SELECT,
// PING, MONITOR and the monitor's own.
func (m *Monitor) Commands(tb testing.TB) []Command {
	tb.Helper()
	// A mark that it has seen says that it has seen everything before.
	var commands []Command
	WaitFor(tb, "MONITOR to catch up", func() error {
		mark := rand.Text()
		if err := m.client.Echo(context.Background(), mark).Err(); err != nil {
			return err
		}
		deadline := time.Now().Add(time.Second)
		for time.Now().Before(deadline) {
			if commands = m.until(mark); commands != nil {
				return nil
			}
			time.Sleep(time.Millisecond) // the pace of asking
		}
		return fmt.Errorf("it has not seen a command of a second ago")
	})
	kept := []Command{}
	for _, c := range commands {
		switch c.Args[0] {
		case "HELLO", "AUTH", "SELECT", "PING", "MONITOR", "ECHO":
		default:
			kept = append(kept, c)
		}
	}
	return kept
}

// until takes the commands up to the mark, or nothing if it has not come.
func (m *Monitor) until(mark string) []Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, c := range m.commands {
		if len(c.Args) == 2 && c.Args[1] == mark {
			commands := m.commands[:i+1]
			m.commands = m.commands[i+1:]
			return commands
		}
	}
	return nil
}

// parseCommand reads a line such as
//
//	+1339518083.107412 [0 127.0.0.1:60866] "get" "key"
func parseCommand(line string) (Command, bool) {
	_, rest, ok := strings.Cut(line, " [")
	if !ok {
		return Command{}, false
	}
	source, rest, ok := strings.Cut(rest, "] ")
	if !ok {
		return Command{}, false
	}
	_, client, _ := strings.Cut(source, " ")
	c := Command{Client: client}
	for rest != "" {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return Command{}, false
		}
		arg, err := strconv.Unquote(quoted)
		if err != nil {
			return Command{}, false
		}
		c.Args = append(c.Args, arg)
		rest = strings.TrimPrefix(rest[len(quoted):], " ")
	}
	if len(c.Args) == 0 {
		return Command{}, false
	}
	c.Args[0] = strings.ToUpper(c.Args[0])
	return c, true
}

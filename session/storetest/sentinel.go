package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Sentinel is a master with two replicas, watched by three sentinels of which two must agree.
type Sentinel struct {
	// Servers are the master, in the beginning the first, and its replicas.
	Servers []*Server
	// Sentinels are processes as well.
	Sentinels []*Server
	// URL is a store URL that names the sentinels.
	URL string

	tb testing.TB
}

const masterName = "main"

// StartSentinel starts six processes and waits until every sentinel knows all others. A master that is gone is replaced within about 4 seconds.
func StartSentinel(tb testing.TB) *Sentinel {
	tb.Helper()
	return startGroup(tb, "redis", func(args ...string) *Server { return StartRedis(tb, args...) }, nil)
}

// StartSentinelTLS is StartSentinel, where everyone speaks TLS with everyone, by certificates of the authority.
func StartSentinelTLS(tb testing.TB, a *Authority) *Sentinel {
	tb.Helper()
	return startGroup(tb, "rediss", func(args ...string) *Server { return StartRedisTLS(tb, a, args...) }, a)
}

func startGroup(tb testing.TB, scheme string, startServer func(args ...string) *Server, a *Authority) *Sentinel {
	tb.Helper()
	g := &Sentinel{tb: tb, Servers: []*Server{startServer()}}
	host, port, _ := net.SplitHostPort(g.Servers[0].told())
	for range 2 {
		g.Servers = append(g.Servers, startServer("--replicaof", host+" "+port, "--repl-diskless-sync-delay", "0"))
	}
	for _, server := range g.Servers {
		// Each is a replica at some time, and then follows at once.
		server.Do("CONFIG", "SET", "repl-diskless-sync-delay", 0)
	}
	addresses := []string{}
	for range 3 {
		s := startSentinel(tb, host, port, a)
		g.Sentinels, addresses = append(g.Sentinels, s), append(addresses, s.told())
	}
	g.URL = scheme + "+sentinel://" + strings.Join(addresses, ",") + "/" + masterName
	g.Settle()
	return g
}

// told is the address that others are told.
func (s *Server) told() string { return cmp.Or(s.TLSAddr, s.Addr) }

// startSentinel starts one, over TLS as well if there is an authority; it writes what it learns into its own configuration.
func startSentinel(tb testing.TB, host, port string, a *Authority) *Server {
	tb.Helper()
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		tb.Fatal(err)
	}
	own, secured := freePort(tb), freePort(tb)
	file := filepath.Join(dir, "sentinel.conf")
	config := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor %[3]s %s %s 2\nsentinel down-after-milliseconds %[3]s 1000\nsentinel failover-timeout %[3]s 3000\n",
		own, dir, masterName, host, port)
	args := []string{file, "--sentinel"}
	if a != nil {
		args = append(args, a.args(secured)...)
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	s := start(tb, dir, own, args)
	if a != nil {
		s.TLSAddr = "127.0.0.1:" + secured
	}
	return s
}

// Master returns the server that all sentinels name.
func (g *Sentinel) Master() (*Server, error) {
	named := []string{}
	for _, s := range g.Sentinels {
		pair, err := s.Client().Do(context.Background(), "SENTINEL", "GET-MASTER-ADDR-BY-NAME", masterName).StringSlice()
		if err != nil || len(pair) != 2 {
			continue // it is down
		}
		named = append(named, net.JoinHostPort(pair[0], pair[1]))
	}
	slices.Sort(named)
	if named = slices.Compact(named); len(named) != 1 {
		return nil, fmt.Errorf("the sentinels name %v", named)
	}
	for _, server := range g.Servers {
		if server.told() == named[0] {
			return server, nil
		}
	}
	return nil, fmt.Errorf("the sentinels name %v, which is none of ours", named)
}

// Lives returns what is left of the life of every key of the master; negative for a key without expiry.
func (g *Sentinel) Lives(ctx context.Context) (map[string]time.Duration, error) {
	master, err := g.Master()
	if err != nil {
		return nil, err
	}
	return master.Lives(ctx)
}

// AwaitOther waits until all sentinels name another master than this one, and returns it.
func (g *Sentinel) AwaitOther(than *Server) (other *Server) {
	g.tb.Helper()
	waitFor(g.tb, time.Minute, "the sentinels to name another master", func() (err error) {
		if other, err = g.Master(); err == nil && other == than {
			err = errors.New("they name the same one")
		}
		return err
	})
	return other
}

// Failover makes the sentinels replace a master that works. It does not wait until they have.
func (g *Sentinel) Failover() {
	g.tb.Helper()
	WaitFor(g.tb, "the sentinel to begin", func() error {
		return g.Sentinels[0].Client().Do(context.Background(), "SENTINEL", "FAILOVER", masterName).Err()
	})
}

// Settle waits until all sentinels know each other and name the same master, and the other two servers follow it.
func (g *Sentinel) Settle() {
	g.tb.Helper()
	// Sentinels try a failover that went wrong again after two failover timeouts.
	waitFor(g.tb, time.Minute, "the sentinels and replicas to be ready", g.ready)
}

func (g *Sentinel) ready() error {
	master, err := g.Master()
	if err != nil {
		return err
	}
	for _, s := range g.Sentinels {
		about, err := s.Client().Do(context.Background(), "SENTINEL", "MASTER", masterName).StringSlice()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(about); i += 2 {
			want := map[string]string{"num-slaves": "2", "num-other-sentinels": "2", "flags": "master"}[about[i]]
			if want != "" && about[i+1] != want {
				return fmt.Errorf("a sentinel says that %s is %s", about[i], about[i+1])
			}
		}
	}
	for _, server := range g.Servers {
		info, err := server.Client().Info(context.Background(), "replication").Result()
		switch {
		case err != nil:
			return err
		case server == master && !strings.Contains(info, "role:master"):
			return errors.New("the master is none")
		case server != master && strings.Contains(info, "role:master"):
			// A master that was replaced, or comes back. The sentinels would see to it within some ten seconds.
			host, port, _ := net.SplitHostPort(master.told())
			server.Do("REPLICAOF", host, port)
			return errors.New("a server takes itself for the master")
		case server != master && (!strings.Contains(info, "master_link_status:up") || !strings.Contains(info, "master_port:"+master.port())):
			return errors.New("a replica does not follow the master")
		}
	}
	return nil
}

func (s *Server) port() string {
	_, port, _ := net.SplitHostPort(s.told())
	return port
}

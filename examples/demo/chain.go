package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/authsvc/idptest"
)

// preferredSite is where the site listens if nobody else does.
const preferredSite = "127.0.0.1:8080"

// chain is everything that the demo runs.
type chain struct {
	dir      string
	stops    []func() error // in the order of the starts
	failed   chan error     // a part that everything needs has ended
	site     string         // host:port that browsers use
	store    *store
	provider *idptest.Provider
	replicas []*replica
}

// start brings up each part after those that it needs. What has started when it fails, stop stops.
func (c *chain) start(ctx context.Context, program string) error {
	var err error
	if program == "" {
		if program, err = buildService(ctx, c.dir); err != nil {
			return err
		}
	}
	if c.store, err = c.startRedis(ctx); err != nil {
		return err
	}
	if c.site, err = freeSite(); err != nil {
		return err
	}
	secret := rand.Text()
	if err = c.startProvider(secret); err != nil {
		return err
	}
	if err = c.startReplicas(ctx, program, secret); err != nil {
		return err
	}
	application, err := c.serve(c.application())
	if err != nil {
		return err
	}
	return c.startNginx(ctx, application)
}

// stop ends every part, the last started first.
func (c *chain) stop() error {
	var errs []error
	for _, stop := range slices.Backward(c.stops) {
		errs = append(errs, stop())
	}
	c.stops = nil
	return errors.Join(errs...)
}

func (c *chain) onStop(stop func() error) { c.stops = append(c.stops, stop) }

// fail ends the demo because of a part that everything needs.
func (c *chain) fail(err error) {
	select {
	case c.failed <- err:
	default: // an earlier failure is the cause
	}
}

func (c *chain) url() string { return "http://" + c.site }

// freeSite is the preferred address or, if that is taken, a free one.
func freeSite() (string, error) {
	listener, err := net.Listen("tcp", preferredSite)
	if err != nil {
		if listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", fmt.Errorf("a port for the site: %w", err)
		}
		fmt.Printf("%s is taken; the site gets %s instead.\n", preferredSite, listener.Addr())
	}
	return listener.Addr().String(), listener.Close()
}

// freeAddresses are ports of 127.0.0.1 that nobody listens on.
func freeAddresses(count int) (addresses []string, err error) {
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("a free port: %w", err)
		}
		defer listener.Close() // only now, so that no two are the same
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// serve runs a handler of this process on a free port.
func (c *chain) serve(handler http.Handler) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("a free port: %w", err)
	}
	c.serveOn(listener, handler)
	return listener.Addr().String(), nil
}

func (c *chain) serveOn(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.fail(fmt.Errorf("a listener of the demo: %w", err))
		}
	}()
	c.onStop(func() error {
		err := server.Close()
		<-done
		return err
	})
}

// startProvider serves the provider in this process.
func (c *chain) startProvider(secret string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("a port for the provider: %w", err)
	}
	c.provider, err = idptest.New(idptest.Options{
		Issuer: "http://" + listener.Addr().String(),
		Clients: []idptest.Client{{
			ID:                     "demo",
			Secret:                 secret,
			RedirectURIs:           []string{c.url() + "/callback"},
			PostLogoutRedirectURIs: []string{c.url() + "/signed_out"},
		}},
		People: []idptest.Person{
			{Subject: "alice", PreferredUsername: "alice", Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff", "admins"}},
			{Subject: "bob", PreferredUsername: "bob", Email: "bob@example.com", EmailVerified: true, Groups: []string{"staff"}},
			{Subject: "carol", PreferredUsername: "carol", Email: "carol@example.com", EmailVerified: true},
		},
	})
	if err != nil {
		listener.Close()
		return err
	}
	c.serveOn(listener, c.provider)
	return nil
}

// records is how many sessions the store holds, counted as anybody can: by the keys' names.
func (c *chain) records(ctx context.Context) (int, error) {
	count := 0
	keys := c.store.client.Scan(ctx, 0, "authsvc:session:*", 1000).Iterator()
	for keys.Next(ctx) {
		count++
	}
	if err := keys.Err(); err != nil && !errors.Is(err, redis.Nil) {
		return 0, fmt.Errorf("counting the records: %w", err)
	}
	return count, nil
}

func randomKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}

// describe tells what runs where.
func (c *chain) describe() string {
	var text strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&text, "  %-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	text.WriteString("\n")
	line("site", "%s/  nginx, by round robin over both replicas", c.url())
	for i, r := range c.replicas {
		line(fmt.Sprintf("replica %d", i+1), "%s  process %d", r.address, r.pid())
	}
	line("Redis", "%s", c.store.what)
	line("provider", "%s  alice (staff, admins), bob (staff), carol (no group)", c.provider.Issuer())
	line("logs", "%s", c.dir)
	text.WriteString("\n")
	return text.String()
}

// invite tells what to do with it.
func (c *chain) invite() string {
	return fmt.Sprintf(`Open %s/ in a browser, and try three things:

  1. Kill a replica and reload the page. You stay signed in: the other one answers.
       kill %d
  2. Sign out, open the page in ten tabs, then sign in in all of them. Redis still holds one record.
  3. Sign out, and reload any tab. It asks who you are.

Ctrl-C stops everything.
`, c.url(), c.replicas[0].pid())
}

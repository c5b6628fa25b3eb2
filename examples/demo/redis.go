package main

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
)

// store is the Redis that the replicas share.
type store struct {
	what   string // for people
	url    string // as store.url
	client *redis.Client
}

// startRedis starts a redis-server of the demo's own, on a socket in its folder and without any port. Where
// there is none, an embedded one stands in.
func (c *chain) startRedis(ctx context.Context) (*store, error) {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return c.startMiniredis()
	}
	socket := filepath.Join(c.dir, "redis.sock")
	server, err := c.spawn("redis", exec.Command(program, "--port", "0", "--unixsocket", socket, "--unixsocketperm", "600",
		"--save", "", "--appendonly", "no", "--dir", c.dir, "--daemonize", "no"))
	if err != nil {
		return nil, err
	}
	listens := func(context.Context) error { // without go-redis, which writes a line for every failure
		connection, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	if err := server.await(ctx, 10*time.Second, listens); err != nil {
		return nil, err
	}
	s := c.connect("unix", socket)
	s.what, s.url = "redis-server, unix:"+socket, "unix://"+socket+"?db=0"
	go func() {
		<-server.done
		c.fail(fmt.Errorf("redis ended: %v", server.err))
	}()
	return s, nil
}

func (c *chain) startMiniredis() (*store, error) {
	fmt.Println("There is no redis-server; an embedded one (miniredis) stands in. For the real one: apt-get install redis-server")
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		return nil, fmt.Errorf("embedded redis: %w", err)
	}
	stopped := make(chan struct{})
	c.onStop(func() error {
		close(stopped)
		server.Close()
		return nil
	})
	go func() { // its keys expire only when it is told that time has passed
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-second.C:
				server.FastForward(time.Second)
			case <-stopped:
				return
			}
		}
	}()
	s := c.connect("tcp", server.Addr())
	s.what, s.url = "embedded, "+server.Addr(), "redis://"+server.Addr()+"/0"
	return s, nil
}

func (c *chain) connect(network, address string) *store {
	client := redis.NewClient(&redis.Options{Network: network, Addr: address, MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true})
	c.onStop(client.Close)
	return &store{client: client}
}

package rig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartRedis starts a redis-server on a socket in the rig's folder, and with RedisPort on a port of its own, by which replicas then reach it.
func (r *Rig) StartRedis(ctx context.Context) error {
	program, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("there is no redis-server; on Debian and Ubuntu: apt-get install redis-server")
	}
	socket := filepath.Join(r.Dir, "redis.sock")
	address, port := "", "0"
	if r.RedisPort {
		if address, err = FreeAddress(); err != nil {
			return err
		}
		if _, port, err = net.SplitHostPort(address); err != nil {
			return err
		}
	}
	server, err := Spawn(r.Dir, "redis", exec.Command(program, "--port", port, "--bind", "127.0.0.1", "--unixsocket", socket, "--unixsocketperm", "600",
		"--save", "", "--appendonly", "no", "--dir", r.Dir, "--daemonize", "no"))
	if err != nil {
		return err
	}
	r.OnStop(server.Stop)
	listens := func(context.Context) error { // without go-redis, which writes a line for every failure
		connection, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	if err := server.Await(ctx, 10*time.Second, listens); err != nil {
		return err
	}
	r.Redis = redis.NewClient(&redis.Options{Network: "unix", Addr: socket, DialerRetries: 1, DisableIdentity: true, ReadTimeout: 10 * time.Second})
	r.Masters = []*redis.Client{r.Redis}
	r.Socket, r.StoreURL = socket, "unix://"+socket+"?db=0"
	if r.RedisPort {
		r.StoreURL = "redis://" + address + "/0"
	}
	r.OnStop(r.Redis.Close)
	return nil
}

// Records counts the sessions as anybody can: by the names of their keys.
func (r *Rig) Records(ctx context.Context) (int, error) {
	seen := map[string]bool{} // SCAN may return a key twice
	keys := r.Redis.Scan(ctx, 0, "authsvc:session:*", 1000).Iterator()
	for keys.Next(ctx) {
		seen[keys.Val()] = true
	}
	if err := keys.Err(); err != nil {
		return 0, fmt.Errorf("count the records: %w", err)
	}
	return len(seen), nil
}

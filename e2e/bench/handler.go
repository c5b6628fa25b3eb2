package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"time"

	"github.com/redis/go-redis/v9"
)

// counterPath is where a handler tells what it has allocated.
const counterPath = "/mallocs"

// handle is "bench handler": the limit, a process of its own. It answers 200 with the given headers to whatever is asked, and does nothing else; with a
// key, it gets that from Redis first, by go-redis as its defaults are.
func handle(args []string) error {
	set := flag.NewFlagSet("bench handler", flag.ContinueOnError)
	listen := set.String("listen", "127.0.0.1:0", "address")
	headers := set.String("headers", "", "file with the headers of each answer, as in HTTP")
	address := set.String("redis", "", "address of Redis")
	key := set.String("key", "", "what to get from Redis for each answer; empty: nothing")
	if err := set.Parse(args); err != nil {
		return err
	}
	file, err := os.Open(*headers)
	if err != nil {
		return err
	}
	defer file.Close()
	constant, err := textproto.NewReader(bufio.NewReader(file)).ReadMIMEHeader()
	if err != nil {
		return fmt.Errorf("-headers: %w", err)
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	answer := func(w http.ResponseWriter) {
		header := w.Header()
		for name, values := range constant {
			header[name] = values
		}
	}
	verdict := func(w http.ResponseWriter, _ *http.Request) { answer(w) }
	if *key != "" {
		client := redis.NewClient(&redis.Options{Addr: *address, DisableIdentity: true})
		verdict = func(w http.ResponseWriter, r *http.Request) {
			if err := client.Get(r.Context(), *key).Err(); err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			answer(w)
		}
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == counterPath {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprintln(w, m.Mallocs) // an error means that nobody reads
			return
		}
		verdict(w, r)
	})}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// awaitListening returns when somebody listens there.
func awaitListening(address string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return c.Close()
	}
}

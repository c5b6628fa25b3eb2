// Command demo runs the whole chain on this machine: Redis, an OpenID Connect provider with three people,
// two replicas of authsvc, nginx in front of them, and a small application that nginx protects. It prints
// where to look and runs until SIGINT or SIGTERM; then it stops everything, in order, and exits with 0.
//
// Everything has its own folder and its own ports on loopback; the system's nginx and Redis stay alone.
// With CHECK=1 in the environment it signs in by itself, prints what it saw and exits with 0 or 1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	program := flag.String("authsvc", "", "path of an authsvc that is built already; empty: build it")
	flag.Parse()
	// A closed terminal or pipe ends the demo too, as otherwise the parts would run on without it.
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE}
	if !signal.Ignored(syscall.SIGHUP) { // nohup
		signals = append(signals, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	defer stop()
	if err := run(ctx, *program); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		os.Exit(1)
	}
}

// run is the demo from the first line to the last. A signal is a good end, unless it cut a check short.
func run(ctx context.Context, program string) (err error) {
	dir, err := os.MkdirTemp("", "authsvc-demo-")
	if err != nil {
		return fmt.Errorf("a folder of its own: %w", err)
	}
	ctx, end := context.WithCancel(ctx)
	checking := os.Getenv("CHECK") != "" && os.Getenv("CHECK") != "0"
	c := &chain{dir: dir, failed: make(chan error, 1)}
	defer func() {
		end() // whatever ends from here on is meant to
		err = errors.Join(err, c.stop())
		if err != nil {
			fmt.Printf("What the parts wrote is kept in %s\n", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()

	fmt.Println("Starting; the first time Go builds for a while.")
	if err := c.start(ctx, program); err != nil {
		if ctx.Err() != nil && !checking {
			return nil
		}
		return err
	}
	fmt.Print(c.describe())
	if checking {
		return check(ctx, c)
	}
	fmt.Print(c.invite())
	select {
	case <-ctx.Done():
		fmt.Println("\nStopping everything.")
		return nil
	case err := <-c.failed:
		return err
	}
}

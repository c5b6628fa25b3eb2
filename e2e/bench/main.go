// Command bench measures what a verdict costs, and holds it against the limits of this machine and the figures of the incumbent. It starts the real parts
// on loopback (redis-server, a provider, replicas of authsvc, nginx with the configuration that authsvc renders) and, for the limits, bare handlers as
// processes of their own, has wrk ask them in turn, and prints a table. It leaves with 1 when a target does not hold, or could not be measured.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

const usage = `Usage: bench [flags]
       bench scale [flags]

Measures what a verdict of authsvc costs, each time beside a bare handler in the same run, and prints it with the target and the incumbent's figure.
Leaves with 0 when every target holds, with 1 when one does not or could not be measured, with 2 for bad flags.

Flags:
`

const examples = `
Scenarios:
  direct      /auth with a warm cache, beside a bare handler: requests a second, CPU, allocations, Redis commands
  off         /auth without the cache, beside a handler with one GET
  nginx       the rendered site, beside the same with handlers in the replicas' place
  micro       the rendered site with --micro-cache 1s, beside nginx without auth
  features    rules, CEL, headers and the assertion, beside a plain verdict
  saturation  more connections than the cores can serve
  bytes       what a session takes in Redis, by real logins
  growth      very many sessions in Redis, beside 1,000
  memory      a replica's memory, idle and with its cache full
  due         the tail while sessions are renewed
  start       from start to ready

Scenarios of bench scale, with a million sessions, which ends with a table of sizes:
  fill        the sessions are stored; what they take
  growth      as above
  logins      people sign in, beside 1,000 sessions
  operator    authsvc sessions stats, list --user, revoke --user
  bounded     a replica's memory while very many are asked for, once each
  expiry      a fifth of the sessions end within seconds
  rolling     three replicas behind nginx are replaced, one after the other
  fleet       eight replicas on one Redis
  cluster     a Redis Cluster of three masters, with a tenth of the sessions

Examples:
  make bench                                                    everything, a quarter of an hour
  make bench BENCH="-only direct,off -rounds 21"                two scenarios, more rounds
  go run ./e2e/bench -only off -redis-latency 1ms               Redis a millisecond away
  go run ./e2e/bench -only growth -sessions 200000              more people
  make scale                                                    a million sessions, a quarter of an hour, 5 GB of memory
  go run ./e2e/bench scale -sessions 20000 -only fill,operator  a look at two scenarios
  go run ./e2e/bench -authsvc bin/authsvc -json rows.json       for programs
`

type options struct {
	program, only, json string
	connections         int
	seconds, rounds     int
	replicas, sessions  int
	latency             time.Duration
	keep                bool
	scale               bool
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "handler" { // the limit runs as a process of its own
		if err := handle(os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench handler: %v\n", err)
			os.Exit(1)
		}
		return
	}
	o, args := options{sessions: 100_000}, os.Args[1:]
	if len(args) > 0 && args[0] == "scale" {
		o.scale, o.sessions, args = true, 1_000_000, args[1:]
	}
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
		fmt.Fprint(set.Output(), examples)
	}
	set.StringVar(&o.program, "authsvc", "", "path of an authsvc that is built already; empty: build it")
	set.StringVar(&o.only, "only", "", "scenarios, as in direct,off; empty: all")
	set.IntVar(&o.connections, "connections", 32, "connections that wrk holds")
	set.IntVar(&o.seconds, "seconds", 2, "how long each side of a round is asked")
	set.IntVar(&o.rounds, "rounds", 9, "rounds of each comparison")
	set.IntVar(&o.replicas, "replicas", 2, "replicas, or handlers, behind nginx")
	set.IntVar(&o.sessions, "sessions", o.sessions, "how many are very many")
	set.DurationVar(&o.latency, "redis-latency", 0, "added to each answer of Redis, in whole milliseconds")
	set.StringVar(&o.json, "json", "", "file to write the rows to, as JSON")
	set.BoolVar(&o.keep, "keep", false, "keep the folder with what the parts wrote, which is kept anyway when a row could not be measured")
	switch err := set.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2)
	}
	chosen, err := choose(o)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%q is no flag", set.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(2)
	}
	// A closed terminal or pipe ends it too, as otherwise the parts would run on without it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o, chosen); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

// choose returns the scenarios that the flags ask for, in their order.
func choose(o options) (chosen []scenario, err error) {
	switch {
	case o.connections < 1 || o.rounds < 1 || o.replicas < 1 || o.seconds < 1:
		return nil, errors.New("-connections, -seconds, -rounds, -replicas: at least 1")
	case o.sessions < someSessions:
		return nil, fmt.Errorf("-sessions: at least %d", someSessions)
	case o.latency < 0 || o.latency%time.Millisecond != 0:
		return nil, errors.New("-redis-latency: whole milliseconds, such as 1ms")
	}
	all := scenarios()
	if o.scale {
		if all = scaleScenarios(); o.latency != 0 {
			return nil, errors.New("-redis-latency: not with scale, whose Cluster is as near as it is")
		}
	}
	names := strings.Split(o.only, ",")
	for _, s := range all {
		if o.only == "" || slices.Contains(names, s.name) {
			chosen = append(chosen, s)
		}
	}
	for _, name := range names {
		if o.only != "" && !slices.ContainsFunc(chosen, func(s scenario) bool { return s.name == name }) {
			return nil, fmt.Errorf("-only: there is no scenario %q; -help names them", name)
		}
	}
	return chosen, nil
}

// run is the program from the first line to the last.
func run(ctx context.Context, o options, chosen []scenario) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "bench-")
	if err != nil {
		return fmt.Errorf("a folder of its own: %w", err)
	}
	b := &bench{options: o, dir: dir, calm: time.Second, say: func(format string, args ...any) {
		fmt.Printf("%4.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}
	if o.scale {
		b.sizing = &sizing{Processor: processor()}
	}
	unmeasured := false
	defer func() {
		err = errors.Join(err, b.stop())
		if unmeasured || o.keep {
			fmt.Printf("What the parts wrote is kept in %s\n", dir)
			return
		}
		err = errors.Join(err, os.RemoveAll(dir))
	}()
	if b.program == "" {
		b.say("building authsvc")
		b.program = filepath.Join(dir, "authsvc")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.program, "authsvc/cmd/authsvc") // as make build does
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building authsvc: %w\n%s", err, output)
		}
	}
	var rows []*row
	for _, s := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		rows = append(rows, b.play(ctx, s)...)
	}
	seconds := time.Since(start).Seconds()
	fmt.Println()
	writeTable(os.Stdout, rows)
	b.sizing.write(os.Stdout)
	if o.json != "" {
		if err := writeJSON(o.json, o, rows, b.sizing, seconds); err != nil {
			return err
		}
	}
	failed, targets := 0, 0
	for _, r := range rows {
		unmeasured = unmeasured || r.Measured == nil
		if !r.Target.None {
			targets++
		}
		if !r.holds() {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows do not hold, after %.0f s", failed, len(rows), seconds)
	}
	fmt.Printf("All %d targets hold, after %.0f s.\n", targets, seconds)
	return nil
}

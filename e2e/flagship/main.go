// Command flagship proves the promises that the project exists for, at the size of the failure that started it: many replicas, one
// session record per login, one refresh per token lifetime, and out means out. It starts the real parts on loopback
// (redis-server, a provider that rotates refresh tokens and revokes the family when an old one comes again, three replicas of
// authsvc, nginx with the configuration that authsvc renders, an application), lets people sign in and work while things go
// wrong, counts, and prints a table with the incumbent's figures beside ours. It leaves with 1 when a row is not as promised.
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

	"authsvc/e2e/rig"
	"authsvc/e2e/shifted"
)

const usage = `Usage: flagship [flags]

Runs three replicas of authsvc behind nginx, and prints what it counted beside the incumbent's figures.
Leaves with 0 when every row is as promised, with 1 when one is not, with 2 for bad flags.

Flags:
`

const examples = `
Scenarios:
  1  people sign in, by round robin over three replicas
  2  each sends 20 requests at once as the token falls due, and again after it has expired
  3  the same with a token endpoint that takes 8 s
  4  a replica is killed while it refreshes
  5  browsers hang up during the refresh
  6  people sign out during the refresh
  7  a replica is paused beyond its lease, and then writes
  8  people sign out at one replica; when do the others refuse?
  9  the clocks of two replicas are four minutes fast and slow
  10 a replica does not hear any more what Redis pushes, while people sign out at another
  11 the provider ends sessions whose login or refresh is under way

Examples:
  make flagship                                               15,000 users
  make flagship USERS=300                                     two or three minutes
  go run ./e2e/flagship -users 1000 -only 4,7                 builds authsvc itself
  go run ./e2e/flagship -authsvc bin/authsvc -json rows.json  for programs
`

type flags struct {
	program, only, json string
	shifted             string // not a flag: the program with a clock that can be wrong
	users, slowUsers    int
	atOnce              int
	keep                bool
}

func main() {
	var o flags
	set := flag.NewFlagSet("flagship", flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
		fmt.Fprint(set.Output(), examples)
	}
	set.StringVar(&o.program, "authsvc", "", "path of an authsvc that is built already; empty: build it")
	set.IntVar(&o.users, "users", 15000, "people of the first two scenarios; the others take fewer")
	set.IntVar(&o.slowUsers, "slow-users", 3000, "people of the third scenario, at most as many as -users")
	set.IntVar(&o.atOnce, "at-once", 3, "scenarios at once, each with parts of its own; one with more than 1,000 people runs alone")
	set.StringVar(&o.only, "only", "", "numbers of scenarios, as in 2,4; empty: all")
	set.StringVar(&o.json, "json", "", "file to write the rows to, as JSON")
	set.BoolVar(&o.keep, "keep", false, "keep the folder with what the parts wrote, which is kept anyway when a row fails")
	switch err := set.Parse(os.Args[1:]); {
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
		fmt.Fprintf(os.Stderr, "flagship: %v\n", err)
		os.Exit(2)
	}
	// A closed terminal or pipe ends it too, as otherwise the parts would run on without it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, o, chosen); err != nil {
		fmt.Fprintf(os.Stderr, "flagship: %v\n", err)
		os.Exit(1)
	}
}

// fewest is how many people a run needs.
const fewest = 100

// choose returns the scenarios that the flags ask for.
func choose(o flags) ([]scenario, error) {
	if o.users < fewest || o.slowUsers < 1 || o.atOnce < 1 {
		return nil, fmt.Errorf("-users: at least %d, so that every accident meets somebody; -slow-users: at least 1; -at-once: at least 1", fewest)
	}
	if o.only == "" {
		return scenarios, nil
	}
	var chosen []scenario
	for number := range strings.SplitSeq(o.only, ",") {
		if number == "1" {
			number = "2" // of which it is the beginning
		}
		i := slices.IndexFunc(scenarios, func(s scenario) bool { return s.number == number })
		if i < 0 {
			return nil, fmt.Errorf("-only: there is no scenario %q; they are 1 to 11", number)
		}
		if !slices.ContainsFunc(chosen, func(s scenario) bool { return s.number == number }) {
			chosen = append(chosen, scenarios[i])
		}
	}
	return chosen, nil
}

// run is the flagship from the first line to the last.
func run(ctx context.Context, o flags, chosen []scenario) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "flagship-")
	if err != nil {
		return fmt.Errorf("a folder of its own: %w", err)
	}
	defer func() {
		if err != nil || o.keep {
			fmt.Printf("What the parts wrote is kept in %s\n", dir)
			return
		}
		err = os.RemoveAll(dir)
	}()
	say := func(format string, args ...any) {
		fmt.Printf("%4.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	if o.program == "" {
		say("building authsvc")
		if o.program, err = build(ctx, dir); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(chosen, func(s scenario) bool { return s.number == clocksNumber }) {
		say("building authsvc with a clock that can be wrong")
		if o.shifted, err = shifted.Build(ctx, dir, "authsvc-shifted", programPath); err != nil {
			return err
		}
	}
	rows, err := runAll(ctx, o, dir, chosen, say)
	seconds := time.Since(start).Seconds()
	fmt.Println()
	writeTable(os.Stdout, rows)
	if err != nil {
		return err
	}
	if o.json != "" {
		if err := rig.WriteRows(o.json, rows, seconds, nil); err != nil {
			return err
		}
	}
	failed := 0
	for _, r := range rows {
		if r.failed() {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows are not as promised, after %.0f s", failed, len(rows), seconds)
	}
	fmt.Printf("All %d rows are as promised, after %.0f s.\n", len(rows), seconds)
	return nil
}

const programPath = "authsvc/cmd/authsvc"

// build builds authsvc from this module.
func build(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "authsvc")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", program, programPath).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building authsvc: %w\n%s", err, output)
	}
	return program, nil
}

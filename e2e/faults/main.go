// Command faults plays the fault catalogue: for each row it starts the real parts on loopback (Redis standalone, with Sentinel or as a Cluster; a provider;
// replicas of authsvc), lets 2,000 people be signed in and send 200 requests a second, makes the fault happen, and holds what every browser saw against the
// promises (package history). It prints a table, and leaves with 1 when a row does not hold.
//
// # A row
//
// A row is an entry of a table in one of the files faults_….go, and looks like this:
//
//	{
//		id: "F3", name: "Redis stands still for 3 s (SIGSTOP)", on: everywhere,
//		bound: "503 within 150 ms; then 200", shows: []int{unavailable},
//		fault: func(ctx context.Context, s *scene) error {
//			redis := s.store.master()
//			s.begin() // from here on 503 is an answer
//			redis.Pause()
//			s.during(ctx, 3*time.Second) // people work
//			redis.Resume()
//			s.end() // and from here, plus heal, it is none any more
//			return nil
//		},
//	},
//
// People work, on all replicas by turns, before, in and after the fault: verdicts, logins, logouts, logouts by the provider. Without begin nothing but the right answer will do. What a row has to hand:
//
//   - s.awaitFailover and s.endWhenWhole, where Redis fails over
//   - s.store: its servers (storetest.Server: Kill, Start, Pause, Resume, Do), masters(), sentinel, cluster
//   - s.toStore: the proxies between each replica and Redis (standalone alone); s.toProvider: the one between replicas and the provider. Both: Hurt, Heal, Down, Up
//   - s.Replicas (package rig): Kill, Start, Pause, Resume, Stop, AwaitReady, Metrics; s.Restart with changed settings. Of one that cannot answer, say s.silence first
//   - s.Provider: Intercept, EditJWKS and whatever else idptest has, settable per request; TokensLive, AnswersAfter
//   - s.beginAt, for a fault of one replica; s.mayLose and s.storeSpoils, for a session that may be lost or is; s.network, where own has one
//   - s.fail, for what does not hold besides the history; s.note, for what is worth seeing; s.await, for a state
//
// The next row finds the stage in order: proxies healed, the provider honest, everybody signed in. What a fault changes in Redis' configuration or in replicas it changes back
// itself, or says own: special{spoils: true}. What Redis and storetest cannot do ends the row with an error.
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

	"authsvc/e2e/shifted"
)

const usage = `Usage: faults [flags]

Plays the fault catalogue against replicas of authsvc, and prints for each fault what people saw of it.
Leaves with 0 when every row holds, with 1 when one does not, with 2 for bad flags.

Flags:
`

const examples = `
Examples:
  make faults                                                  everything, up to half an hour
  go run ./e2e/faults -only F3,F22 -topology sentinel          builds authsvc itself
  go run ./e2e/faults -list                                    the catalogue
  go run ./e2e/faults -soak 30m -race -patient 4 -replicas 4   random faults, with the race detector
  go run ./e2e/faults -authsvc bin/authsvc -json rows.json     for programs
`

type options struct {
	program, shifted string
	only, json       string
	on               string
	sessions, rate   int
	replicas         int
	patient          float64
	race, keep, list bool
	quick            bool
	soak             time.Duration
	seed             uint64
}

func main() {
	var o options
	set := flag.NewFlagSet("faults", flag.ContinueOnError)
	set.Usage = func() {
		fmt.Fprint(set.Output(), usage)
		set.PrintDefaults()
		fmt.Fprint(set.Output(), examples)
	}
	set.StringVar(&o.program, "authsvc", "", "path of an authsvc that is built already; empty: build it")
	set.StringVar(&o.only, "only", "", "rows, as in F1,F22; empty: all")
	set.StringVar(&o.on, "topology", "", "standalone, sentinel or cluster; empty: all three")
	set.IntVar(&o.sessions, "sessions", 2000, "people who are signed in")
	set.IntVar(&o.rate, "rate", 200, "verdicts a second")
	set.IntVar(&o.replicas, "replicas", 3, "replicas of authsvc")
	set.Float64Var(&o.patient, "patient", 1, "multiply every bound by this, on a machine that has other work")
	set.BoolVar(&o.quick, "quick", false, "one row of each class, a third as long, for make test")
	set.DurationVar(&o.soak, "soak", 0, "play rows of one topology in random order for so long, on the same parts, and tell what has grown")
	set.Uint64Var(&o.seed, "seed", 0, "of the order, with -soak; 0: another each time")
	set.BoolVar(&o.race, "race", false, "build authsvc with the race detector")
	set.StringVar(&o.json, "json", "", "file to write the rows to, as JSON")
	set.BoolVar(&o.list, "list", false, "print the rows and leave")
	set.BoolVar(&o.keep, "keep", false, "keep the folder with what the parts wrote, which is kept anyway when a row fails")
	switch err := set.Parse(os.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		os.Exit(0)
	case err != nil:
		os.Exit(2)
	}
	plays, err := choose(o)
	if err == nil && set.NArg() > 0 {
		err = fmt.Errorf("%q is no flag", set.Arg(0))
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "faults: %v\n", err)
		os.Exit(2)
	}
	if o.list {
		for _, p := range plays {
			fmt.Printf("%-5s %-10s %s: %s\n", p.row.id, p.topology, p.row.name, p.row.bound)
		}
		return
	}
	// A closed terminal or pipe ends it too (see run), as otherwise the parts would run on without it.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	// Told of to nobody, so that it is an error of whoever writes: a connection that breaks raises it as well.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if err := run(ctx, o, plays); err != nil {
		fmt.Fprintf(os.Stderr, "faults: %v\n", err)
		os.Exit(1)
	}
}

// play is a row on one topology.
type play struct {
	row      row
	topology topology
}

// choose returns what the flags ask for, one topology after the other.
func choose(o options) (plays []play, err error) {
	if o.sessions < 10 || o.rate < 1 || o.replicas < 1 || o.patient < 1 {
		return nil, errors.New("-sessions: at least 10; -rate, -replicas and -patient: at least 1")
	}
	if o.on != "" && !slices.Contains(everywhere, topology(o.on)) {
		return nil, fmt.Errorf("-topology: there is no %q; they are standalone, sentinel and cluster", o.on)
	}
	var wanted []string
	if o.only != "" {
		wanted = strings.Split(o.only, ",")
	}
	classes := map[string]bool{"": true}
	for _, t := range everywhere {
		for _, r := range catalogue() {
			asked := wanted == nil || slices.ContainsFunc(wanted, r.is)
			if o.quick {
				asked = asked && !classes[r.class]
			}
			if asked && slices.Contains(r.on, t) && (o.on == "" || t == topology(o.on)) {
				plays = append(plays, play{r, t})
				classes[r.class] = true
			}
		}
	}
	for _, id := range wanted {
		if !slices.ContainsFunc(catalogue(), func(r row) bool { return r.is(id) }) {
			return nil, fmt.Errorf("-only: there is no row %q; -list prints them", id)
		}
	}
	if len(plays) == 0 {
		return nil, errors.New("none of these rows happens on that topology; -list prints them")
	}
	return plays, nil
}

// run is the program from the first line to the last.
func run(ctx context.Context, o options, plays []play) (err error) {
	start := time.Now()
	dir, err := os.MkdirTemp("", "faults-")
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
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	say := func(format string, args ...any) {
		if _, err := fmt.Printf("%5.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...)); err != nil {
			interrupt()
		}
	}
	if o.program == "" || o.race {
		say("building authsvc")
		if o.program, err = build(ctx, dir, o.race); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(plays, func(p play) bool { return p.row.own.shifted }) {
		say("building authsvc with a clock that can be wrong")
		if o.shifted, err = shifted.Build(ctx, dir, "authsvc-shifted", programPath); err != nil {
			return err
		}
	}
	playing := playAll
	if o.soak > 0 {
		playing = soak
	}
	results, err := playing(ctx, o, dir, plays, say)
	seconds := time.Since(start).Seconds()
	fmt.Println()
	writeTable(os.Stdout, results)
	if err == nil && o.json != "" {
		err = writeJSON(o.json, o, results, seconds)
	}
	if err != nil {
		return err
	}
	failed, notRun := 0, 0
	for _, r := range results {
		if !r.holds() {
			failed++
		}
		if r.NotRun != "" {
			notRun++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows do not hold, after %.0f s", failed, len(results), seconds)
	}
	fmt.Printf("All %d rows hold, after %.0f s; %d could not run here.\n", len(results)-notRun, seconds, notRun)
	return nil
}

const programPath = "authsvc/cmd/authsvc"

// build builds authsvc from this module.
func build(ctx context.Context, dir string, race bool) (program string, err error) {
	program = filepath.Join(dir, "authsvc")
	args := []string{"build", "-o", program}
	if race {
		args = append(args, "-race")
	}
	if output, err := exec.CommandContext(ctx, "go", append(args, programPath)...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("building authsvc: %w\n%s", err, output)
	}
	return program, nil
}

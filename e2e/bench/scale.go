package main

import (
	"context"
	"fmt"
	"os/exec"
	"time"

	"authsvc/e2e/rig"
	"authsvc/session"
)

// scaleScenarios are those of "bench scale", and the rows that each fills. They come one after the other: what the first stores the others use. Where no
// specification has a bound, the row tells what was measured.
func scaleScenarios() []scenario {
	growth := scenarioNamed("growth")
	growth.run = (*bench).growthSized
	return []scenario{
		{"fill", []row{
			{ID: "fill-bytes", Case: "Redis bytes per session", Unit: "× incumbent", Incumbent: "3,338 bytes", Target: atMost(.70)},
			{ID: "fill-rate", Case: "sessions stored", Unit: "a second", Target: told},
		}, (*bench).fillMany},
		growth,
		{"logins", []row{
			{ID: "logins-cpu", Case: "logins, many sessions against 1,000", Unit: "CPU of replica and Redis, ×", Target: atMost(1.10)},
			{ID: "logins-rate", Case: "the same", Unit: "logins a second", Target: told},
		}, (*bench).logins},
		{"operator", []row{
			{ID: "stats", Case: "authsvc sessions stats", Unit: "seconds", Target: atMost(2)},
			{ID: "stats-off", Case: "the same", Unit: "% beside what there is", Target: atMost(1)},
			{ID: "list", Case: "authsvc sessions list --user", Unit: "seconds", Target: atMost(2)},
			{ID: "revoke", Case: "authsvc sessions revoke --user", Unit: "seconds", Target: atMost(2)},
			{ID: "operator-held", Case: "Redis held up meanwhile, at the longest", Unit: "ms", Target: atMost(heldUp)},
		}, (*bench).operator},
		{"bounded", []row{
			{ID: "bounded-memory", Case: "a replica that was asked for very many once", Unit: "resident without the program's file, × GOMEMLIMIT", Target: atMost(1)},
			{ID: "bounded-cache", Case: "the same", Unit: "cached sessions, × GOMEMLIMIT", Target: atMost(.5)},
		}, (*bench).bounded},
		{"expiry", []row{
			{ID: "expiry-refused", Case: "a fifth of the sessions end in 5 s", Unit: "others' verdicts refused", Target: atMost(0)},
			{ID: "expiry-p99", Case: "the same, cache off", Unit: "p99, ms", Target: atMost(verdictBound)},
			{ID: "expiry-passed", Case: "the same", Unit: "verdicts that let in somebody whose session had ended", Target: atMost(0)},
			{ID: "expiry-held", Case: "the same: Redis held up, at the longest", Unit: "ms", Target: atMost(heldUp)},
			{ID: "expiry-left", Case: "the same", Unit: "part of Redis' keys dead, active-expire-effort 10", Target: atMost(deadKeys)},
			{ID: "expiry-off", Case: "the same: authsvc sessions stats", Unit: "% beside what there is", Target: atMost(1)},
		}, (*bench).expiry},
		{"rolling", []row{
			{ID: "rolling-failed", Case: "3 replicas replaced behind nginx, caches cold", Unit: "requests that failed", Target: atMost(0)},
			{ID: "rolling-p99", Case: "the same", Unit: "p99, ms", Target: atMost(verdictBound)},
			{ID: "rolling-reads", Case: "the same", Unit: "reads of Redis for a session, by each new replica", Target: atMost(1.1)},
			{ID: "rolling-peak", Case: "the same", Unit: "Redis commands a second, at the peak", Target: told},
		}, (*bench).rolling},
		{"fleet", []row{
			{ID: "fleet-cpu", Case: "8 replicas on one Redis", Unit: "CPU of a verdict, × one replica", Target: told},
			{ID: "fleet-refused", Case: "the same, cache off", Unit: "verdicts refused", Target: atMost(0)},
			{ID: "fleet-logout", Case: "the same: a logout at one, until all have refused", Unit: "ms", Target: atMost(5000)},
		}, (*bench).fleet},
		{"cluster", []row{
			{ID: "cluster-bytes", Case: "a Cluster of three, a tenth of the sessions", Unit: "bytes per session, × one Redis", Target: told},
			{ID: "cluster-cpu", Case: "the same, cache off", Unit: "CPU of a verdict, × one Redis", Target: told},
		}, (*bench).cluster},
	}
}

// scenarioNamed is one of bench's own.
func scenarioNamed(name string) scenario {
	for _, s := range scenarios() {
		if s.name == name {
			return s
		}
	}
	panic("there is no scenario " + name)
}

const (
	// verdictBound is what a verdict may take, whatever Redis does, in milliseconds.
	verdictBound = 150
	// heldUp is how long Redis may do nothing else, in milliseconds: half of what a verdict waits for it.
	heldUp = 50
)

// fillMany stores 1,000 sessions in one Redis and very many in another, and looks from time to time at what they take.
func (b *bench) fillMany(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	taken := c.taken[len(c.taken)-1]
	b.fill("fill-bytes", newFigure(taken.perSession()/incumbentBytes), "").
		note("%s bytes a session, of %s sessions: %s MiB; with default settings, and the tokens of the baseline", decimal(taken.perSession()), thousands(taken.Sessions),
			decimal(taken.Bytes/mebibyte))
	b.fill("fill-rate", newFigure(c.rate), "").note("by one process beside Redis")
	b.sizing.Memory = c.taken
	return nil
}

// growthSized is growth, whose figures the table of sizes needs.
func (b *bench) growthSized(ctx context.Context) error {
	if err := b.growth(ctx); err != nil {
		return err
	}
	b.sizing.OffCPU, b.sizing.WarmCPU = b.big.cpu["growth-off"], b.big.cpu["growth-warm"]
	return nil
}

// taken is what so many sessions take in Redis.
type taken struct {
	Sessions int     `json:"sessions"`
	Bytes    float64 `json:"bytes"`
}

func (t taken) perSession() float64 { return t.Bytes / float64(t.Sessions) }

// fillWatched is fill for very many, of people of their own, in steps of which each is ten times as much as the one before: it tells what Redis needed after
// each, and how many it stored a second.
func (d *deployment) fillWatched(ctx context.Context, n, most int, s session.Session, t session.Tokens) (cookies []string, watched []taken, rate float64, err error) {
	empty, err := d.memory(ctx)
	if err != nil {
		return nil, nil, 0, err
	}
	begun := time.Now()
	for done, step := 0, someSessions; done < n; step *= 10 {
		next := min(step, n)
		if 2*next > n {
			next = n // a step of less than a half is none
		}
		more, err := d.fill(ctx, next-done, max(most*(next-done)/n, 1), s, t, func(i int, s *session.Session, _ *session.Tokens) {
			s.Subject = fmt.Sprintf("filled-%08d", done+i)
		})
		if err != nil {
			return nil, nil, 0, err
		}
		cookies, done = append(cookies, more...), next
		used, err := d.memory(ctx)
		if err != nil {
			return nil, nil, 0, err
		}
		watched = append(watched, taken{done, used - empty})
		d.say("%s sessions take %s MiB of Redis", thousands(done), decimal((used-empty)/mebibyte))
	}
	return cookies, watched, float64(n) / time.Since(begun).Seconds(), nil
}

// memory is what Redis uses, all masters together, without its buffers for connections and for replicas.
func (d *deployment) memory(ctx context.Context) (bytes float64, err error) {
	for _, part := range []struct {
		name string
		sign float64
	}{{"used_memory", 1}, {"mem_clients_normal", -1}, {"mem_clients_slaves", -1}, {"mem_replication_backlog", -1}} {
		one, err := d.info(ctx, "memory", part.name)
		if err != nil {
			return 0, err
		}
		bytes += part.sign * one
	}
	return bytes, nil
}

// countAlways has the store send what it counts as replicas do, each second.
func (d *deployment) countAlways(ctx context.Context) {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.store.Run(ctx)
	}()
	d.OnStop(func() error { stop(); <-ended; return nil })
}

// command runs authsvc beside a replica, and returns what it wrote and how long it took.
func command(ctx context.Context, one *rig.Replica, args ...string) (output []byte, seconds float64, err error) {
	cmd := one.Command(ctx, args...)
	begun := time.Now()
	if output, err = cmd.Output(); err != nil {
		var told []byte
		if failed, ok := err.(*exec.ExitError); ok {
			told = failed.Stderr
		}
		return nil, 0, fmt.Errorf("authsvc %v: %w\n%s", args, err, told)
	}
	return output, time.Since(begun).Seconds(), nil
}

// retire stops the replicas that came after so many, whose scenario is over: they cost nothing any more.
func (d *deployment) retire(first int) error {
	for _, one := range d.Replicas[first:] {
		if err := one.Stop(); err != nil {
			return err
		}
	}
	d.Replicas = d.Replicas[:first]
	return nil
}

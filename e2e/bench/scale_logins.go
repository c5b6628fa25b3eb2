package main

import (
	"context"
	"fmt"
	"time"
)

// loginsARound are enough to take some tenths of a second; fewer where there are few sessions.
func (b *bench) loginsARound() int { return min(200, b.sessions/5) }

// loggedIn is what a round of logins took.
type loggedIn struct {
	rate float64
	cpu  float64 // milliseconds a login, of the replica and Redis
}

// logins compares real logins where there are very many sessions with logins where there are few.
func (b *bench) logins(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	var ratios, rates, few []float64
	for round := range b.rounds + 1 { // in the first each gets warm
		var both [2]loggedIn
		for turn := range both {
			many := (turn + round) % 2
			if both[many], err = []*deployment{c.few, c.many}[many].loginRound(ctx, 1+round*b.loginsARound(), b.loginsARound()); err != nil {
				return err
			}
		}
		if round == 0 {
			continue
		}
		b.say("round %d: few sessions %s /s, %.2f ms of CPU; many %s /s, %.2f ms", round, decimal(both[0].rate), both[0].cpu, decimal(both[1].rate), both[1].cpu)
		ratios, rates, few = append(ratios, both[1].cpu/both[0].cpu), append(rates, both[1].rate), append(few, both[0].cpu)
	}
	b.fill("logins-cpu", newFigure(ratios...), "%s ms", decimal(newFigure(few...).Median))
	b.fill("logins-rate", newFigure(rates...), "").note("8 browsers at once, at one replica; provider and browsers are on the same cores")
	b.sizing.LoginCPU = newFigure(few...).Median * newFigure(ratios...).Median
	return nil
}

// loginRound signs n people in, from the given one on, at the first replica.
func (d *deployment) loginRound(ctx context.Context, from, n int) (l loggedIn, err error) {
	cpu := func() (seconds float64, err error) {
		own, err := cpuOf(d.Replicas[0].PID())
		if err != nil {
			return 0, err
		}
		redis, err := d.redisCPU(ctx)
		return own.Seconds() + redis, err
	}
	before, err := cpu()
	if err != nil {
		return l, err
	}
	begun := time.Now()
	if err := d.loginAll(ctx, d.Replicas[0], from, from+n); err != nil {
		return l, err
	}
	took := time.Since(begun).Seconds()
	after, err := cpu()
	if err != nil {
		return l, err
	}
	return loggedIn{float64(n) / took, (after - before) * 1e3 / float64(n)}, nil
}

// redisCPU is what Redis has used so far, in seconds, all masters together.
func (d *deployment) redisCPU(ctx context.Context) (seconds float64, err error) {
	for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
		one, err := d.info(ctx, "cpu", name)
		if err != nil {
			return 0, fmt.Errorf("the CPU of Redis: %w", err)
		}
		seconds += one
	}
	return seconds, nil
}

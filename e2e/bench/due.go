package main

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"authsvc/e2e/rig"
	"authsvc/session"
)

// Sessions fall due as fast as in the case that the project began with: 15,000 in a minute.
const (
	dueEachSecond = 250
	dueWindow     = 10 * time.Second // a round
	dueLead       = 5 * time.Second  // in which they are stored, before the window begins
	duePause      = 10 * time.Millisecond
)

// fallingDue compares the tail while sessions fall due with that of as many sessions that do not. Both are asked for at a pace that leaves the machine room:
// where the cores are full, the tail tells of nothing else.
func (b *bench) fallingDue(ctx context.Context) error {
	d, err := b.raise(ctx, "due", 1, nil)
	if err != nil {
		return err
	}
	one, err := d.replica(ctx)
	if err != nil {
		return err
	}
	_, s, t, err := d.login(ctx, one, 0)
	if err != nil {
		return err
	}
	var renewed atomic.Int64
	d.answerRefreshes(&renewed)
	var ratios, quiet []float64
	var last int64
	for round := range b.rounds {
		var p99 [2]time.Duration
		for _, due := range []bool{round%2 == 1, round%2 == 0} {
			seen, err := b.dueRound(ctx, d, one, s, t, due)
			if err != nil {
				return err
			}
			if due {
				p99[1] = seen.p99
			} else {
				p99[0] = seen.p99
			}
		}
		count := renewed.Load() - last
		last += count
		b.say("round %d: p99 %v, and %v while %d sessions were renewed", round+1, p99[0], p99[1], count)
		if least := int64(dueEachSecond * (dueWindow - 2*time.Second).Seconds() * .9); count < least {
			return fmt.Errorf("only %d sessions were renewed, of those that fell due; at least %d should have been", count, least)
		}
		ratios, quiet = append(ratios, p99[1].Seconds()/p99[0].Seconds()), append(quiet, p99[0].Seconds()*1e3)
	}
	b.fill("due", newFigure(ratios...), "%s ms", decimal(newFigure(quiet...).Median)).
		note("%d fell due a second, which is %s in a minute; each round looked at %v", dueEachSecond, thousands(dueEachSecond*60), dueWindow)
	return d.Stop()
}

// dueRound stores sessions of which so many fall due each second of the window, or none, and has wrk ask for all of them, again and again.
func (b *bench) dueRound(ctx context.Context, d *deployment, at *rig.Replica, s session.Session, t session.Tokens, due bool) (answers, error) {
	n := int(dueEachSecond * dueWindow.Seconds())
	start := d.store.Now().Add(dueLead)
	cookies, err := d.fill(ctx, n, n, s, t, func(i int, _ *session.Session, t *session.Tokens) {
		if !due {
			t.Expiry = d.store.Now().Add(rig.LongLife)
			return
		}
		// Due is half of its life, of a token that lives so short.
		moment := start.Add(time.Second + time.Duration(i)*(dueWindow-2*time.Second)/time.Duration(n))
		t.Expiry = moment.Add(moment.Sub(d.store.Now()))
	})
	if err != nil {
		return answers{}, err
	}
	people, err := newCrowd(d.Dir, "due", asGateway, cookies, duePause)
	if err != nil {
		return answers{}, err
	}
	wait := start.Sub(d.store.Now())
	if wait < 0 {
		return answers{}, fmt.Errorf("the machine is too busy: it needs more than %v to store %d sessions", dueLead, n)
	}
	pause(ctx, wait)
	seen, err := wrk(ctx, "http://"+at.Address+"/auth", people, b.connections, int(dueWindow.Seconds()))
	if err == nil {
		err = seen.err()
	}
	return seen, err
}

// answerRefreshes has the provider renew whatever token comes, at next to no cost: the machine is the replica's.
func (d *deployment) answerRefreshes(renewed *atomic.Int64) {
	text := fmt.Appendf(nil, `{"token_type":"Bearer","access_token":%q,"refresh_token":%q,"expires_in":%d}`,
		refreshToken(d.Provider.Issuer()), refreshToken(d.Provider.Issuer()), int64(rig.LongLife.Seconds()))
	d.Provider.OnRefresh(func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ string) {
		renewed.Add(1)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(text) // an error means that the replica has gone
	})
}

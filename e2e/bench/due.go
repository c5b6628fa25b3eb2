package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
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
	renewed := func() (float64, error) {
		metrics, err := one.Metrics(ctx)
		return metrics[`authsvc_refreshes_total{result="`+session.RefreshOK+`"}`], err
	}
	var ratios, quiet, cost []float64
	for round := range b.rounds {
		before, err := renewed()
		if err != nil {
			return err
		}
		var p99, cpu [2]time.Duration // of the quiet half, and of the other
		for _, half := range []int{round % 2, 1 - round%2} {
			seen, took, err := b.dueRound(ctx, d, one, s, t, half == 1)
			if err != nil {
				return err
			}
			p99[half], cpu[half] = seen.p99, took
		}
		count, err := renewed()
		if err != nil {
			return err
		}
		count -= before
		b.say("round %d: p99 %v, and %v while %.0f sessions were renewed", round+1, p99[0], p99[1], count)
		if least := dueEachSecond * (dueWindow - 2*time.Second).Seconds() * .9; count < least {
			return fmt.Errorf("only %.0f sessions were renewed, of those that fell due; at least %.0f should have been", count, least)
		}
		ratios, quiet = append(ratios, p99[1].Seconds()/p99[0].Seconds()), append(quiet, p99[0].Seconds()*1e3)
		cost = append(cost, (cpu[1]-cpu[0]).Seconds()*1e6/count)
	}
	r := b.fill("due", newFigure(ratios...), "%s ms", decimal(newFigure(quiet...).Median))
	r.note("%d fell due a second, which is %s in a minute; each round looked at %v", dueEachSecond, thousands(dueEachSecond*60), dueWindow)
	r.note("a renewal took %s µs of the replica's CPU, beside what the verdicts cost", decimal(newFigure(cost...).Median))
	return d.Stop()
}

// dueRound stores sessions of which so many fall due each second of the window, or none, and has wrk ask for all of them, again and again. It returns the
// replica's CPU, too.
func (b *bench) dueRound(ctx context.Context, d *deployment, at *rig.Replica, s session.Session, t session.Tokens, due bool) (seen answers, took time.Duration, err error) {
	if err := d.answerRefreshes(t.IDToken); err != nil {
		return seen, 0, err
	}
	n := int(dueEachSecond * dueWindow.Seconds())
	start := d.store.Now().Add(dueLead)
	turns := rand.Perm(n) // wrk asks in the order in which they are stored: were they due in that order, too, each of its laps would meet all that are due since the last in one burst
	cookies, err := d.fill(ctx, n, n, s, t, func(i int, one *session.Session, t *session.Tokens) {
		one.Subject = s.Subject // whom the answers are about
		if !due {
			t.Expiry = d.store.Now().Add(rig.LongLife)
			return
		}
		// Due is half of its life, of a token that lives so short.
		moment := start.Add(time.Second + time.Duration(turns[i])*(dueWindow-2*time.Second)/time.Duration(n))
		t.Expiry = moment.Add(moment.Sub(d.store.Now()))
	})
	if err != nil {
		return seen, 0, err
	}
	people, err := newCrowd(d.Dir, "due", asGateway, cookies, duePause)
	if err != nil {
		return seen, 0, err
	}
	wait := start.Sub(d.store.Now())
	if wait < 0 {
		return seen, 0, fmt.Errorf("the machine is too busy: it needs more than %v to store %d sessions", dueLead, n)
	}
	pause(ctx, wait)
	begun, err := cpuOf(at.PID())
	if err != nil {
		return seen, 0, err
	}
	if seen, err = wrk(ctx, "http://"+at.Address+"/auth", people, b.connections, int(dueWindow.Seconds())); err != nil {
		return seen, 0, err
	}
	ended, err := cpuOf(at.PID())
	return seen, ended - begun, errors.Join(seen.err(), err)
}

// answerRefreshes has the provider renew whatever token comes with three others, as most providers do, the ID token one like this, of
// now. It costs next to nothing: the machine is the replica's.
func (d *deployment) answerRefreshes(idToken string) error {
	parts := strings.Split(idToken, ".")
	if len(parts) != 3 {
		return errors.New("the session has no whole ID token")
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return fmt.Errorf("the ID token's header: %w", err)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return fmt.Errorf("the ID token's claims: %w", err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fmt.Errorf("the ID token's claims: %w", err)
	}
	now := time.Now()
	claims["iat"], claims["exp"] = now.Unix(), now.Add(rig.LongLife).Unix()
	delete(claims, "at_hash") // of another access token
	if payload, err = json.Marshal(claims); err != nil {
		return err
	}
	issuer := d.Provider.Issuer()
	text := fmt.Appendf(nil, `{"token_type":"Bearer","access_token":%q,"refresh_token":%q,"id_token":%q,"expires_in":%d}`,
		refreshToken(issuer), refreshToken(issuer), d.Provider.Sign(header, payload), int64(rig.LongLife.Seconds()))
	d.Provider.OnRefresh(func(w http.ResponseWriter, _ *http.Request, _ http.Handler, _ string) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.Write(text) // an error means that the replica has gone
	})
	return nil
}

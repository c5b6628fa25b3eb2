package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"authsvc/authsvc"
	"authsvc/session"
)

// ofOneUser is how many sessions somebody has whom an operator looks at.
const ofOneUser = 20

// operator does what an operator does, by the commands of the built program, and has the replica tell whether that holds.
func (b *bench) operator(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d := c.many
	one := d.Replicas[0]
	_, s, t, err := d.login(ctx, one, 0)
	if err != nil {
		return err
	}
	w, err := d.watchRedis(ctx)
	if err != nil {
		return err
	}
	var stats, lists, revokes []float64
	for round := range b.rounds {
		subject := fmt.Sprintf("looked-at-%d", round)
		cookies, err := d.fill(ctx, ofOneUser, ofOneUser, s, t, func(_ int, s *session.Session, _ *session.Tokens) { s.Subject = subject })
		if err != nil {
			return err
		}
		if err := d.askForAll(ctx, "http://"+one.Address+"/auth", cookies); err != nil { // so that the replica keeps them
			return err
		}
		var listed []struct {
			Subject string `json:"subject"`
		}
		took, err := b.tell(ctx, d, &listed, "sessions", "list", "--json", "--user", subject)
		if err != nil {
			return err
		}
		lists = append(lists, took)
		for _, l := range listed {
			if l.Subject != subject {
				return fmt.Errorf("sessions list --user %s lists one of %q", subject, l.Subject)
			}
		}
		if len(listed) != ofOneUser {
			return fmt.Errorf("sessions list --user %s lists %d sessions, not %d", subject, len(listed), ofOneUser)
		}
		var ended struct {
			Ended int `json:"ended"`
		}
		if took, err = b.tell(ctx, d, &ended, "sessions", "revoke", "--json", "--user", subject); err != nil {
			return err
		}
		revokes = append(revokes, took)
		if ended.Ended != ofOneUser {
			return fmt.Errorf("sessions revoke --user %s ends %d sessions, not %d", subject, ended.Ended, ofOneUser)
		}
		passed, err := d.stillPass(ctx, "http://"+one.Address+"/auth", cookies)
		if err != nil {
			return err
		}
		if passed > 0 {
			return fmt.Errorf("after sessions revoke --user %s %d sessions pass", subject, passed)
		}
		var counted authsvc.Stats
		if took, err = b.tell(ctx, d, &counted, "sessions", "stats", "--json"); err != nil {
			return err
		}
		stats = append(stats, took)
	}
	held, what, err := w.end(ctx)
	if err != nil {
		return err
	}
	off, err := b.countedOff(ctx, d)
	if err != nil {
		return err
	}
	b.fill("stats", newFigure(stats...), "").note("from the start of the program to its end, as for those below")
	b.fill("stats-off", newFigure(off), "%s sessions", thousands(b.sessions))
	b.fill("list", newFigure(lists...), "").note("%d sessions, each listed", ofOneUser)
	b.fill("revoke", newFigure(revokes...), "").note("the same %d: none of them passes afterwards at a replica that had them in its cache", ofOneUser)
	b.fill("operator-held", newFigure(held), "").note("%s", what)
	return nil
}

// tell runs a command that writes JSON.
func (b *bench) tell(ctx context.Context, d *deployment, into any, args ...string) (seconds float64, err error) {
	output, seconds, err := command(ctx, d.Replicas[0], args...)
	if err == nil {
		err = json.Unmarshal(output, into)
	}
	if err != nil {
		return 0, fmt.Errorf("authsvc %v: %w", args, err)
	}
	return seconds, nil
}

// countedOff is how far "sessions stats" is beside what there is, in percent. It looks at every key, which the service never does.
func (b *bench) countedOff(ctx context.Context, d *deployment) (percent float64, err error) {
	pause(ctx, 2*time.Second) // what is counted is of a second ago
	var counted authsvc.Stats
	if _, err = b.tell(ctx, d, &counted, "sessions", "stats", "--json"); err != nil {
		return 0, err
	}
	there, err := d.Records(ctx)
	if err != nil {
		return 0, err
	}
	b.say("%s sessions are counted, there are %s", thousands(int(counted.Sessions)), thousands(there))
	return 100 * math.Abs(float64(counted.Sessions)-float64(there)) / float64(there), nil
}

// stillPass asks for a verdict about each of those whose sessions have ended, and counts those who pass.
func (d *deployment) stillPass(ctx context.Context, address string, cookies []string) (passed int, err error) {
	for _, cookie := range cookies {
		a, err := d.Get(ctx, address, http.Header{"Cookie": {cookie}, "X-Original-Url": {d.URL + pagePath}, "X-Original-Method": {http.MethodGet}})
		switch {
		case err != nil:
			return 0, err
		case a.Status == http.StatusOK:
			passed++
		case a.Status != http.StatusUnauthorized:
			return 0, fmt.Errorf("a verdict is %d", a.Status)
		}
	}
	return passed, nil
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"

	"authsvc/authsvc"
	"authsvc/e2e/rig"
	"authsvc/session"
)

const (
	// ofOneUser is how many sessions somebody has whom an operator looks at.
	ofOneUser = 20
	// pushBound is when a replica has surely heard that a session was ended elsewhere: session.cache_ttl bounds it even if the message is lost.
	pushBound = 10 * time.Second
)

// operator does what an operator does, by the commands of the built program, and has the replica tell whether that holds.
func (b *bench) operator(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d := c.many
	_, s, t, err := d.login(ctx, d.Replicas[0], 0)
	if err != nil {
		return err
	}
	var stats, lists, revokes []float64
	held, what, err := d.watched(ctx, func() error {
		for round := range b.rounds {
			took, err := b.operate(ctx, d, s, t, fmt.Sprintf("looked-at-%d", round))
			if err != nil {
				return err
			}
			stats, lists, revokes = append(stats, took.stats), append(lists, took.list), append(revokes, took.revoke)
		}
		return nil
	})
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
	b.fill("revoke", newFigure(revokes...), "").note("the same %d: none of them passes at a replica that had them in its cache", ofOneUser)
	b.fill("operator-held", newFigure(held), "").note("%s", what)
	return nil
}

// operated is how long the commands took, in seconds.
type operated struct{ stats, list, revoke float64 }

// operate lists and ends the sessions of one who has some, and counts all.
func (b *bench) operate(ctx context.Context, d *deployment, s session.Session, t session.Tokens, subject string) (took operated, err error) {
	address := "http://" + d.Replicas[0].Address + "/auth"
	cookies, err := d.fill(ctx, ofOneUser, ofOneUser, s, t, func(_ int, s *session.Session, _ *session.Tokens) { s.Subject = subject })
	if err != nil {
		return took, err
	}
	if err := d.askForAll(ctx, address, cookies); err != nil { // so that the replica keeps them
		return took, err
	}
	var listed []struct {
		Subject string `json:"subject"`
	}
	if took.list, err = b.tell(ctx, d, &listed, "sessions", "list", "--json", "--user", subject); err != nil {
		return took, err
	}
	for _, l := range listed {
		if l.Subject != subject {
			return took, fmt.Errorf("sessions list --user %s lists one of %q", subject, l.Subject)
		}
	}
	if len(listed) != ofOneUser {
		return took, fmt.Errorf("sessions list --user %s lists %d sessions, not %d", subject, len(listed), ofOneUser)
	}
	var ended struct {
		Ended int `json:"ended"`
	}
	if took.revoke, err = b.tell(ctx, d, &ended, "sessions", "revoke", "--json", "--user", subject); err != nil {
		return took, err
	}
	if ended.Ended != ofOneUser {
		return took, fmt.Errorf("sessions revoke --user %s ends %d sessions, not %d", subject, ended.Ended, ofOneUser)
	}
	err = rig.WaitFor(ctx, pushBound, func(ctx context.Context) error {
		passed, err := d.stillPass(ctx, address, cookies)
		if err == nil && passed > 0 {
			err = fmt.Errorf("after sessions revoke --user %s %d sessions pass", subject, passed)
		}
		return err
	})
	if err != nil {
		return took, err
	}
	var counted authsvc.Stats
	took.stats, err = b.tell(ctx, d, &counted, "sessions", "stats", "--json")
	return took, err
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

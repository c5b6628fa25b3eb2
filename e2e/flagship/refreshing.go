package main

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"authsvc/e2e/rig"
)

// fallsDue is scenarios 1 and 2.
func (f *flagship) fallsDue(ctx context.Context, people []*person) error {
	life, interval := 30*time.Second, 10*time.Millisecond
	if len(people) <= fewPeople {
		life, interval = 10*time.Second, arrival
	}
	return f.refreshing(ctx, people, refreshing{
		signIn:    &row{Number: "1", What: "sign in, by round robin", Incumbent: incumbentRecords},
		due:       &row{Number: "2a", What: "20 requests each as the token falls due", Incumbent: incumbentFast},
		expired:   &row{Number: "2b", What: "20 requests each after it has expired"},
		life:      life,
		settle:    10 * time.Second,
		atOnce:    3 * workers, // they wait for a moment, too
		interval:  interval,
		answering: f.Provider.Honest,
	})
}

// slowProvider is scenario 3.
func (f *flagship) slowProvider(ctx context.Context, people []*person) error {
	const delay = 8 * time.Second
	f.Provider.AnswersAfter(delay)
	return f.refreshing(ctx, people, refreshing{
		due:     &row{Number: "3a", What: "the token endpoint takes 8 s; due", Incumbent: incumbentSlow},
		expired: &row{Number: "3b", What: "the token endpoint takes 8 s; expired"},
		life:    30 * time.Second,
		settle:  delay + 20*time.Second,
		// They wait for refresh_wait, and need no machine meanwhile.
		atOnce: 60, interval: arrival,
		delay:     delay,
		answering: func() { f.Provider.TokensLive(rig.LongLife) },
	})
}

// refreshing is a scenario of two token lifetimes: 20 requests at once while the old token is due and still valid, and again when the next
// one has expired.
type refreshing struct {
	signIn, due, expired *row // signIn may be nil
	life                 time.Duration
	settle               time.Duration // within which a refresh comes to its end
	atOnce               int           // people at once after the expiry
	interval             time.Duration // between two of them
	delay                time.Duration // of the token endpoint; 0: none
	answering            func()        // makes the tokens of the last answers long-lived
}

func (f *flagship) refreshing(ctx context.Context, people []*person, s refreshing) error {
	n := len(people)
	early := min(refreshBefore, s.life/2)                                                                         // before the end, the token is due
	ripe := func(p *person) time.Time { return p.SignedIn.Add(s.life - early + early/10 + 100*time.Millisecond) } // early/10: sessions are spread
	b, err := f.begin(ctx)
	if err != nil {
		return err
	}
	f.Provider.TokensLive(s.life)

	var signingIn, due tally
	var failed failures
	var late atomic.Int64
	t := &tide{people: people, ripe: ripe, window: early - early/5, progress: f.progress(s.due.Number, n)}
	t.first = func(ctx context.Context, p *person) {
		signingIn.add(p, func(ctx context.Context) (rig.Answer, error) {
			err := p.SignIn(ctx)
			failed.add(err)
			return rig.Answer{Status: http.StatusOK, User: p.Name, Took: p.SignedIn.Sub(p.Began)}, err
		})(ctx)
	}
	t.second = func(ctx context.Context, p *person) {
		p.burst(ctx, parallel, &due)
		if p.asked.After(p.Began.Add(s.life)) {
			late.Add(1)
		}
	}
	t.run(ctx)
	f.awaitGrants(ctx, b, n, s.settle)
	f.settled(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.signIn != nil {
		r := s.signIn
		r.Users = n
		if err := f.close(ctx, r, b, &signingIn); err != nil {
			return err
		}
		r.Grants = 0 // they are the next row's
		if err := failed.err(); err != nil {
			r.fail("%v", err)
		}
		r.expect("records", r.Records, n)
		r.expect("logins that the provider saw", f.Provider.TotalCounts().Logins-b.counts.Logins, n)
		f.add(r)
	} else if err := failed.err(); err != nil {
		return err
	}
	if err := f.judge(ctx, s.due, people, b, &due, s); err != nil {
		return err
	}
	s.due.expect("records", s.due.Records, n)
	if late := late.Load(); late > 0 {
		s.due.note("%d of %d people got their answers when the token had already expired", late, n)
	} else if s.due.Max > milliseconds(refreshWait) {
		s.due.fail("somebody waited for %.0f ms while the old token was valid", s.due.Max)
	}

	// The second lifetime ends for each a life after the refresh. Until then nobody asks, since that would be another refresh; that nobody
	// is logged out after the first one shows when they come back.
	if b, err = f.begin(ctx); err != nil {
		return err
	}
	s.answering()
	var expired tally
	inTurn(ctx, people, s.atOnce, s.interval, func(p *person) time.Time { return p.asked.Add(s.life + time.Second) },
		func(ctx context.Context, p *person) { p.burst(ctx, parallel, &expired) }, f.progress(s.expired.Number, n))
	f.awaitGrants(ctx, b, n, s.settle)
	f.settled(ctx)
	if err := f.judge(ctx, s.expired, people, b, &expired, s); err != nil {
		return err
	}
	s.expired.expect("new records", s.expired.Records, 0)
	s.expired.LoggedOut = len(f.loggedOut(ctx, people))
	s.due.LoggedOut = len(loggedOutOf(&due, &expired))
	for _, r := range []*row{s.due, s.expired} {
		r.expect("logged out", r.LoggedOut, 0)
		f.add(r)
	}
	return ctx.Err()
}

// judge fills a row of one token lifetime: a grant for each, and nobody notices.
func (f *flagship) judge(ctx context.Context, r *row, people []*person, b before, t *tally, s refreshing) error {
	n := len(people)
	r.Users = n
	if err := f.close(ctx, r, b, t); err != nil {
		return err
	}
	r.expect("refresh grants", r.Grants, n)
	r.expect("reuse rejections", r.Reuse, 0)
	r.expect("answers other than 200", r.Non200, 0)
	r.expect("requests", r.Requests, parallel*n)
	if s.delay > 0 && r.Max >= milliseconds(s.delay) {
		r.fail("somebody waited for the provider: %.0f ms", r.Max)
	}
	return ctx.Err()
}

// progress returns what tells, every few seconds, how far a row has come.
func (f *flagship) progress(number string, of int) func(done int) {
	const every = 5 * time.Second
	last := time.Now()
	return func(done int) {
		if time.Since(last) >= every {
			last = time.Now()
			f.say("%-3s %s of %s people", number, thousands(done), thousands(of))
		}
	}
}

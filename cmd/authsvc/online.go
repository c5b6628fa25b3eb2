package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"time"

	"authsvc/authsvc"
	"authsvc/session/redisstore"
)

// level is how much a finding matters. All but good and skipped make the check fail.
type level string

const (
	good    level = "ok"
	warning level = "warning"
	problem level = "problem"
	skipped level = "skipped" // nobody could look
)

// finding is one line of an online check: what was looked at, what was found, and what to do about it, if anything.
type finding struct {
	level             level
	subject, what, do string
}

func (f finding) String() string {
	text := fmt.Sprintf("%-8s %s: %s", f.level, f.subject, f.what)
	if f.do != "" {
		text += "; " + f.do
	}
	return text
}

// online is what the checks of one run know.
type online struct {
	config *authsvc.Config
	via    *url.URL // nil without --via

	// store is open when it answers.
	store *redisstore.Store
	// ahead is how far the store's clock is ahead of this host's; authorize is where the provider signs people in, "" if that is unknown.
	ahead     time.Duration
	authorize string
}

// checks are what an online check looks at, in this order: each may use what those before it have found.
var checks = []func(context.Context, *online) []finding{checkStore, checkReplicas, checkProvider, checkBearer, checkGateway}

// checkOnline runs the checks and prints what they find as they go. A warning or a problem is exit status 1.
func checkOnline(ctx context.Context, out io.Writer, config *authsvc.Config, via *url.URL) error {
	o, failed := &online{config: config, via: via}, false
	defer func() {
		if o.store != nil {
			o.store.Close()
		}
	}()
	for _, check := range checks {
		for _, f := range check(ctx, o) {
			failed = failed || f.level == warning || f.level == problem
			if _, err := fmt.Fprintln(out, f); err != nil {
				return err
			}
		}
	}
	if failed {
		return exitStatus(exitFailure)
	}
	return nil
}

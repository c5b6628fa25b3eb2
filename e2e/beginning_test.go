package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/nginx/nginxtest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// awaitState waits until a replica's /readyz is as wanted.
func (r *replica) awaitState(what string, wanted func(readiness) bool) {
	r.t.Helper()
	storetest.WaitFor(r.t, "replica "+r.address+": "+what, func() error {
		if !r.running() {
			r.t.Fatalf("the replica ended:\n%s", r.log.String())
		}
		state, err := r.readyz("")
		if err == nil && !wanted(state) {
			err = fmt.Errorf("%+v", state)
		}
		return err
	})
}

// laterPage is a page that says that something is not available now.
func laterPage(answer reply, err error) error {
	if err == nil && (answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" ||
		!strings.Contains(answer.body, "</html>") || len(answer.header["Set-Cookie"]) > 0) {
		err = fmt.Errorf("%v; want a 503 page with Retry-After and no cookie", answer)
	}
	return err
}

// TestProviderDownAtStart: replicas start without the provider, say so, and let people sign in as soon as it is there. Sessions need no
// provider at all.
func TestProviderDownAtStart(t *testing.T) {
	var o idptest.Options
	s := newStack(t, options{noReplica: true, provider: func(wanted *idptest.Options) { o = *wanted }})
	address := nginxtest.FreeAddress(t)
	o.Issuer = "http://" + address
	provider, err := idptest.New(o)
	check(t, err)
	s.provider, s.settings["oidc.issuer"] = provider, o.Issuer
	serve := func() (stop func()) {
		server, l := &http.Server{Handler: provider}, listenOn(t, address)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		return func() {
			server.Close()
			if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
				t.Errorf("the provider ended: %v", err)
			}
		}
	}
	withoutProvider := func(state readiness) bool {
		return state.status == http.StatusOK && state.Ready && state.Degraded["provider"] != ""
	}

	for range 2 {
		s.replicas = append(s.replicas, newReplica(t, s.settings))
	}
	for _, r := range s.replicas {
		r.awaitState("ready, without the provider", withoutProvider)
		answer, err := r.auth("", nil)
		if err != nil || answer.status != http.StatusUnauthorized {
			t.Errorf("a verdict without the provider: %v, %v", answer, err)
		}
	}
	s.startNginx()
	v := s.visitor("alice")
	check(t, laterPage(v.send(http.MethodGet, "/start?rd=%2Fpage", nil)))

	stop := serve()
	for _, r := range s.replicas {
		r.awaitReady()
	}
	v.signIn()
	stop()

	// A replica that starts now does not know the provider, but the session.
	fresh := s.replicas[0]
	fresh.kill()
	fresh.start()
	fresh.awaitState("ready, without the provider", withoutProvider)
	check(t, s.signedInAs("alice", v.cookie(sessionCookie)))
	_, err = v.arrive("/page")
	check(t, err)
	check(t, laterPage(v.at(fresh, http.MethodGet, "/start?rd=%2Fpage")))
	stop = serve()
	defer stop()
	fresh.awaitReady()
	bob := s.visitor("bob")
	bob.signIn()
}

// TestRedisDownAtStart: replicas that have never reached Redis are not ready, but open after a moment in which they could not ask the others.
// They know what needs no Redis, and say of the rest that they cannot tell.
func TestRedisDownAtStart(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.redis.Kill()
	for range 2 {
		s.replicas = append(s.replicas, newReplica(t, s.settings))
	}
	unknown := keyring(t, s.settings["cookie.secret"]).NewToken(session.PurposeSession, "main").Reveal()
	for _, r := range s.replicas {
		r.awaitState("not ready, without Redis", func(state readiness) bool {
			return state.status == http.StatusServiceUnavailable && !state.Ready && state.Failing["store"] != "" && state.Failing["drift"] == "" &&
				state.Degraded["provider"] == ""
		})
		for cookie, want := range map[string]int{"": http.StatusUnauthorized, "forged": http.StatusUnauthorized, unknown: http.StatusServiceUnavailable} {
			if answer, err := r.authCookie(cookie); err != nil || answer.status != want {
				t.Errorf("a verdict on %q: %v, %v; want %d", cookie, answer, err, want)
			}
		}
		if text, status, err := r.adminPage("/livez"); err != nil || status != http.StatusOK {
			t.Errorf("/livez: %d %s, %v", status, text, err)
		}
	}
	s.startNginx()
	v := s.visitor("alice")
	callback, err := v.toCallback("/page?a=b")
	check(t, err)
	check(t, laterPage(v.send(http.MethodGet, callback, nil)))
	if n := s.provider.Count(idptest.Token); n != 0 {
		t.Errorf("the code was spent")
	}
	check(t, laterPage(s.visitor("bob").send(http.MethodGet, "/page", http.Header{"Cookie": {sessionCookie + "=" + unknown}})))

	s.redis.Start()
	for _, r := range s.replicas {
		r.awaitReady()
	}
	check(t, s.refused(unknown))
	answer, err := v.open(callback)
	check(t, err)
	_, err = v.arrived(answer, "/page?a=b")
	check(t, err)
	check(t, s.signedInAs("alice", v.cookie(sessionCookie)))
}

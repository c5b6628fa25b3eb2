package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// buildNext builds the program as the release after this one: it reads one more format of records.
func buildNext(t *testing.T) string {
	t.Helper()
	next := filepath.Join(t.TempDir(), "authsvc")
	args := slices.Concat([]string{"build", "-tags", "authsvc_next_format"}, buildArgs, []string{"-o", next, "authsvc/cmd/authsvc"})
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		t.Fatalf("building the next release: %v\n%s", err, output)
	}
	return next
}

// format tells the format of the record of a cookie, which anybody can see; 0 if there is none.
func (s *stack) format(cookie string) byte {
	s.t.Helper()
	token, err := keyring(s.t, s.settings["cookie.secret"]).ParseToken(session.PurposeSession, "main", cookie)
	check(s.t, err)
	value, err := s.redis.Client().Get(s.t.Context(), "authsvc:session:{"+token.ID().String()+"}").Bytes()
	if err != nil || len(value) == 0 {
		return 0
	}
	return value[0]
}

// formats counts the residents' records by their format.
func (p *residents) formats() map[byte]int {
	found := map[byte]int{}
	for _, r := range p.people {
		found[p.s.format(r.cookie(sessionCookie))]++
	}
	return found
}

// becomes stops a replica and starts another release in its place.
func (r *replica) becomes(program string) {
	r.t.Helper()
	if code := r.terminate(); code != 0 {
		r.t.Errorf("replica %s left with %d", r.address, code)
	}
	r.program = program
	r.start()
}

// TestReleasesRoll: the release after this one takes the place of this one, replica by replica, and goes back half-way. Logins begin at one and
// end at the other, sessions are refreshed by both, and nobody is logged out. Only when the old one is gone is the new format written, and
// then the old one is kept out.
func TestReleasesRoll(t *testing.T) {
	const people, old = 60, ""
	next := buildNext(t)
	s := newStack(t, options{
		provider: withResidents(people, func(o *idptest.Options) { o.AccessTokenLife = 6 * time.Second }),
		settings: map[string]string{"session.refresh_before": "2s", "session.refresh_wait": "10s"},
	})
	for program, want := range map[string]string{program: "records read 1, written 1\n", next: "records read 1 to 2, written 1 to 2\n"} {
		output, err := exec.Command(program, "version").Output()
		if err != nil || !strings.Contains(string(output), want) {
			t.Fatalf("%s, %v; want %q", output, err, want)
		}
	}
	p := s.settle(people, 12*time.Hour, throughGateway)
	// refreshes waits until sessions have been refreshed at both, and everybody has been asked about since.
	refreshes := func() {
		t.Helper()
		for _, r := range s.replicas {
			storetest.WaitFor(t, "sessions to be refreshed at "+r.address, func() error {
				if r.metric(`authsvc_refreshes_total{result="ok"}`) == "0" {
					return fmt.Errorf("none yet")
				}
				return nil
			})
		}
		p.round(t)
	}
	only := func(when string, format byte) {
		t.Helper()
		if got := p.formats(); got[format] != people {
			t.Errorf("%s: records by format %v, want format %d alone", when, got, format)
		}
		if got := s.format(s.newcomer("bob")); got != format {
			t.Errorf("%s: a new record of format %d, want %d", when, got, format)
		}
	}
	sideBySide := func(first, second string) {
		t.Helper()
		for i, program := range []string{first, second} {
			if r := s.replicas[i]; r.program != program {
				r.becomes(program)
				r.awaitReady()
			}
		}
		s.bothAnswer()
		for range 4 { // round robin: the start at one, the callback at the other, both ways
			s.newcomer("alice")
		}
		refreshes()
	}
	sideBySide(old, next)
	only("old and new", 1)
	sideBySide(old, old)
	only("back to the old", 1)
	sideBySide(next, old)
	only("new and old", 1)

	sideBySide(next, next)
	storetest.WaitFor(t, "the new format", func() error {
		if got := p.formats(); got[2] != people {
			return fmt.Errorf("records by format: %v", got)
		}
		return nil
	})
	only("new alone", 2)
	p.round(t)

	// The old release would not be able to tell who is signed in.
	late, all := s.replicas[0], s.replicas
	late.becomes(old)
	late.awaitState("kept out", func(state readiness) bool {
		return state.status == http.StatusServiceUnavailable && strings.Contains(fmt.Sprint(state.Failing), "record")
	})
	s.replicas = all[1:]
	p.round(t)
	only("while the old one is kept out", 2)
	s.replicas = all
	late.becomes(next)
	late.awaitReady()
	check(t, p.stop())
	t.Logf("%d people were asked about %d times, nobody was logged out", people, p.asked.Load())
}

// bothAnswer waits until nginx asks every replica.
func (s *stack) bothAnswer() {
	s.t.Helper()
	seen := map[string]bool{}
	storetest.WaitFor(s.t, "nginx to ask every replica", func() error {
		answer, err := s.visitor("alice").send(http.MethodGet, "/signed_out", nil)
		if seen[answer.header.Get(answeredBy)] = err == nil; !slices.ContainsFunc(s.addresses(), func(a string) bool { return !seen[a] }) {
			return nil
		}
		return fmt.Errorf("it asked %v, %v", seen, err)
	})
}

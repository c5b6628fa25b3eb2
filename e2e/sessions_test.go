package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// listed is a session as "sessions list --json" tells it.
type listed struct {
	ID, Issuer, Subject, Label, Address string
	UserAgent                           string    `json:"user_agent"`
	Created                             time.Time `json:"created_at"`
	LastSeen                            time.Time `json:"last_seen_at"`
	IdleExpires                         time.Time `json:"idle_expires_at"`
	Expires                             time.Time `json:"expires_at"`
}

// sessions runs a command about sessions with the stack's settings and checks its exit code.
func (s *stack) sessions(args string, code int, environ ...string) result {
	s.t.Helper()
	got := run(s.t, "sessions "+args, append(variables(s.settings), environ...)...)
	if got.code != code {
		s.t.Errorf("sessions %s: exit code %d, want %d; %s%s", args, got.code, code, got.stdout, got.stderr)
	}
	if code == 0 && got.stderr != "" || code != 0 && (got.stdout != "" || strings.Count(got.stderr, "\n") != 1) {
		s.t.Errorf("sessions %s: stdout %q, stderr %q", args, got.stdout, got.stderr)
	}
	return got
}

// list runs "sessions list --json" with more arguments.
func (s *stack) list(args string) (all []listed) {
	s.t.Helper()
	got := s.sessions("list --json "+args, 0)
	if err := json.Unmarshal([]byte(got.stdout), &all); err != nil {
		s.t.Fatalf("sessions list --json %s: %v in %s", args, err, got.stdout)
	}
	return all
}

// TestSessionsCommands has three replicas make the sessions of two users, and the program look at them and end them: at once, on all replicas.
func TestSessionsCommands(t *testing.T) {
	s := newStack(t, options{replicas: 3})
	const many = 50
	alices := make([]*visitor, many)
	for i := range alices {
		alices[i] = s.visitor("alice")
	}
	began := time.Now()
	check(t, together(many, 5, func(i int) error {
		_, err := alices[i].arrive("/page")
		return err
	}))
	bob, carol := s.visitor("bob"), s.visitor("carol")
	bob.signIn()
	carol.signIn()

	if all := s.list(""); len(all) != many+2 {
		t.Errorf("%d sessions are listed", len(all))
	}
	ofAlice := s.list("--user alice")
	if len(ofAlice) != many {
		t.Errorf("%d sessions of alice are listed", len(ofAlice))
	}
	if !slices.IsSortedFunc(ofAlice, func(a, b listed) int { return b.Created.Compare(a.Created) }) {
		t.Error("they are not in the order of their logins")
	}
	for _, l := range ofAlice {
		if l.Subject != "alice" || l.Label != "alice" || l.Issuer != s.provider.Issuer() || l.Address != "127.0.0.1" || !strings.HasPrefix(l.UserAgent, "Go-http-client/") {
			t.Fatalf("listed as %+v", l)
		}
		if l.Created.Before(began.Add(-2*time.Second)) || l.Created.After(time.Now()) || l.LastSeen.Before(l.Created) ||
			!l.IdleExpires.Before(l.Expires) || l.Expires.Sub(l.Created) != 12*time.Hour {
			t.Fatalf("listed as %+v", l)
		}
	}
	if got := s.list("--user nobody"); len(got) != 0 {
		t.Errorf("of nobody: %v", got)
	}

	table := s.sessions("list", 0).stdout
	if lines := strings.Split(table, "\n"); len(lines) != many+4 || !strings.HasPrefix(lines[0], "ID ") || strings.Count(table, " alice ") != 2*many {
		t.Errorf("the table is\n%s", table)
	}
	if got := s.sessions("list --user nobody", 0); got.stdout != "no sessions\n" {
		t.Errorf("of nobody: %q", got.stdout)
	}
	id := s.list("--user bob")[0].ID
	shown := s.sessions("show "+id, 0).stdout
	for _, want := range []string{"id          " + id + "\n", "subject     bob\n", "address     127.0.0.1\n"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show has no %q in\n%s", want, shown)
		}
	}
	var one listed
	if err := json.Unmarshal([]byte(s.sessions("show --json "+id, 0).stdout), &one); err != nil || one.ID != id || one.Subject != "bob" {
		t.Errorf("show --json: %+v, %v", one, err)
	}
	storetest.WaitFor(t, "all to be counted", func() error { return s.counted(many+2, 3) })

	s.sessions("revoke "+id, 0)
	check(t, s.refused(bob.cookie(sessionCookie)))
	for _, args := range []string{"revoke " + id, "show " + id} {
		if got := s.sessions(args, 1); !strings.Contains(got.stderr, "there is no session "+id) {
			t.Errorf("%s: %s", args, got.stderr)
		}
	}
	s.sessions("revoke nonsense", 1)

	if got := s.sessions("revoke --user alice", 0); got.stdout != "50 sessions ended\n" {
		t.Errorf("revoke --user: %q", got.stdout)
	}
	check(t, together(many, 5, func(i int) error { return s.refused(alices[i].cookie(sessionCookie)) }))
	check(t, s.signedInAs("carol", carol.cookie(sessionCookie)))
	if got := s.sessions("revoke --user alice --json", 0); got.stdout != "{\"ended\":0}\n" {
		t.Errorf("revoke --user again: %q", got.stdout)
	}
	if n := s.records(); n != 1 {
		t.Errorf("%d records are left", n)
	}
	if got := s.sessions("revoke --all", 0); got.stdout != "1 session ended\n" {
		t.Errorf("revoke --all: %q", got.stdout)
	}
	check(t, s.refused(carol.cookie(sessionCookie)))
	if got := s.list(""); len(got) != 0 || s.records() != 0 {
		t.Errorf("after revoke --all: %v, %d records", got, s.records())
	}
	storetest.WaitFor(t, "none to be counted", func() error { return s.counted(0, 0) })
	bob.signIn() // whoever was signed out may sign in again
}

// counted checks what "sessions stats" tells.
func (s *stack) counted(sessions, users int) error {
	var got struct{ Sessions, Users, Bytes int }
	if err := json.Unmarshal([]byte(s.sessions("stats --json", 0).stdout), &got); err != nil {
		return err
	}
	if got.Sessions != sessions || got.Users != users || (got.Bytes > 0) != (sessions > 0) {
		return fmt.Errorf("stats are %+v, want %d sessions of %d users", got, sessions, users)
	}
	return nil
}

// TestSessionsRights: the commands about one user or session need no more rights than the service; those about all say which one is missing.
func TestSessionsRights(t *testing.T) {
	s := newStack(t, options{})
	alice := s.visitor("alice")
	alice.signIn()
	narrow := func(more ...any) string {
		rule := append([]any{"ACL", "SETUSER", "narrow", "on", ">pass", "~authsvc:*"}, documentedRights(t)...)
		s.redis.Do(append(rule, more...)...)
		return "AUTHSVC_STORE_URL=" + strings.Replace(s.redis.URL, "//", "//narrow:pass@", 1)
	}
	store := narrow()
	if got := s.sessions("list --user alice", 0, store); !strings.Contains(got.stdout, "alice") {
		t.Errorf("list --user: %s", got.stdout)
	}
	id := s.list("--user alice")[0].ID
	if got := s.sessions("show "+id, 0, store); !strings.Contains(got.stdout, "alice") {
		t.Errorf("show: %s", got.stdout)
	}
	for _, args := range []string{"list", "revoke --all"} {
		if got := s.sessions(args, 1, store); !strings.Contains(got.stderr, "+scan") {
			t.Errorf("%s: %s", args, got.stderr)
		}
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
	store = narrow("+scan")
	for _, args := range []string{"list", "revoke " + id, "revoke --all"} {
		s.sessions(args, 0, store)
	}
	check(t, s.refused(alice.cookie(sessionCookie)))
}

// TestSessionsCannotTell: while Redis is down or hangs every command says so, soon, and claims nothing.
func TestSessionsCannotTell(t *testing.T) {
	s := newStack(t, options{})
	alice := s.visitor("alice")
	alice.signIn()
	id := s.list("--user alice")[0].ID
	commands := []string{"stats", "list", "list --json", "list --user alice", "show " + id, "revoke " + id, "revoke --user alice", "revoke --all"}
	for fault, repair := range map[string]func(){"killed": s.redis.Start, "paused": s.redis.Resume} {
		if fault == "killed" {
			s.redis.Do("SAVE")
			s.redis.Kill()
		} else {
			s.redis.Pause()
		}
		for _, args := range commands {
			begin := time.Now()
			if got := s.sessions(args, 1); !strings.Contains(got.stderr, "the session store does not answer") {
				t.Errorf("%s: %s", args, got.stderr)
			}
			if took := time.Since(begin); took > 10*time.Second {
				t.Errorf("%s, %s: answered after %v", fault, args, took)
			}
		}
		repair()
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
}

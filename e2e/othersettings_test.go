package e2e

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
)

// TestSessionsOfOtherSettings: a command whose configuration is not that of the replicas says so, and ends nothing by user if it could miss sessions.
func TestSessionsOfOtherSettings(t *testing.T) {
	s := newStack(t, options{replicas: 1})
	alice := s.visitor("alice")
	alice.signIn()
	with := func(setting, value string) []string {
		settings := maps.Clone(s.settings)
		settings[setting] = value
		return variables(settings)
	}
	const empty = "no sessions\n"
	for _, test := range []struct {
		args, setting, value string
		code                 int
		stderr               string
	}{
		{"sessions list --user alice", "oidc.issuer", s.provider.Issuer() + "/", 0, "warning: oidc.issuer differs from that of "},
		{"sessions list --user alice", "cookie.secret", newSecret(), 0, "warning: cookie.secret lacks a key of "},
		{"sessions stats", "cookie.name", "other", 0, "warning: cookie.name differs from that of "},
		{"sessions list", "store.prefix", "other:", 0, "warning: no replica runs on this Redis, database and prefix"},
		{"sessions list --user bob", "cookie.secret", newSecret() + "," + s.settings["cookie.secret"], 0, ""},
		{"sessions list --user bob", "session.idle_timeout", "17m", 0, ""},
		{"sessions revoke --user alice", "oidc.issuer", s.provider.Issuer() + "/", 1, "authsvc: nothing was ended, since sessions could be missed: oidc.issuer differs from that of "},
		{"sessions revoke --user alice", "cookie.secret", newSecret(), 1, "authsvc: nothing was ended, since sessions could be missed: cookie.secret lacks a key of "},
		{"sessions show", "cookie.name", "other", 2, "authsvc: show takes the ID of one session"},
	} {
		got := run(t, test.args, with(test.setting, test.value)...)
		lines := 1
		if test.stderr == "" {
			lines = 0
		}
		if got.code != test.code || !strings.HasPrefix(got.stderr, test.stderr) || strings.Count(got.stderr, "\n") != lines ||
			strings.Contains(test.args, "list") && got.stdout != empty || test.code != 0 && got.stdout != "" {
			t.Errorf("%s with another %s: %+v", test.args, test.setting, got)
		}
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
	var ended struct{ Ended int }
	got := run(t, "sessions revoke --user alice --json", with("cookie.name", "other")...) // under which name it comes makes no difference
	if err := json.Unmarshal([]byte(got.stdout), &ended); err != nil || ended.Ended != 1 || !strings.HasPrefix(got.stderr, "warning: cookie.name ") {
		t.Errorf("%v: %+v", err, got)
	}
	check(t, s.refused(alice.cookie(sessionCookie)))

	for _, test := range []struct{ setting, value, line string }{
		{"cookie.name", "other", "\nproblem  this configuration: cookie.name differs from that of "},
		{"cookie.secret", newSecret(), "\nproblem  this configuration: cookie.secret lacks a key of "},
		{"session.idle_timeout", "17m", "\nwarning  this configuration: session.idle_timeout differs from that of "},
	} {
		if got := run(t, "check --online", with(test.setting, test.value)...); got.code != 1 || strings.Count(got.stdout, test.line) != 1 || strings.Contains(got.stdout, "they agree") {
			t.Errorf("check --online with another %s: %d\n%s", test.setting, got.code, got.stdout)
		}
	}
	if got := run(t, "replicas", with("store.prefix", "other:")...); got.code != 0 || got.stdout != "no replica runs on this Redis, database and prefix (they announce themselves every two seconds)\n" {
		t.Errorf("replicas of another prefix: %+v", got)
	}
}

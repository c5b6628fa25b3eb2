package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"authsvc/session/storetest"
)

// traps are where the program can be made to panic, by file: methods, which package session's Trap is called in.
var traps = map[string][]string{
	"session/redisstore/share.go":         {"share"},
	"session/redisstore/watch_channel.go": {"changedKey"},
	"authsvc/refresh.go":                  {"renew"},
	"authsvc/keyset.go":                   {"fetch"},
	"authsvc/join.go":                     {"beat"},
	"authsvc/stats.go":                    {"count"},
}

const trap = `package session

import (
	"os"
	"strings"
)

// Trap panics when the file that TRAPS names has the place's name.
func Trap(place string) {
	if text, _ := os.ReadFile(os.Getenv("TRAPS")); strings.Contains(string(text), place) {
		panic("canary of " + place)
	}
}
`

// trappedOnce builds the program with traps in it, for the first test that wants it.
var trappedOnce sync.Once

// buildTrapped builds the program with traps in it. It returns the program and what sets the traps of some places, and none elsewhere, for the replicas that this test starts.
func buildTrapped(t *testing.T) (trapped string, set func(places ...string)) {
	t.Helper()
	trapped = filepath.Join(filepath.Dir(program), "trapped")
	trappedOnce.Do(func() { buildWithTraps(t, trapped) })
	file := filepath.Join(t.TempDir(), "traps")
	t.Setenv("TRAPS", file)
	return trapped, func(places ...string) {
		t.Helper()
		replace(t, file, strings.Join(places, "\n"))
	}
}

func buildWithTraps(t *testing.T, trapped string) {
	t.Helper()
	dir := t.TempDir()
	module, err := filepath.Abs("..")
	check(t, err)
	replaced := map[string]string{}
	write := func(file, text string) {
		copied := filepath.Join(dir, fmt.Sprint(len(replaced), ".go"))
		check(t, os.WriteFile(copied, []byte(text), 0o600))
		replaced[filepath.Join(module, file)] = copied
	}
	write("session/trap.go", trap)
	for file, places := range traps {
		text, err := os.ReadFile(filepath.Join(module, file))
		check(t, err)
		for _, place := range places {
			head := regexp.MustCompile(`(?m)^func \(\w+ \*\w+\) ` + place + `\([^\n]*\{$`)
			if len(head.FindAll(text, -1)) != 1 {
				t.Fatalf("%s has not one method %s", file, place)
			}
			text = head.ReplaceAll(text, fmt.Appendf(nil, "${0}\n\tsession.Trap(%q)", place))
		}
		write(file, string(text))
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	check(t, err)
	check(t, os.WriteFile(filepath.Join(dir, "overlay"), overlay, 0o600))
	args := slices.Concat([]string{"build", "-overlay", filepath.Join(dir, "overlay")}, buildArgs, []string{"-o", trapped, "authsvc/cmd/authsvc"})
	if output, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, output)
	}
}

// TestLifecyclePanics: a bug that panics costs the request that met it, and nothing else. The verdict's endpoints answer 503 and all others 500, work in the background
// begins again, and each panic is counted and told once, with where it was and without what it held.
func TestLifecyclePanics(t *testing.T) {
	trapped, set := buildTrapped(t)
	s := newStack(t, options{replicas: 1, settings: map[string]string{"session.cache_ttl": "0", "session.refresh_before": "1s"}})
	r := s.replicas[0]
	r.becomes(trapped)
	r.awaitReady()
	alice, bob := s.visitor("alice"), s.visitor("bob")
	alice.signIn()
	told := 0
	// one is called when one more panic is due.
	one := func(message, place string) {
		t.Helper()
		told++
		storetest.WaitFor(t, "a panic of "+place, func() error {
			if got := r.metric("authsvc_panics_total"); got != fmt.Sprint(told) {
				return fmt.Errorf("%s are counted, want %d", got, told)
			}
			return nil
		})
		lines := slices.DeleteFunc(strings.Split(r.log.String(), "\n"), func(line string) bool { return !strings.Contains(line, `"stack":`) })
		last := lines[len(lines)-1]
		if len(lines) != told || !strings.Contains(last, fmt.Sprintf("%q:%q", "message", message)) || !strings.Contains(last, place+`\n`) {
			t.Errorf("%d panics are told, want %d; the last is %s", len(lines), told, last)
		}
	}

	set("share")
	cookie := http.Header{"Cookie": {sessionCookie + "=" + alice.cookie(sessionCookie)}}
	for path, want := range map[string]int{"/auth": 503, "/forward": 503, "/envoy/page": 503, "/session": 500, "/sessions": 500, "/userinfo": 500} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+path, nil)
		check(t, err)
		request.Header, request.Host = cookie.Clone(), s.host()
		request.Header.Set("X-Forwarded-Uri", "/page")
		request.Header.Set("X-Forwarded-Host", s.host())
		answer, err := exchange(direct, request)
		check(t, err)
		id := answer.header.Get("X-Request-Id")
		if answer.status != want || want == 503 && answer.header.Get("Retry-After") == "" || want == 500 && !strings.Contains(answer.body, id) {
			t.Errorf("%s: %v", path, answer)
		}
		if path == "/auth" {
			check(t, checkVerdict(answer))
		}
		one("panic", "share")
		if !strings.Contains(r.log.String(), fmt.Sprintf(`"request_id":%q,"endpoint":`, id)) {
			t.Errorf("%s: no line of the log names the request", path)
		}
	}
	set()
	check(t, r.passes("alice", cookie.Get("Cookie")[len(sessionCookie)+1:]))

	// Whose tokens are due passes on, though what would renew them breaks.
	set("renew")
	s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 2 })
	bob.signIn()
	storetest.WaitFor(t, "a refresh", func() error {
		if err := r.passes("bob", bob.cookie(sessionCookie)); err != nil {
			t.Error(err)
		}
		if r.metric(`authsvc_refreshes_total{result="failed"}`) != "1" {
			return fmt.Errorf("none has failed")
		}
		return nil
	})
	one("panic in the background", "renew")

	// The answer to a person whose ID token needs new keys.
	set("fetch")
	check(t, s.provider.RotateKeys())
	answer, err := s.visitor("carol").open("/page")
	if err != nil || answer.status != http.StatusInternalServerError {
		t.Errorf("a login: %v, %v", answer, err)
	}
	one("panic", "fetch")

	// The admin's figures, and a scrape, which goes without them.
	set("count")
	if _, status, err := r.adminPage("/stats"); err != nil || status != http.StatusInternalServerError {
		t.Errorf("/stats: %d, %v", status, err)
	}
	set()
	one("panic", "count")
	set("count")
	if text, status, err := r.adminPage("/metrics"); err != nil || status != http.StatusOK || strings.Contains(text, "authsvc_sessions ") {
		t.Errorf("/metrics: %d, %v", status, err)
	}
	set()
	one("panic in the background", "count")

	// The push channel, and the heartbeat.
	set("changedKey")
	s.redis.Do("DEL", s.keys()[slices.IndexFunc(s.keys(), func(key string) bool { return strings.HasPrefix(key, "authsvc:session:") })])
	one("panic in the background", "changedKey")
	set("beat")
	one("panic in the background", "beat")
	set()
	if state, err := r.readyz(""); err != nil || state.status != http.StatusOK {
		t.Errorf("/readyz: %+v, %v", state, err)
	}
	if strings.Contains(r.log.String(), "canary") {
		t.Error("the log tells what a panic held")
	}
}

package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestAssertionExamples has both examples verify what the program signs, and refuse what it did not sign, or not for them.
func TestAssertionExamples(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	s.settings["headers"] = `{"X-Auth-Request-Jwt":"@assertion"}`
	s.startReplicas(1)
	alice := s.visitor("alice")
	alice.signIn()
	const audience = "https://app.example.com"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.replicas[0].address+"/auth", nil)
	check(t, err)
	request.Header.Set("Cookie", sessionCookie+"="+alice.cookie(sessionCookie))
	request.Header.Set("X-Original-URL", audience+"/page")
	answer, err := http.DefaultClient.Do(request)
	check(t, err)
	answer.Body.Close()
	text := answer.Header.Get("X-Auth-Request-Jwt")
	if answer.StatusCode != http.StatusOK || text == "" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}

	program := filepath.Join(t.TempDir(), "assertion")
	if out, err := exec.Command("go", "build", "-o", program, "../examples/assertion").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const script = "../examples/assertion/verify.mjs"
	_, err = os.Stat(script) // so that go test does not take a result from before it changed
	check(t, err)
	forged := text[:len(text)-10] + strings.Repeat("A", 10)
	for name, command := range map[string][]string{"Go": {program}, "node": {"node", script}} {
		verify := func(issuer, audience, text string) (claims map[string]any, problem string) {
			t.Helper()
			cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], issuer, audience)...)
			var out, problems bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(text+"\n"), &out, &problems, environment()
			if err := cmd.Run(); err != nil {
				return nil, err.Error() + " " + problems.String()
			}
			check(t, json.Unmarshal(out.Bytes(), &claims))
			return claims, ""
		}
		claims, problem := verify(s.url, audience, text)
		if problem != "" || claims["sub"] != "alice" || claims["email"] != "alice@example.com" || claims["iss"] != s.url || claims["aud"] != audience {
			t.Errorf("%s: %v %s", name, claims, problem)
		}
		for what, wrong := range map[string][3]string{
			"another origin": {s.url, "https://wiki.example.com", text},
			"a forged one":   {s.url, audience, forged},
			"none":           {s.url, audience, ""},
			"alg none":       {s.url, audience, "eyJhbGciOiJub25lIn0." + strings.Split(text, ".")[1] + "."},
		} {
			if claims, problem := verify(wrong[0], wrong[1], wrong[2]); claims != nil || !strings.Contains(problem, "assertion: ") {
				t.Errorf("%s accepts %s: %v %s", name, what, claims, problem)
			}
		}
	}
}

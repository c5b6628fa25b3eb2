package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// outsiderModules returns the folder with the outsider's modules, as package-lock.json pins them. What is missing is installed once into
// the user's cache, outside of the tree.
func outsiderModules(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	check(t, err)
	lock, err := os.ReadFile("testdata/outsider/package-lock.json")
	check(t, err)
	digest := sha256.Sum256(lock)
	home := filepath.Join(cache, "authsvc-e2e")
	folder := filepath.Join(home, "outsider-"+hex.EncodeToString(digest[:8]))
	modules := filepath.Join(folder, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	check(t, os.MkdirAll(home, 0o755))
	fresh, err := os.MkdirTemp(home, "installing-")
	check(t, err)
	defer os.RemoveAll(fresh)
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join("testdata/outsider", name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(fresh, name), text, 0o644))
	}
	t.Logf("installing npm's oidc-provider into %s", folder)
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--omit-lockfile-registry-resolved")
	cmd.Dir, cmd.SysProcAttr = fresh, dieWithTest()
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("these tests need Node.js and npm's oidc-provider: install the packages nodejs and npm (npm ci: %v)\n%s", err, output)
	}
	// In one step, so that a folder of this name is whole. Another test may have been faster.
	if err := os.Rename(fresh, folder); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	return modules
}

// startOutsider starts a provider that we did not write, and returns its issuer. It ends with the test.
func startOutsider(t *testing.T, settings map[string]any) (issuer string) {
	t.Helper()
	dir := t.TempDir() // Node looks for modules beside the script
	script := filepath.Join(dir, "provider.mjs")
	text, err := os.ReadFile("testdata/outsider/provider.mjs")
	check(t, err)
	check(t, os.WriteFile(script, text, 0o644))
	check(t, os.Symlink(outsiderModules(t), filepath.Join(dir, "node_modules")))
	argument, err := json.Marshal(settings)
	check(t, err)
	cmd := exec.Command("node", script, string(argument))
	var log logBuffer
	cmd.Stderr, cmd.SysProcAttr = &log, dieWithTest()
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	if err := cmd.Start(); err != nil {
		t.Fatalf("these tests need Node.js: install the package nodejs (%v)", err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the provider wrote:\n%s", log.String())
		}
	})
	issuer, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("the provider ended at once: %v\n%s", err, log.String())
	}
	return strings.TrimSpace(issuer)
}

// form is the first form of a page.
type form struct {
	action string
	hidden url.Values
	inputs map[string]bool // by name
}

// formOf reads the first form of a page, false if there is none.
func formOf(page string) (f form, found bool) {
	f = form{hidden: url.Values{}, inputs: map[string]bool{}}
	for tokens := html.NewTokenizer(strings.NewReader(page)); ; {
		kind := tokens.Next()
		if kind == html.ErrorToken {
			return f, found
		}
		token := tokens.Token()
		attributes := map[string]string{}
		for _, a := range token.Attr {
			attributes[a.Key] = a.Val
		}
		switch {
		case token.Data == "form" && kind == html.EndTagToken:
			return f, found
		case token.Data == "form":
			f.action, found = attributes["action"], true
		case found && token.Data == "input":
			f.inputs[attributes["name"]] = true
			if attributes["type"] == "hidden" {
				f.hidden.Set(attributes["name"], attributes["value"])
			}
		}
	}
}

// submit fills in the form of a page, as a person does, sends it, and follows redirects to the end.
func (v *visitor) submit(answer reply, fields map[string]string) (reply, error) {
	f, found := formOf(answer.body)
	if !found {
		return answer, fmt.Errorf("there is no form on %s", answer)
	}
	target, err := answer.url.Parse(f.action)
	if err != nil {
		return answer, err
	}
	values := maps.Clone(f.hidden)
	for name, value := range fields {
		values.Set(name, value)
	}
	request, err := http.NewRequestWithContext(v.stack.t.Context(), http.MethodPost, target.String(), bytes.NewReader([]byte(values.Encode())))
	if err != nil {
		return answer, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err = exchange(v.client, request)
	if err != nil || answer.next() == "" {
		return answer, err
	}
	next, err := answer.url.Parse(answer.next())
	if err != nil {
		return answer, err
	}
	return v.open(next.String())
}

// TestOutsider signs in and out with a provider that we did not write, whose claims are in the ID token, or in userinfo alone.
func TestOutsider(t *testing.T) {
	for name, conform := range map[string]bool{"claims in the ID token": false, "claims in userinfo": true} {
		t.Run(name, func(t *testing.T) {
			s := newStack(t, options{noReplica: true})
			issuer := startOutsider(t, map[string]any{
				"clientID": clientID, "clientSecret": clientSecret, "redirectURI": s.url + "/callback", "signedOutURI": s.url + "/signed_out",
				"conform": conform,
			})
			s.settings["oidc.issuer"] = issuer
			s.startReplicas(2)

			v := s.visitor("alice")
			signIn := func(path string) {
				t.Helper()
				answer, err := v.open(path)
				check(t, err)
				if f, found := formOf(answer.body); !found || !f.inputs["login"] || !strings.HasPrefix(answer.url.String(), issuer) {
					t.Fatalf("%s did not lead to the sign-in page: %s", path, answer)
				}
				answer, err = v.submit(answer, map[string]string{"login": "alice", "password": "any"})
				check(t, err)
				if f, found := formOf(answer.body); found && f.hidden.Get("prompt") == "consent" {
					answer, err = v.submit(answer, nil)
					check(t, err)
				}
				who, err := v.arrived(answer, path)
				check(t, err)
				if want := person("alice"); who.Email != want.Email || who.Groups != "staff,team-alice" {
					t.Errorf("the application takes alice for %+v", who)
				}
				if n := s.records(); n != 1 {
					t.Errorf("%d session records", n)
				}
			}
			signIn("/deep?a=b&c=d")
			cookie := v.cookie(sessionCookie)
			check(t, s.signedInAs("alice", cookie))

			// The provider knows her by now, so a second login asks nothing.
			check(t, v.signInAgain("/second"))
			check(t, s.refused(cookie))

			answer, err := v.logOut()
			check(t, err)
			if !strings.HasPrefix(answer.next(), issuer+"/session/end?") {
				t.Fatalf("logout: %s", answer)
			}
			answer, err = v.open(answer.next())
			check(t, err)
			answer, err = v.submit(answer, map[string]string{"logout": "yes"})
			check(t, err)
			if answer.status != http.StatusOK || answer.url.String() != s.url+"/signed_out" {
				t.Errorf("the logout ended at %s: %s", answer.url, answer)
			}
			if n := s.records(); n != 0 {
				t.Errorf("%d session records after the logout", n)
			}
			signIn("/again") // asks who it is
		})
	}
}

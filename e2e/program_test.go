package e2e

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBadConfiguration: every mistake is told at once, with its place and what would be right, by "check" and by "serve".
func TestBadConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "authsvc.yaml")
	check(t, os.WriteFile(file, []byte(`public_url: app.example.com
listen: nowhere
oidc:
  issuer: http://id.example.com
  client_idd: app
  response_mode: fragment
cookie:
  secret: dG9vIHNob3J0
  same_site: strict
store:
  url: http://localhost
  timeout: 100
session:
  idle_timeout: soon
`), 0o600))
	for _, command := range []string{"check", "serve", "config"} {
		got := run(t, command+" --config "+file, "AUTHSVC_ADMIN_LISTEN=127.0.0.1:99999", "AUTHSVC_LOG_LEVLE=debug")
		if got.code != 2 || got.stdout != "" {
			t.Errorf("%s: exit code %d, stdout %q; want 2 and nothing", command, got.code, got.stdout)
		}
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		for i, want := range []string{
			file + ":1: public_url: ",
			file + ":2: listen: ",
			file + ":3: oidc.client_id: ", // missing: its section's line
			file + ":4: oidc.issuer: ",
			file + ":5: oidc.client_idd: ",
			file + ":6: oidc.response_mode: ",
			file + ":8: cookie.secret: ",
			file + ":9: cookie.same_site: ",
			file + ":11: store.url: ",
			file + ":12: store.timeout: ",
			file + ":14: session.idle_timeout: ",
			"AUTHSVC_ADMIN_LISTEN: ",
			"AUTHSVC_LOG_LEVLE: ",
		} {
			count := 0
			for _, line := range lines {
				if strings.HasPrefix(line, want) && strings.Contains(line, "; ") {
					count++
				}
			}
			if count != 1 {
				t.Errorf("%s: problem %d, %q, is told %d times", command, i, want, count)
			}
		}
		if len(lines) != 13 {
			t.Errorf("%s tells %d problems:\n%s", command, len(lines), got.stderr)
		}
		if strings.Contains(got.stderr, "dG9v") {
			t.Errorf("%s tells the secret: %s", command, got.stderr)
		}
	}
}

// TestCommands: what the other commands print is good for what it is for.
func TestCommands(t *testing.T) {
	version := run(t, "version")
	for _, want := range []string{"authsvc ", "\ncommit ", "\nrecords read 1, written 1\n"} {
		if version.code != 0 || !strings.Contains(version.stdout, want) {
			t.Errorf("version: no %q in %+v", want, version)
		}
	}
	sbom := run(t, "version --sbom")
	for _, want := range []string{`"bomFormat": "CycloneDX"`, `"pkg:golang/std@1.`, `"pkg:golang/github.com/redis/go-redis/v9@v9.`} {
		if sbom.code != 0 || !strings.Contains(sbom.stdout, want) {
			t.Errorf("version --sbom: no %q in %+v", want, sbom)
		}
	}
	if strings.Contains(sbom.stdout, "miniredis") || strings.Contains(sbom.stdout, "toxiproxy") {
		t.Error("version --sbom: the program contains what is for tests")
	}
	secret := run(t, "secret")
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(secret.stdout))
	if secret.code != 0 || err != nil || len(raw) != 32 || secret.stdout == run(t, "secret").stdout {
		t.Errorf("secret: %+v", secret)
	}
	environ := []string{
		"AUTHSVC_PUBLIC_URL=https://app.example.com/oauth2", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=app",
		"AUTHSVC_OIDC_CLIENT_SECRET=" + clientSecret, "AUTHSVC_COOKIE_SECRET=" + strings.TrimSpace(secret.stdout),
		"AUTHSVC_STORE_URL=redis://user:" + clientSecret + "@redis.example.com", "AUTHSVC_SERVICE_HOST=10.0.0.1", "AUTHSVC_PORT_4180_TCP_ADDR=10.0.0.1",
	}
	if got := run(t, "check", environ...); got.code != 0 || got.stderr != "" {
		t.Errorf("check: %+v", got)
	}
	config := run(t, "config", environ...)
	if config.code != 0 || strings.Contains(config.stdout, clientSecret) || strings.Contains(config.stdout, strings.TrimSpace(secret.stdout)) {
		t.Errorf("config: %+v", config)
	}
	for _, want := range []string{"public_url: https://app.example.com/oauth2 # AUTHSVC_PUBLIC_URL\n", "absolute_timeout: 12h # default\n"} {
		if !strings.Contains(config.stdout, want) {
			t.Errorf("config prints no %q:\n%s", want, config.stdout)
		}
	}
	for args, code := range map[string]int{"": 2, "chekc": 2, "serve --nope": 2, "check --config /nowhere.yaml": 2, "--help": 0, "serve --help": 0} {
		if got := run(t, args); got.code != code {
			t.Errorf("authsvc %s: exit code %d, want %d", args, got.code, code)
		}
	}
}

// TestFile: replicas read a file; what the environment says wins. All other tests configure them by the environment alone.
func TestFile(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	dir := t.TempDir()
	file := filepath.Join(dir, "authsvc.yaml")
	for name, secret := range map[string]string{"client": clientSecret, "cookie": s.settings["cookie.secret"]} {
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(secret+"\n"), 0o600))
	}
	check(t, os.WriteFile(file, fmt.Appendf(nil, `public_url: %q
listen: 127.0.0.1:1 # the environment says another
oidc:
  issuer: %q
  client_id: %q
  client_secret_file: %q
cookie:
  secret_file: %q
store:
  url: %q
shutdown: {delay: 0}
headers:
  X-Auth-Request-Email: preferred_username
`, s.url, s.settings["oidc.issuer"], clientID, filepath.Join(dir, "client"), filepath.Join(dir, "cookie"), s.settings["store.url"]), 0o600))
	s.settings = map[string]string{"config": file}
	s.startReplicas(2)
	who, err := s.visitor("alice").arrive("/page?a=b&c=d")
	if err != nil || who.Email != "alice" {
		t.Errorf("%+v, %v", who, err)
	}
}

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"authsvc/authsvc"
)

// result is what a run of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// call runs the program with arguments, which are parted by spaces.
func call(t *testing.T, args string, environ ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), strings.Fields(args), strings.NewReader(""), &stdout, &stderr, environ)
	return result{code, stdout.String(), stderr.String()}
}

// writeConfig writes a good configuration whose client_id is given into a file below dir.
func writeConfig(t *testing.T, dir, clientID string) string {
	t.Helper()
	path := filepath.Join(dir, clientID+".yaml")
	content := `public_url: https://app.example.com
oidc:
  issuer: https://id.example.com
  client_id: ` + clientID + `
  client_secret: hush
cookie:
  secret: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=
`
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCheck(t *testing.T) {
	good := writeConfig(t, t.TempDir(), "app")
	got := call(t, "check --config "+good)
	if got.code != 0 || got.stdout != "configuration is good\n" || !strings.HasPrefix(got.stderr, "warning: "+good+":1: store.url: memory: ") {
		t.Errorf("good: got %+v", got)
	}
	got = call(t, "check --config "+good, "AUTHSVC_LISTEN=nowhere", "AUTHSVC_OIDC_CLIENT_ID=", "AUTHSVC_NOPE=1")
	want := `AUTHSVC_LISTEN: "nowhere" is no address to listen on; `
	if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 3 {
		t.Errorf("bad: got %+v", got)
	}
	got = call(t, "check --config /nowhere.yaml")
	if got.code != 2 || !strings.HasPrefix(got.stderr, "/nowhere.yaml: cannot be read: no such file or directory; ") {
		t.Errorf("no file: got %+v", got)
	}
}

func TestWhereTheConfigurationIs(t *testing.T) {
	dir := t.TempDir()
	one, two := writeConfig(t, dir, "one"), writeConfig(t, dir, "two")
	for _, test := range []struct {
		args    string
		environ string
		want    string
	}{
		{"config --config " + one, "AUTHSVC_CONFIG=", one + ":4"},
		{"--config " + one + " config", "AUTHSVC_CONFIG=", one + ":4"},
		{"--config=" + one + " config", "AUTHSVC_CONFIG=" + two, one + ":4"},
		{"config", "AUTHSVC_CONFIG=" + two, two + ":4"},
		{"config --config " + one, "AUTHSVC_OIDC_CLIENT_ID=three", "AUTHSVC_OIDC_CLIENT_ID"},
	} {
		got := call(t, test.args, test.environ)
		if got.code != 0 || !strings.Contains(got.stdout, "  client_id: ") || !strings.Contains(got.stdout, "# "+test.want+"\n") {
			t.Errorf("%s with %s: want %s, got %+v", test.args, test.environ, test.want, got)
		}
	}
}

func TestConfigMasksSecrets(t *testing.T) {
	got := call(t, "config --config "+writeConfig(t, t.TempDir(), "app"), "AUTHSVC_STORE_URL=redis://u:hush@localhost")
	if got.code != 0 || strings.Contains(got.stdout, "hush") || strings.Contains(got.stdout, "AAEC") {
		t.Errorf("got %+v", got)
	}
	for _, want := range []string{"client_secret: '[redacted]'", "secret: ['[redacted]']", "url: redis://u:[redacted]@localhost", "idle_timeout: 30m # default"} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in %s", want, got.stdout)
		}
	}
}

func TestConfigSchema(t *testing.T) {
	got := call(t, "config --schema", "AUTHSVC_NOPE=a bad configuration is no hindrance")
	if got.code != 0 || !json.Valid([]byte(got.stdout)) || !strings.Contains(got.stdout, "client_secret_file") {
		t.Errorf("got %+v", got)
	}
}

func TestSecretIsOneForTheConfiguration(t *testing.T) {
	one, two := call(t, "secret"), call(t, "secret")
	if one.code != 0 || one.stdout == two.stdout {
		t.Errorf("got %+v, then %+v", one, two)
	}
	decoded, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(one.stdout, "\n"))
	if err != nil || len(decoded) != 32 {
		t.Errorf("got %d bytes, %v", len(decoded), err)
	}
	environ := []string{
		"AUTHSVC_PUBLIC_URL=http://localhost", "AUTHSVC_OIDC_ISSUER=http://localhost:9000", "AUTHSVC_OIDC_CLIENT_ID=app",
		"AUTHSVC_COOKIE_SECRET=" + strings.TrimSpace(one.stdout),
	}
	if got := call(t, "check", environ...); got.code != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestVersion(t *testing.T) {
	for _, args := range []string{"version", "--version"} {
		got := call(t, args)
		for _, want := range []string{"authsvc ", "\ncommit  ", "\ngo      go1.", "\nrecords read 1, written 1\n"} {
			if got.code != 0 || !strings.Contains(got.stdout, want) {
				t.Errorf("%s: no %q in %+v", args, want, got)
			}
		}
	}
}

func TestUsage(t *testing.T) {
	const known = "authsvc has check, config, nginx, replicas, secret, serve, sessions, version; authsvc --help tells more\n"
	for args, want := range map[string]string{
		"":                  "authsvc: a command is missing: " + known,
		"chekc":             `authsvc: "chekc" is not a command, did you mean check?: ` + known,
		"quux":              `authsvc: "quux" is not a command: ` + known,
		"nginx":             "authsvc: a command is missing: authsvc nginx has ",
		"nginx quux":        `authsvc: "quux" is not a command: authsvc nginx has `,
		"check quux":        `authsvc: unknown command "quux" for "authsvc check"`,
		"check --quux":      "authsvc: unknown flag: --quux",
		"--quux":            "authsvc: unknown flag: --quux",
		"check --config":    "authsvc: flag needs an argument: --config",
		"serve --config= x": `authsvc: unknown command "x" for "authsvc serve"`,
	} {
		got := call(t, args)
		if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, want) {
			t.Errorf("%q: want %q, got %+v", args, want, got)
		}
	}
}

func TestHelpEverywhere(t *testing.T) {
	for _, command := range newRootCommand(nil).Commands() {
		if command.Name() == "help" {
			continue
		}
		got := call(t, command.Name()+" --help")
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n") || !strings.Contains(got.stdout, "--config") {
			t.Errorf("%s: got %+v", command.Name(), got)
		}
	}
	got := call(t, "--help")
	if got.code != 0 || !strings.Contains(got.stdout, "Examples:\n") || !strings.Contains(got.stdout, "Available Commands:\n") {
		t.Errorf("got %+v", got)
	}
}

// TestServeRefusesBadConfiguration before it opens anything.
func TestServeRefusesBadConfiguration(t *testing.T) {
	got := call(t, "serve", "AUTHSVC_LISTEN=nowhere")
	if got.code != 2 || !strings.Contains(got.stderr, "AUTHSVC_PUBLIC_URL: is missing; ") {
		t.Errorf("got %+v", got)
	}
}

// TestStoreTakesWhatCheckTakes: the configuration and the store read the same addresses alike.
func TestStoreTakesWhatCheckTakes(t *testing.T) {
	path := writeConfig(t, t.TempDir(), "app")
	for address, good := range map[string]bool{
		"redis://127.0.0.1:1": true, "redis://user:p%40ss%2F@[::1]:1/3": true, "redis://h_1.example:1/": true,
		"rediss://127.0.0.1:1?server_name=redis": true, "unix:///nowhere/redis.sock?db=2": true,
		"redis+sentinel://a:1,b/main/3?sentinel_user=u&sentinel_password=p%26": true, "rediss+sentinel://a:1/main": true,
		"redis+cluster://127.0.0.1:1,127.0.0.1:2/": true, "rediss+cluster://user:pass@127.0.0.1:1": true,

		"redis://": false, "redis://a,b": false, "redis://a/x": false, "redis://a?db=0": false, "redis://a#b": false, "redis://a/0@b": false, "redis://u:%@a": false,
		"unix://a/b": false, "redis+sentinel://a": false, "redis+cluster://a/0": false, "rediss://a?cert_file=b": false, "redis://a?ca_file=b": false,
		"http://a": false, "redis://a:0": false, "redis+sentinel://a/%": false, "redis+sentinel://a/m?sentinel_password=a@b": false,
	} {
		environ := []string{"AUTHSVC_STORE_URL=" + address}
		if got := call(t, "check --config "+path, environ...); (got.code == 0) != good {
			t.Errorf("check %s: got %+v", address, got)
		}
		config, err := (&settings{configFile: path}).load()
		if err != nil {
			t.Fatal(err)
		}
		config.Store.URL = authsvc.StoreURL(address)
		var current atomic.Pointer[authsvc.Config]
		current.Store(config)
		store, err := openStore(config, &current, prometheus.NewRegistry())
		if (err == nil) != good {
			t.Errorf("open %s: got %v", address, err)
		}
		if err == nil {
			if err := store.Close(); err != nil {
				t.Errorf("close %s: %v", address, err)
			}
		}
	}
}

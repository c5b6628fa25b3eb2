package main

import (
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variables is a good configuration in the environment alone, with more variables after it.
func variables(more ...string) []string {
	return append([]string{
		"AUTHSVC_PUBLIC_URL=https://app.example.com/sso", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=app",
		"AUTHSVC_OIDC_CLIENT_SECRET=hush", "AUTHSVC_COOKIE_SECRET=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
	}, more...)
}

const certificateFlags = " --certificate /etc/ssl/app.pem --certificate-key /etc/ssl/app.key"

func TestRenderTakesTheConfiguration(t *testing.T) {
	file := writeConfig(t, t.TempDir(), "app")
	for name, row := range map[string]struct {
		flags   string
		environ []string
		want    []string // lines
	}{
		"environment alone": {"", variables(), []string{
			"server_name app.example.com;", "listen 80;", "server 127.0.0.1:4180 max_fails=1 fail_timeout=1s;", "location = /sso/auth {"}},
		"file":                     {" --config " + file, nil, []string{"server_name app.example.com;", "location = /auth {"}},
		"flags win":                {" --server-name a.example --prefix /b --replica 10.0.0.1:1", variables(), []string{"server_name a.example;", "location = /b/auth {", "server 10.0.0.1:1 max_fails=1 fail_timeout=1s;"}},
		"certificate":              {certificateFlags, variables(), []string{"listen 443 ssl;"}},
		"port and certificate":     {certificateFlags, variables("AUTHSVC_PUBLIC_URL=https://app.example.com:8443"), []string{"listen 8443 ssl;"}},
		"port, TLS ends elsewhere": {"", variables("AUTHSVC_PUBLIC_URL=https://app.example.com:8443"), []string{"listen 80;", "proxy_set_header X-Original-URL https://$authsvc_host$request_uri;"}},
		"port of http":             {"", variables("AUTHSVC_PUBLIC_URL=http://app.example.com:8080"), []string{"listen 8080;", "proxy_set_header X-Original-URL $scheme://$authsvc_host$request_uri;"}},
		"TLS ends elsewhere, flag": {" --server-name a.example --replica 10.0.0.1:1 --behind-tls", nil, []string{"proxy_set_header X-Forwarded-Proto https;"}},
		"TLS ends here":            {certificateFlags, variables(), []string{"proxy_set_header X-Forwarded-Proto $scheme;"}},
		"port, but --listen":       {" --listen 9443" + certificateFlags, variables("AUTHSVC_PUBLIC_URL=https://app.example.com:8443"), []string{"listen 9443 ssl;"}},

		"every address of IPv4":     {"", variables("AUTHSVC_LISTEN=0.0.0.0:4182"), []string{"server 127.0.0.1:4182 max_fails=1 fail_timeout=1s;"}},
		"every address of IPv6":     {"", variables("AUTHSVC_LISTEN=[::]:4182"), []string{"server [::1]:4182 max_fails=1 fail_timeout=1s;"}},
		"every address":             {"", variables("AUTHSVC_LISTEN=:4182"), []string{"server 127.0.0.1:4182 max_fails=1 fail_timeout=1s;"}},
		"every address, in long":    {"", variables("AUTHSVC_LISTEN=[0:0:0:0:0:0:0:0]:4182"), []string{"server [::1]:4182 max_fails=1 fail_timeout=1s;"}},
		"an address":                {"", variables("AUTHSVC_LISTEN=10.0.0.1:4182"), []string{"server 10.0.0.1:4182 max_fails=1 fail_timeout=1s;"}},
		"a name":                    {"", variables("AUTHSVC_LISTEN=replica:4182"), []string{"server replica:4182 max_fails=1 fail_timeout=1s;"}},
		"a socket":                  {"", variables("AUTHSVC_LISTEN=unix:/run/a.sock"), []string{"server unix:/run/a.sock max_fails=1 fail_timeout=1s;"}},
		"no configuration":          {" --server-name a.example --replica 10.0.0.1:1", nil, []string{"listen 80;", "location = /auth {"}},
		"no configuration with TLS": {" --server-name a.example --replica 10.0.0.1:1" + certificateFlags, nil, []string{"listen 443 ssl;"}},
	} {
		got := call(t, "nginx render --upstream 127.0.0.1:3000"+row.flags, row.environ...)
		lines := strings.Split(got.stdout, "\n")
		for i, line := range lines {
			lines[i] = strings.TrimSpace(line)
		}
		for _, want := range row.want {
			if got.code != 0 || !slices.Contains(lines, want) {
				t.Errorf("%s: no %q in %+v", name, want, got)
			}
		}
		if n := strings.Count(got.stdout, "\n    listen "); n != 1 {
			t.Errorf("%s: %d addresses to listen on", name, n)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	certFile, keyFile := keyPair(t)
	overTLS := variables("AUTHSVC_TLS_CERT_FILE="+certFile, "AUTHSVC_TLS_KEY_FILE="+keyFile)
	const render = "nginx render --upstream 127.0.0.1:3000"
	for name, row := range map[string]struct {
		args    string
		environ []string
		want    string
	}{
		"nothing known":     {"nginx render", nil, "--server-name: "},
		"bad configuration": {render, variables("AUTHSVC_LISTEN=nowhere"), "AUTHSVC_LISTEN: "},
		"any port":          {render, variables("AUTHSVC_LISTEN=127.0.0.1:0"), `--replica: "127.0.0.1:0"; `},
		"systemd":           {render, variables("AUTHSVC_LISTEN=systemd"), "--replica: give at least one "},
		"TLS in two places": {render + certificateFlags + " --behind-tls", variables(), "--behind-tls: "},
		"replica over TLS":  {render, overTLS, "--replica-ca: give the PEM file "},
	} {
		got := call(t, row.args, row.environ...)
		if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, row.want) {
			t.Errorf("%s: want %q, got %+v", name, row.want, got)
		}
	}
	if got := call(t, render+" --replica 127.0.0.1:4182", overTLS...); got.code != 0 {
		t.Errorf("a plain listener beside the one with TLS: got %+v", got)
	}
	got := call(t, render+" --replica-ca /etc/ssl/internal.pem --replica-name auth.internal", overTLS...)
	if got.code != 0 || !strings.Contains(got.stdout, "proxy_pass https://") || !strings.Contains(got.stdout, "proxy_ssl_name auth.internal;") {
		t.Errorf("a replica over TLS: got %+v", got)
	}
}

// TestRenderToAFile: who reads the file finds the whole of it, or what was there before.
func TestRenderToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "site.conf")
	printed := call(t, "nginx render --upstream 127.0.0.1:3000", variables()...)
	got := call(t, "nginx render --upstream 127.0.0.1:3000 --output "+file, variables()...)
	text, err := os.ReadFile(file)
	if got.code != 0 || got.stdout != "" || err != nil || string(text) != printed.stdout {
		t.Errorf("%+v, %v:\n%s", got, err, text)
	}
	if got := call(t, "nginx render --upstream 127.0.0.1 --output "+file, variables()...); got.code != 2 {
		t.Errorf("an application without a port: %+v", got)
	}
	if got := call(t, "nginx render --upstream 127.0.0.1:3000 --output "+filepath.Join(file, "site.conf"), variables()...); got.code != 1 || !strings.Contains(got.stderr, file) {
		t.Errorf("a folder that is a file: %+v", got)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) != printed.stdout {
		t.Errorf("what was there is gone: %v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(file)); err != nil || len(left) != 1 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// central is a good configuration of a login host.
func central(more ...string) []string {
	return variables(append([]string{
		"AUTHSVC_PUBLIC_URL=https://login.example.com/sso", "AUTHSVC_COOKIE_DOMAIN=example.com", "AUTHSVC_REDIRECT_ALLOWED_HOSTS=.example.com",
	}, more...)...)
}

// TestRenderCentral: who shares a login, the configuration tells, or flags.
func TestRenderCentral(t *testing.T) {
	const wiki = " --server-name wiki.example.com --upstream 127.0.0.1:3000"
	for name, row := range map[string]struct {
		flags   string
		environ []string
		want    []string // texts
		lacks   string
		warning string
	}{
		"login host":            {" --login-only", central(), []string{"server_name login.example.com;", "location ~ ^/sso/(?:start"}, "auth_request /", ""},
		"login host by flags":   {" --login-only --server-name login.example.com --replica 127.0.0.1:4180", nil, []string{"location ~ ^/(?:start"}, "auth_request /", ""},
		"application":           {wiki, central(), []string{"server_name wiki.example.com;", "http://authsvc_wiki_example_com/sso/auth;", "https://login.example.com/sso/start", "__Secure-authsvc"}, "location ~", ""},
		"application by flags":  {wiki + " --login-url https://login.example.com --replica 127.0.0.1:4180", nil, []string{"http://authsvc_wiki_example_com/auth;", "https://login.example.com/start"}, "location ~", ""},
		"application, own flag": {wiki + " --login-url https://sso.example.com/x", central(), []string{"https://sso.example.com/x/start"}, "login.example.com", ""},
		"at the login's host":   {" --upstream 127.0.0.1:3000", central(), []string{"server_name login.example.com;", "location = /sso/auth {", "location ~ ^/sso/"}, "/.authsvc/", ""},
		"any host below":        {" --server-name *.apps.example.com --upstream 127.0.0.1:3000", central(), []string{"server_name *.apps.example.com;"}, "location ~", ""},
		"the apex":              {" --server-name example.com --upstream 127.0.0.1:3000", central(), []string{"server_name example.com;"}, "location ~", ""},
		"not to come back to":   {wiki, central("AUTHSVC_REDIRECT_ALLOWED_HOSTS=chat.example.com"), []string{"server_name wiki.example.com;"}, "location ~", "warning: redirect.allowed_hosts does not name wiki.example.com: "},
		"one host, no domain":   {wiki, variables(), []string{"location = /sso/auth {", "location ~ ^/sso/"}, "/.authsvc/", ""},
	} {
		got := call(t, "nginx render"+row.flags, row.environ...)
		for _, want := range row.want {
			if got.code != 0 || !strings.Contains(got.stdout, want) {
				t.Errorf("%s: no %q in %+v", name, want, got)
			}
		}
		if strings.Contains(got.stdout, row.lacks) {
			t.Errorf("%s: %q in\n%s", name, row.lacks, got.stdout)
		}
		if !strings.HasPrefix(got.stderr, row.warning) || (row.warning == "") != (got.stderr == "") {
			t.Errorf("%s: stderr %q", name, got.stderr)
		}
	}
}

// TestRenderOptions: each does its one thing. What the key of a cache may leave out, only a configuration can tell.
func TestRenderOptions(t *testing.T) {
	const byAddress, byPerson = `$request_uri\n$http_authorization\n$http_cookie";`, `$authsvc_host\n$http_authorization\n$http_cookie";`
	for name, row := range map[string]struct {
		flags   string
		environ []string
		want    []string
	}{
		"flags":         {" --server-name a.example --replica 10.0.0.1:1 --micro-cache 1s", nil, []string{byAddress, "proxy_cache_valid 200 1s;", "keys_zone=authsvc_a_example_verdicts:1m", "proxy_cache_path /run/authsvc_a_example_verdicts "}},
		"configuration": {" --micro-cache 2s --micro-cache-path /dev/shm/verdicts", variables(), []string{byPerson, "proxy_cache_valid 200 2s;", "proxy_cache_path /dev/shm/verdicts "}},
		"groups":        {" --allowed-group staff,admins --allowed-email-domain=.example.com --prefix /x", variables(), []string{"proxy_pass http://authsvc_app_example_com/x/auth?allowed_groups=staff,admins&allowed_email_domains=.example.com;"}},
		"preflight":     {" --cors-preflight", variables(), []string{"if ($authsvc_preflight) {"}},
	} {
		got := call(t, "nginx render --upstream 127.0.0.1:3000"+row.flags, row.environ...)
		for _, want := range row.want {
			if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, want) {
				t.Errorf("%s: no %q in %+v", name, want, got)
			}
		}
	}
}

// TestRenderTellsEverything: all that is wrong is told at once, and nothing is printed.
func TestRenderTellsEverything(t *testing.T) {
	certFile, keyFile := keyPair(t)
	for name, row := range map[string]struct {
		flags   string
		environ []string
		want    []string // beginnings of lines
	}{
		"flags": {" --upstream x --replica 127.0.0.1:4180/ --prefix / --login-url login --micro-cache 1ms --micro-cache-path x --certificate /a --listen 0 --cookie-name a=b --header Host --check-timeout 1h --allowed-group ,a", nil, []string{
			"--server-name: ", "--listen: ", "--certificate-key: ", "--upstream: ", "--replica: ", "--prefix: ", "--login-url: ", "--prefix: ", "--cookie-name: ", "--header: ", "--allowed-group: ", "--check-timeout: ", "--micro-cache: ", "--micro-cache-path: "}},
		"login host": {" --login-only --upstream 127.0.0.1:3000 --login-url https://a.example --micro-cache 1s --cors-preflight", nil, []string{
			"--server-name: ", "--replica: ", "--upstream: ", "--login-url: ", "--micro-cache: ", "--cors-preflight: "}},
		"configuration and flags": {" --upstream x --micro-cache 9s", variables("AUTHSVC_LISTEN=nowhere"), []string{"--upstream: ", "--micro-cache: ", "AUTHSVC_LISTEN: "}},
		"beyond the domain": {" --server-name wiki.example.org", central("AUTHSVC_TLS_CERT_FILE="+certFile, "AUTHSVC_TLS_KEY_FILE="+keyFile), []string{
			`--server-name: "wiki.example.org"; `, "--upstream: ", "--replica-ca: ", "--replica-name: "}},
		"the domain's look-alike": {" --server-name wikiexample.com --upstream 127.0.0.1:3000", central(), []string{"--server-name: "}},
		"no domain":               {" --server-name wiki.example.com --upstream 127.0.0.1:3000 --login-url https://app.example.com", variables(), []string{"cookie.domain: "}},
		"login host elsewhere":    {" --login-only --server-name wiki.example.com", central(), []string{"--server-name: "}},
	} {
		got := call(t, "nginx render"+row.flags, row.environ...)
		lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
		if got.code != 2 || got.stdout != "" || len(lines) != len(row.want) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		for i, want := range row.want {
			if !strings.HasPrefix(lines[i], want) || !strings.Contains(lines[i], "; ") && !strings.Contains(lines[i], ": ") {
				t.Errorf("%s: line %d is %q, want %s", name, i, lines[i], want)
			}
		}
	}
}

// keyPair writes a certificate and its key into files.
func keyPair(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pair := server.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: key},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

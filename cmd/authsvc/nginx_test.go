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
		"port, TLS ends elsewhere": {"", variables("AUTHSVC_PUBLIC_URL=https://app.example.com:8443"), []string{"listen 80;"}},
		"port of http":             {"", variables("AUTHSVC_PUBLIC_URL=http://app.example.com:8080"), []string{"listen 8080;"}},
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
		"replica over TLS":  {render, overTLS, "authsvc: tls.cert_file: replicas over TLS cannot be rendered yet; "},
	} {
		got := call(t, row.args, row.environ...)
		if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, row.want) {
			t.Errorf("%s: want %q, got %+v", name, row.want, got)
		}
	}
	if got := call(t, render+" --replica 127.0.0.1:4182", overTLS...); got.code != 0 {
		t.Errorf("a plain listener beside the one with TLS: got %+v", got)
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

package e2e

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

// TestSystemdSocketActivate: systemd's own program passes a port and a path, and starts the replica with the first connection. Both are served with
// TLS; who comes by the path is trusted, as trusted_proxies says of every path, and who comes by the port is not.
func TestSystemdSocketActivate(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	dir, err := os.MkdirTemp("", "e2e") // a socket's path must be short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	certificate, key := pair(t, 1)
	s.settings["tls.cert_file"], s.settings["tls.key_file"] = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	replace(t, s.settings["tls.cert_file"], certificate)
	replace(t, s.settings["tls.key_file"], key)
	path := filepath.Join(dir, "authsvc.sock")
	s.settings["listen"], s.settings["trusted_proxies"], s.settings["admin_listen"] = "systemd", "10.0.0.1", nginxtest.FreeAddress(t)
	r := &replica{t: t, address: nginxtest.FreeAddress(t), admin: s.settings["admin_listen"]}
	r.command = func() *exec.Cmd {
		args := []string{"--listen=" + r.address, "--listen=" + path}
		for _, variable := range slices.Concat(variables(s.settings), []string{"GORACE=atexit_sleep_ms=20"}) {
			args = append(args, "--setenv="+variable)
		}
		return exec.Command("systemd-socket-activate", append(args, program, "serve")...)
	}
	r.begin()
	storetest.WaitFor(t, "systemd to listen", func() error {
		conn, err := net.Dial("unix", path)
		if err == nil {
			conn.Close() // the replica starts
		}
		return err
	})
	for network, address := range map[string]string{"tcp": r.address, "unix": path} {
		way := &http.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // nobody signed the certificate
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}
		defer way.CloseIdleConnections()
		request, err := http.NewRequest(http.MethodGet, "https://replica/auth", nil)
		check(t, err)
		request.Header.Set("X-Original-URL", s.url+"/page")
		answer, err := exchange(&http.Client{Transport: way, Timeout: patience}, request)
		check(t, err)
		login, believed := answer.header.Get("X-Auth-Login-Url"), network == "unix"
		if answer.status != http.StatusUnauthorized || strings.Contains(login, "%2Fpage") != believed {
			t.Errorf("%s: %s, the login is at %q", network, answer, login)
		}
	}
	if code := r.terminate(); code != 0 {
		t.Errorf("it left with %d", code)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the path went with the process: %v", err)
	}
}

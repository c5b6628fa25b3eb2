package main

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckReady asks where the service of this configuration says how it is, by port, every address, and path.
func TestCheckReady(t *testing.T) {
	status, body := http.StatusOK, `{"ready":true}`
	answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" || r.URL.RawQuery != "" {
			t.Errorf("it asks for %s", r.URL)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	})
	byPort := httptest.NewServer(answer)
	defer byPort.Close()
	_, port, _ := net.SplitHostPort(byPort.Listener.Addr().String())
	dir, err := os.MkdirTemp("", "ready") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	byPath := httptest.NewUnstartedServer(answer)
	byPath.Listener.Close()
	if byPath.Listener, err = net.Listen("unix", filepath.Join(dir, "s")); err != nil {
		t.Fatal(err)
	}
	byPath.Start()
	defer byPath.Close()

	addresses := []string{"127.0.0.1:" + port, "0.0.0.0:" + port, ":" + port, "unix:" + filepath.Join(dir, "s")}
	for _, address := range addresses {
		got := call(t, "check --ready", variables("AUTHSVC_ADMIN_LISTEN="+address)...)
		if got.code != 0 || got.stdout != "configuration is good\nready\n" {
			t.Errorf("%s: %+v", address, got)
		}
	}
	status, body = http.StatusServiceUnavailable, `{"ready":false,"failing":{"drift":"why"}}`
	for _, address := range addresses {
		got := call(t, "check --ready", variables("AUTHSVC_ADMIN_LISTEN="+address)...)
		if got.code != exitFailure || !strings.HasSuffix(got.stdout, "\nnot ready: "+body+"\n") {
			t.Errorf("%s: %+v", address, got)
		}
	}
	for address, want := range map[string]result{
		"127.0.0.1:1": {exitFailure, "not ready: nobody answers at admin_listen: ", ""},
		"":            {exitUsage, "", "--ready asks at admin_listen, and that is turned off; "},
	} {
		got := call(t, "check --ready", variables("AUTHSVC_ADMIN_LISTEN="+address)...)
		if got.code != want.code || !strings.Contains(got.stdout, want.stdout) || !strings.Contains(got.stderr, want.stderr) {
			t.Errorf("%q: %+v", address, got)
		}
	}
}

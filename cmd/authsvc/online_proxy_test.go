package main

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// TestProviderThroughAProxy asks a provider that only the proxy of HTTPS_PROXY can reach: its name is nobody's here. The program is a process of
// its own, since net/http reads these variables once.
func TestProviderThroughAProxy(t *testing.T) {
	provider, err := idptest.New(idptest.Options{Issuer: "https://id.example.com", Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(provider) // its certificate is for names below example.com too
	defer server.Close()
	roots := filepath.Join(t.TempDir(), "roots.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var asked atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "id.example.com:443" {
			http.Error(w, "only to the provider", http.StatusForbidden)
			return
		}
		asked.Add(1)
		tunnel(w, server.Listener.Addr().String())
	}))
	defer proxy.Close()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "check", "--online")
	cmd.Env = variables(asProgram, "HTTPS_PROXY="+proxy.URL, "AUTHSVC_OIDC_CA_FILE="+roots)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "ok       provider: https://id.example.com is discovered") {
		t.Errorf("%v: %s", err, out)
	}
	if asked.Load() == 0 {
		t.Error("the proxy saw nothing")
	}
}

// tunnel joins the client's connection with one to an address, until either ends.
func tunnel(w http.ResponseWriter, address string) {
	back, err := net.Dial("tcp", address)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer back.Close()
	front, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer front.Close()
	io.WriteString(front, "HTTP/1.1 200 OK\r\n\r\n")
	var one sync.WaitGroup
	one.Go(func() { io.Copy(back, front); back.Close() })
	io.Copy(front, back)
	front.Close()
	one.Wait()
}

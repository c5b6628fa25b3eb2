package authsvc

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestUserinfoRefusalsShareAConnection refuses userinfo again and again: sessions that are refreshed meanwhile do not each dial anew.
func TestUserinfoRefusalsShareAConnection(t *testing.T) {
	var dialed atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, strings.Repeat("no ", 1000), http.StatusUnauthorized)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialed.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	client, err := newProviderClient(OIDC{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	p, meta := &provider{client: client}, &metadata{discoveryDocument: discoveryDocument{Userinfo: server.URL}}
	for range 5 {
		if claims, err := p.userinfoAbout(t.Context(), meta, "alice", "token"); err == nil || !strings.Contains(err.Error(), "status is 401") {
			t.Fatalf("%v, %v", claims, err)
		}
	}
	if n := dialed.Load(); n != 1 {
		t.Errorf("%d connections for 5 requests, one after the other; want 1", n)
	}
}

package authsvc

import (
	"encoding/json"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// startOf begins a login in a browser of its own and returns the authorization request, unopened.
func startOf(r *rig) string {
	r.t.Helper()
	reply := r.browser().open("/start")
	if reply.StatusCode != http.StatusFound {
		r.t.Fatalf("/start: %s\n%s", reply.Status, reply.body)
	}
	return reply.Header.Get("Location")
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// trustedPeer and strangePeer are where a request can come from: trusted_proxies has loopback alone.
const (
	trustedPeer = "127.0.0.1:40000"
	strangePeer = "192.0.2.1:40000"
)

// ask gives a request to a replica's handler without a network between, so that nothing refuses or mends it before we
// see it.
func ask(s *Service, method, target, peer string, header http.Header) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, nil)
	request.RemoteAddr = peer
	for name, values := range header {
		request.Header[name] = values
	}
	if host := header["Host"]; host != nil {
		request.Host = host[0]
		request.Header.Del("Host")
	}
	answer := httptest.NewRecorder()
	s.Handler().ServeHTTP(answer, request)
	return answer
}

// another makes a replica that has not asked the provider for anything yet.
func (r *rig) another(config *Config, store Backend) *Service {
	r.t.Helper()
	service, err := New(Options{Config: config, Store: store, Log: zerolog.New(r.log), Metrics: prometheus.NewRegistry()})
	if err != nil {
		r.t.Fatal(err)
	}
	service.standing.Store(&standing{Admitted: true, Opened: true}) // it has asked nobody
	return service
}

// eventually waits for a state that another goroutine brings about.
func eventually(t testing.TB, what string, state func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !state(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// askWith is ask with a request of the caller's making, by a trusted peer.
func askWith(s *Service, request *http.Request, header http.Header) *httptest.ResponseRecorder {
	request.RemoteAddr = trustedPeer
	for name, values := range header {
		request.Header[name] = values
	}
	answer := httptest.NewRecorder()
	s.Handler().ServeHTTP(answer, request)
	return answer
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// formOf reads the hidden fields of a page that posts itself.
func formOf(t *testing.T, page string) url.Values {
	t.Helper()
	form := url.Values{}
	for _, field := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Add(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	if !form.Has("state") {
		t.Fatalf("no form_post page:\n%s", page)
	}
	return form
}

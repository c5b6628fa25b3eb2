package nginx_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

// The site that most tests ask for.
const siteName = "app.example.com"

// patience is how long a test waits for an answer before it fails.
const patience = 30 * time.Second

// seen is one request as a stub got it.
type seen struct {
	Method, URI, Host string
	Header            http.Header
	Body              string
}

// stub is an HTTP server that keeps what it sees and answers as the test says.
type stub struct {
	server      *httptest.Server
	connections atomic.Int64 // accepted so far

	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []seen
}

func newStub(t *testing.T, answer http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{answer: answer}
	s.server = httptest.NewUnstartedServer(s)
	s.server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.connections.Add(1)
		}
	}
	s.server.Start()
	t.Cleanup(s.kill)
	return s
}

func (s *stub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // nginx hung up
	}
	s.mu.Lock()
	s.seen = append(s.seen, seen{r.Method, r.RequestURI, r.Host, r.Header.Clone(), string(body)})
	answer := s.answer
	s.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	answer(w, r)
}

func (s *stub) address() string { return s.server.Listener.Addr().String() }

// kill ends the stub as SIGKILL would: no request is finished first.
func (s *stub) kill() {
	s.server.Listener.Close()
	s.server.CloseClientConnections()
}

// answers gives the stub another way to answer.
func (s *stub) answers(handler http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = handler
}

// take returns what the stub has seen since the last call.
func (s *stub) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.seen
	s.seen = nil
	return all
}

// one returns the one request that the stub has seen since the last call.
func (s *stub) one(t *testing.T) seen {
	t.Helper()
	all := s.take()
	if len(all) != 1 {
		t.Fatalf("the stub saw %d requests, want 1: %+v", len(all), all)
	}
	return all[0]
}

// none fails the test if the stub has seen anything since the last call.
func (s *stub) none(t *testing.T, who string) {
	t.Helper()
	if all := s.take(); len(all) != 0 {
		t.Errorf("%s saw %+v, want nothing", who, all)
	}
}

// gate is a real nginx with a rendered site, between a stub of authsvc and a stub of the application.
type gate struct {
	address   string
	auth, app *stub
}

// newGate starts one. change, if any, edits the site before it is rendered.
func newGate(t *testing.T, auth, app http.HandlerFunc, change func(*nginx.Site)) *gate {
	t.Helper()
	return newGateWith(t, auth, app, change, func(config string) string { return config })
}

// newGateWith starts one whose configuration is edited after it is rendered.
func newGateWith(t *testing.T, auth, app http.HandlerFunc, change func(*nginx.Site), edit func(config string) string) *gate {
	t.Helper()
	g := &gate{address: nginxtest.FreeAddress(t), auth: newStub(t, auth), app: newStub(t, app)}
	site := nginx.Site{
		ServerName: siteName,
		Listen:     []string{g.address},
		Upstreams:  []string{g.app.address()},
		Replicas:   []string{g.auth.address()},
		Prefix:     "/oauth2",
		CookieName: "__Host-authsvc",
	}
	if change != nil {
		change(&site)
	}
	nginxtest.Start(t, edit(render(t, site)))
	return g
}

func render(t testing.TB, site nginx.Site) string {
	t.Helper()
	var text strings.Builder
	if err := nginx.Render(&text, site); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// answered is an answer as the browser got it.
type answered struct {
	Status int
	Header http.Header
	Body   string
}

// send sends a request byte by byte: the request line, header lines, and the body as it is on the
// wire. It adds Host unless a line gives one, and closes the connection after the answer.
func (g *gate) send(t *testing.T, line, body string, headers ...string) answered {
	t.Helper()
	conn := g.dial(t)
	defer conn.Close()
	writeRequest(t, conn, line, body, append(headers, "Connection: close")...)
	return readAnswer(t, bufio.NewReader(conn), line)
}

func (g *gate) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", g.address, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func writeRequest(t *testing.T, conn net.Conn, line, body string, headers ...string) {
	t.Helper()
	hasHost := false
	for _, h := range headers {
		hasHost = hasHost || strings.HasPrefix(h, "Host:")
	}
	if !hasHost {
		headers = append([]string{"Host: " + siteName}, headers...)
	}
	if _, err := io.WriteString(conn, line+"\r\n"+strings.Join(headers, "\r\n")+"\r\n\r\n"+body); err != nil {
		t.Fatal(err)
	}
}

func readAnswer(t *testing.T, from *bufio.Reader, line string) answered {
	t.Helper()
	method, _, _ := strings.Cut(line, " ")
	response, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return answered{response.StatusCode, response.Header, string(body)}
}

// The person whom allow lets in.
var alice = map[string]string{
	"X-Auth-Request-User":               "alice-sub",
	"X-Auth-Request-Email":              "alice@example.com",
	"X-Auth-Request-Preferred-Username": "alice",
	"X-Auth-Request-Groups":             "staff,admins",
}

// allow is authsvc's verdict on alice.
func allow(w http.ResponseWriter, _ *http.Request) {
	for name, value := range alice {
		w.Header().Set(name, value)
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusOK)
}

// login is authsvc's verdict on a browser without a session.
func login(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Auth-Login-Url", loginURL(r.Header.Get("X-Original-Url")))
	refuse(http.StatusUnauthorized)(w, r)
}

func loginURL(asked string) string {
	return "http://" + siteName + "/oauth2/start?rd=" + url.QueryEscape(asked)
}

// refuse is a verdict with the given status.
func refuse(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
	}
}

const appPage = "the application's page"

// page is how the application answers.
func page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-App", "yes")
	io.WriteString(w, appPage)
}

// wantAlice fails the test unless the application saw alice's identity, and once.
func wantAlice(t *testing.T, s seen) {
	t.Helper()
	for name, value := range alice {
		if got := s.Header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("the application saw %s: %q, want %q once", name, got, value)
		}
	}
}

package nginx_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"authsvc/nginx"
)

// A request's body goes to the application whole and to authsvc never.
func TestBodies(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 50_000)
	chunked := fmt.Sprintf("5\r\nhello\r\n%x\r\n%s\r\n0\r\n\r\n", len(large), large)
	for _, test := range []struct {
		name, wire, want string
		headers          []string
	}{
		{"small", "hello", "hello", []string{"Content-Length: 5"}},
		{"large", large, large, []string{fmt.Sprintf("Content-Length: %d", len(large))}},
		{"chunked", chunked, "hello" + large, []string{"Transfer-Encoding: chunked"}},
		{"empty", "", "", []string{"Content-Length: 0"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, allow, page, nil)
			for _, method := range []string{"POST", "PUT", "DELETE"} {
				if got := g.send(t, method+" /form HTTP/1.1", test.wire, test.headers...); got.Status != 200 {
					t.Errorf("%s: the browser saw %d", method, got.Status)
				}
				asked := g.auth.one(t)
				if asked.Body != "" || asked.Method != "GET" || asked.Header.Get("Content-Length") != "" || asked.Header.Get("Transfer-Encoding") != "" {
					t.Errorf("authsvc was asked %s with %d bytes, %v", asked.Method, len(asked.Body), asked.Header)
				}
				if s := g.app.one(t); s.Body != test.want || s.Method != method {
					t.Errorf("the application saw %s with %d bytes, want %s with %d", s.Method, len(s.Body), method, len(test.want))
				}
			}
		})
	}
	// A refused body is read away, so that the browser's connection goes on.
	t.Run("refused", func(t *testing.T) {
		g := newGate(t, login, page, nil)
		conn := g.dial(t)
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for range 3 {
			writeRequest(t, conn, "POST /form HTTP/1.1", large, fmt.Sprintf("Content-Length: %d", len(large)))
			if got := readAnswer(t, answers, "POST"); got.Status != 401 {
				t.Errorf("the browser saw %d, want 401", got.Status)
			}
		}
		g.app.none(t, "the application")
	})
}

// Verdicts of every kind, and requests to the endpoints, travel over a connection that is open already.
func TestConnectionsAreReused(t *testing.T) {
	g := newGate(t, allow, page, nil)
	const rounds = 10
	asked := 0
	for range rounds {
		for _, test := range []struct {
			verdict http.HandlerFunc
			line    string
			status  int
		}{
			{allow, "GET /a HTTP/1.1", 200},
			{allow, "POST /a HTTP/1.1", 200},
			{login, "GET /b HTTP/1.1", 401},
			{login, "POST /b HTTP/1.1", 401},
			{refuse(403), "POST /c HTTP/1.1", 403},
			{refuse(503), "POST /d HTTP/1.1", 503},
			{page, "GET /oauth2/session HTTP/1.1", 200},
			{page, "POST /oauth2/logout HTTP/1.1", 200},
		} {
			g.auth.answers(test.verdict)
			if got := g.send(t, test.line, "hello", "Content-Length: 5"); got.Status != test.status {
				t.Errorf("%s: the browser saw %d, want %d", test.line, got.Status, test.status)
			}
			asked++
		}
	}
	if got := len(g.auth.take()); got != asked {
		t.Errorf("authsvc saw %d requests, want %d", got, asked)
	}
	if got := g.auth.connections.Load(); got != 1 {
		t.Errorf("nginx opened %d connections for %d requests, want 1", got, asked)
	}
	if got := len(g.app.take()); got != 2*rounds {
		t.Errorf("the application saw %d requests, want %d", got, 2*rounds)
	}
}

// Requests sent without waiting for answers each get their own verdict, in order.
func TestPipelining(t *testing.T) {
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.Header.Get("X-Original-Url"), "/open") {
			allow(w, r)
			return
		}
		login(w, r)
	}, page, nil)
	conn := g.dial(t)
	defer conn.Close()
	var want []int
	for range 5 {
		writeRequest(t, conn, "GET /open HTTP/1.1", "")
		writeRequest(t, conn, "POST /shut HTTP/1.1", "hello", "Content-Length: 5")
		want = append(want, 200, 401)
	}
	answers := bufio.NewReader(conn)
	for i, status := range want {
		if got := readAnswer(t, answers, "GET"); got.Status != status {
			t.Errorf("answer %d: the browser saw %d, want %d", i, got.Status, status)
		}
	}
	for _, s := range g.app.take() {
		if s.URI != "/open" {
			t.Errorf("the application saw %s", s.URI)
		}
	}
}

// echo is an application that speaks WebSocket's handshake and sends back what it gets.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") == "" {
		page(w, r)
		return
	}
	conn, stream, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\nConnection: Upgrade\r\n\r\n")
	io.Copy(conn, stream)
}

func TestWebSocket(t *testing.T) {
	for name, form := range map[string]func(*nginx.Site){
		"one host": nil, "central": central, "cache": cached(t), "preflight": func(s *nginx.Site) { s.CORSPreflight = true },
	} {
		t.Run(name, func(t *testing.T) { opensWebSockets(t, newGate(t, allow, echo, form)) })
	}
}

func opensWebSockets(t *testing.T, g *gate) {
	t.Helper()
	for _, spelling := range []string{"websocket", "WebSocket"} {
		conn := g.dial(t)
		defer conn.Close()
		writeRequest(t, conn, "GET /socket HTTP/1.1", "", "Upgrade: "+spelling, "Connection: keep-alive, Upgrade", "Sec-WebSocket-Key: a2V5", "Cookie: __Host-authsvc=secret; a=1")
		answers := bufio.NewReader(conn)
		response, err := http.ReadResponse(answers, nil)
		if err != nil || response.StatusCode != 101 {
			t.Fatalf("the browser saw %v, %v, want 101", response, err)
		}
		if asked := g.auth.one(t); asked.Header.Get("Upgrade") != "" || asked.Header.Get("X-Original-Method") != "GET" {
			t.Errorf("authsvc was asked %+v", asked)
		}
		s := g.app.one(t)
		wantAlice(t, s)
		if s.Header.Get("Sec-Websocket-Key") != "a2V5" || s.Header.Get("Cookie") != "a=1" || s.Header.Get("Connection") != "upgrade" {
			t.Errorf("the application saw %v", s.Header)
		}
		if _, err := io.WriteString(conn, "hello"); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, 5)
		if _, err := io.ReadFull(answers, back); err != nil || string(back) != "hello" {
			t.Errorf("the browser got %q back: %v", back, err)
		}
	}
}

// No other protocol takes a connection over: in such a tunnel nobody would ask for verdicts.
func TestOtherUpgradesAreDropped(t *testing.T) {
	g := newGate(t, allow, echo, nil)
	for _, protocol := range []string{"h2c", "websocket, h2c", "h2c, websocket", "TLS/1.2", "websocket/13", "xwebsocket"} {
		got := g.send(t, "GET /page HTTP/1.1", "", "Upgrade: "+protocol, "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__")
		if got.Status != 200 || got.Body != appPage {
			t.Errorf("%s: the browser saw %d %q", protocol, got.Status, got.Body)
		}
		g.auth.one(t)
		if s := g.app.one(t); s.Header.Get("Upgrade") != "" || s.Header.Get("Connection") == "upgrade" {
			t.Errorf("%s: the application saw %v", protocol, s.Header)
		}
	}
}

// Answers of authsvc with 3.5 KB of headers, the most that it sends, pass with room to spare: to the
// application and back to the login.
func TestLargeVerdicts(t *testing.T) {
	groups := strings.Repeat("group-name,", 600) // 6.6 KB
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Auth-Request-Groups", groups)
		w.Header().Set("Content-Length", "0")
	}, page, nil)
	if got := g.send(t, "GET / HTTP/1.1", ""); got.Status != 200 {
		t.Errorf("the browser saw %d", got.Status)
	}
	if got := g.app.one(t).Header.Get("X-Auth-Request-Groups"); got != groups {
		t.Errorf("the application saw %d bytes of groups, want %d", len(got), len(groups))
	}
	address := loginURL("http://" + siteName + "/" + strings.Repeat("x", 6600))
	out := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Auth-Login-Url", address)
		refuse(401)(w, r)
	}, page, nil)
	if got := out.send(t, "GET / HTTP/1.1", "", navigate...); got.Status != 302 || got.Header.Get("Location") != address {
		t.Errorf("the browser saw %d, Location of %d bytes, want %d", got.Status, len(got.Header.Get("Location")), len(address))
	}
	out.app.none(t, "the application")
}

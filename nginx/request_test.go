package nginx_test

import (
	"bufio"
	"io"
	"net/url"
	"strings"
	"testing"

	"authsvc/nginx"
)

// An address reaches the application byte for byte, authsvc judges just that, and the way back from
// the login names it whole.
func TestAddresses(t *testing.T) {
	g := newGate(t, allow, page, nil)
	out := newGate(t, login, page, nil)
	for _, address := range []string{
		"/",
		"/page?a=1&b=2&rd=https://evil.example",
		"/a%2Fb/%2e%2E/c",
		"//two//slashes",
		"/caf%C3%A9/\u65e5\u672c?q=\u00e9",
		"/a%20b+c?d=%26&e=%3D;f",
		"/admin%23/x",
		"/q?x=%zz&y=%",
		"/public/..;/admin",
		`/back\slash`,
		`/quote"'<>{}|^$request_uri`,
		"/" + strings.Repeat("long/", 300) + "?q=" + strings.Repeat("x", 1000),
	} {
		t.Run(address[:min(len(address), 40)], func(t *testing.T) {
			line := "GET " + address + " HTTP/1.1"
			if got := g.send(t, line, "", navigate...); got.Status != 200 {
				t.Fatalf("the browser saw %d", got.Status)
			}
			asked := g.auth.one(t)
			if got, want := asked.Header.Get("X-Original-Url"), "http://"+siteName+address; got != want {
				t.Errorf("authsvc judged %q, want %q", got, want)
			}
			if asked.URI != "/oauth2/auth" {
				t.Errorf("authsvc was asked %s, want no query of the visitor's", asked.URI)
			}
			if s := g.app.one(t); s.URI != address {
				t.Errorf("the application saw %q, want %q", s.URI, address)
			}

			got := out.send(t, line, "", navigate...)
			location, err := url.Parse(got.Header.Get("Location"))
			if err != nil || got.Status != 302 {
				t.Fatalf("signed out: the browser saw %d, Location %q: %v", got.Status, got.Header.Get("Location"), err)
			}
			if back := location.Query()["rd"]; len(back) != 1 || back[0] != "http://"+siteName+address {
				t.Errorf("the way back is %q", back)
			}
			out.app.none(t, "the application")
		})
	}
}

// Which host was asked is told to authsvc and to the application alike.
func TestHost(t *testing.T) {
	for _, test := range []struct{ name, line, host, want string }{
		{"port", "GET / HTTP/1.1", "Host: app.example.com:8080", "app.example.com:8080"},
		{"none", "GET / HTTP/1.0", "X: y", siteName},
		{"absolute form", "GET http://app.example.com/ HTTP/1.1", "Host: other.example", siteName},
		{"absolute form with a port", "GET http://app.example.com:8080/ HTTP/1.1", "Host: other.example:1", siteName},
		{"absolute form, and more in Host", "GET http://app.example.com/ HTTP/1.1", "Host: app.example.com.other.example", siteName},
		{"capitals", "GET / HTTP/1.1", "Host: App.example.com:8080", "App.example.com:8080"},
		{"final dot", "GET / HTTP/1.1", "Host: app.example.com.", siteName},
	} {
		t.Run(test.name, func(t *testing.T) {
			g := newGate(t, allow, page, nil)
			conn := g.dial(t)
			defer conn.Close()
			if _, err := io.WriteString(conn, test.line+"\r\n"+test.host+"\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if got := readAnswer(t, bufio.NewReader(conn), test.line); got.Status != 200 {
				t.Errorf("the browser saw %d", got.Status)
			}
			asked, s := g.auth.one(t), g.app.one(t)
			if asked.Host != test.want || asked.Header.Get("X-Original-Url") != "http://"+test.want+"/" {
				t.Errorf("authsvc was asked at %q about %q, want %q", asked.Host, asked.Header.Get("X-Original-Url"), test.want)
			}
			if s.Host != test.want || s.Header.Get("X-Forwarded-Host") != test.want || s.Header.Get("X-Forwarded-Proto") != "http" {
				t.Errorf("the application saw host %q, forwarded %q %q; want %q", s.Host, s.Header.Get("X-Forwarded-Host"), s.Header.Get("X-Forwarded-Proto"), test.want)
			}
		})
	}
}

// A host that is none of the site's is neither judged nor shown to the application, though nginx takes the first server on an
// address for it.
func TestOtherHosts(t *testing.T) {
	for name, test := range map[string]struct {
		own, others []string
		change      func(*nginx.Site)
	}{
		siteName: {
			[]string{siteName, siteName + ":8080", "APP.example.com", siteName + "."},
			[]string{"evil.example", "[::1]:8080", "127.0.0.1", "example.com", "x" + siteName, "x." + siteName, siteName + ".evil.example", "appxexample.com", siteName + "..", "app.example.com@evil.example"}, nil,
		},
		"*.example.com": {
			[]string{"a.example.com", "a.b.example.com:8080", "A.EXAMPLE.COM"},
			[]string{"example.com", "xexample.com", "a.example.com.evil.example", "evil.example"},
			func(s *nginx.Site) { s.ServerName = "*.example.com" },
		},
		"127.0.0.1": {[]string{"127.0.0.1", "127.0.0.1:8080"}, []string{"127.0.0.2", "127x0.0.1", "localhost"}, func(s *nginx.Site) { s.ServerName = "127.0.0.1" }},
	} {
		g := newGate(t, allow, page, test.change)
		for _, host := range test.own {
			if got := g.send(t, "GET / HTTP/1.1", "", "Host: "+host); got.Status != 200 {
				t.Errorf("%s, Host: %s: the browser saw %d", name, host, got.Status)
			}
		}
		g.auth.take()
		g.app.take()
		for _, line := range []string{"GET / HTTP/1.1", "POST /page HTTP/1.1", "GET /oauth2/start HTTP/1.1", "GET /oauth2/auth HTTP/1.1"} {
			for _, host := range test.others {
				if got := g.send(t, line, "", "Host: "+host); got.Status != 421 && got.Status != 400 {
					t.Errorf("%s, %s, Host: %s: the browser saw %d", name, line, host, got.Status)
				}
			}
		}
		if got := g.send(t, "GET http://evil.example/ HTTP/1.1", "", "Host: "+test.own[0]); got.Status != 421 {
			t.Errorf("%s: absolute form: the browser saw %d", name, got.Status)
		}
		g.auth.none(t, "authsvc")
		g.app.none(t, "the application")
	}
}

// A visitor's own description of the request reaches neither authsvc nor the application.
func TestForeignHeaders(t *testing.T) {
	const forged = "forged.example"
	names := []string{
		"Forwarded", "X-Auth-Request-Redirect", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method",
		"X-Forwarded-Path", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Scheme",
		"X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Uri", "X-Host", "X-Original-Host", "X-Original-Method",
		"X-Original-URI", "X-Original-URL", "X-Real-IP", "X-Request-Id", "X-Rewrite-URL", "X-Scheme",
	}
	var headers []string
	for _, name := range names {
		headers = append(headers, name+": "+forged, strings.ToLower(name)+": "+forged,
			strings.ReplaceAll(name, "-", "_")+": "+forged, "Connection: "+name)
	}
	g := newGate(t, allow, page, nil)
	want := func(t *testing.T, who string, s seen, set map[string]string) {
		t.Helper()
		for name, values := range s.Header {
			if strings.Contains(strings.Join(values, " "), forged) {
				t.Errorf("%s saw %s: %q", who, name, values)
			}
		}
		for _, name := range names {
			if name == "X-Request-Id" {
				continue
			}
			if got := s.Header.Get(name); got != set[name] {
				t.Errorf("%s saw %s: %q, want %q", who, name, got, set[name])
			}
		}
		if len(s.Header.Get("X-Request-Id")) != 32 {
			t.Errorf("%s saw X-Request-Id: %q", who, s.Header.Get("X-Request-Id"))
		}
	}
	if got := g.send(t, "POST /page HTTP/1.1", "", headers...); got.Status != 200 {
		t.Fatalf("the browser saw %d", got.Status)
	}
	asked, s := g.auth.one(t), g.app.one(t)
	want(t, "authsvc", asked, map[string]string{
		"X-Original-URL": "http://" + siteName + "/page", "X-Original-Method": "POST",
		"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1",
	})
	plain := map[string]string{
		"X-Forwarded-Proto": "http", "X-Forwarded-Host": siteName,
		"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "127.0.0.1",
	}
	want(t, "the application", s, plain)
	if asked.Header.Get("X-Request-Id") != s.Header.Get("X-Request-Id") {
		t.Error("authsvc and the application saw different request ids")
	}

	if got := g.send(t, "GET /oauth2/start?rd=/x HTTP/1.1", "", headers...); got.Status != 200 {
		t.Fatalf("/oauth2/start: the browser saw %d", got.Status)
	}
	want(t, "authsvc's endpoint", g.auth.one(t), plain)
	g.app.none(t, "the application")
}

package nginx_test

import (
	"fmt"
	"strings"
	"testing"

	"authsvc/nginx"
)

// The application never sees our cookies, and sees all others as they are.
func TestCookies(t *testing.T) {
	const s, l = "__Host-authsvc=v1.secret-token", "__Host-authsvc_login=v1.secret-login"
	tests := []struct{ name, sent, want string }{
		{"none", "a=1; b=2", "a=1; b=2"},
		{"only", s, ""},
		{"both only", s + "; " + l, ""},
		{"first", s + "; a=1; b=2", "a=1; b=2"},
		{"middle", "a=1; " + s + "; b=2", "a=1; b=2"},
		{"last", "a=1; b=2; " + s, "a=1; b=2"},
		{"both apart", s + "; a=1; " + l + "; b=2", "a=1; b=2"},
		{"both together", "a=1; " + l + "; " + s + "; b=2", "a=1; b=2"},
		{"four", s + "; a=1; " + s + "; " + l + "; b=2; " + l, "a=1; b=2"},
		{"ten", strings.Repeat(s+"; ", 10) + "a=1", ""},
		{"ten apart", strings.Repeat("a=1; "+s+"; ", 10) + "b=2", ""},
		{"no space", "a=1;" + s + ";b=2", "a=1;b=2"},
		{"many spaces", "a=1;  \t " + s + ";   b=2", "a=1;   b=2"},
		{"space before the equals sign", "a=1; __Host-authsvc =secret; b=2", "a=1; b=2"},
		{"leading space", "a=1;" + s, "a=1"},
		{"empty value", "__Host-authsvc=; a=1", "a=1"},
		{"final semicolon", s + ";", ""},
		{"final semicolon behind another", "a=1; " + s + ";", "a=1;"},
		{"quoted", `__Host-authsvc="secret"; a="x y"`, `a="x y"`},
		{"others kept byte for byte", "a=\"x\\\"\u00e9\"; x==; ; =y; b; " + s + "; c=%3B$1$2", "a=\"x\\\"\u00e9\"; x==; ; =y; b; c=%3B$1$2"},
		{"names that only contain ours", "x__Host-authsvc=1; __Host-authsvc2=2; __Host-authsvc_login2=3; __host-AUTHSVC=4", "x__Host-authsvc=1; __Host-authsvc2=2; __Host-authsvc_login2=3; __host-AUTHSVC=4"},
		{"ours as a value", "a=__Host-authsvc=1; b=2", "a=__Host-authsvc=1; b=2"},
		{"long", "a=" + strings.Repeat("x", 3000) + "; " + s + "; b=" + strings.Repeat("; y", 1000), "a=" + strings.Repeat("x", 3000) + "; b=" + strings.Repeat("; y", 1000)},
	}
	g := newGate(t, allow, page, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := g.send(t, "GET / HTTP/1.1", "", "Cookie: "+test.sent); got.Status != 200 {
				t.Errorf("the browser saw %d", got.Status)
			}
			if asked := g.auth.one(t); asked.Header.Get("Cookie") != test.sent {
				t.Errorf("authsvc saw %q", asked.Header.Get("Cookie"))
			}
			saw := g.app.one(t)
			if got := saw.Header.Get("Cookie"); got != test.want {
				t.Errorf("the application saw %q, want %q", got, test.want)
			}
			if _, present := saw.Header["Cookie"]; present && test.want == "" {
				t.Error("the application saw an empty Cookie header, want none")
			}
			if strings.Contains(fmt.Sprint(saw), "secret") {
				t.Errorf("the application saw a secret: %+v", saw)
			}
		})
	}
	t.Run("several lines", func(t *testing.T) {
		g.send(t, "GET / HTTP/1.1", "", "Cookie: a=1", "Cookie: "+s, "Cookie: b=2; "+l)
		g.auth.take()
		if got := g.app.one(t).Header["Cookie"]; strings.Join(got, "; ") != "a=1; b=2" {
			t.Errorf("the application saw %q", got)
		}
	})
	t.Run("default names", func(t *testing.T) {
		g := newGate(t, allow, page, func(s *nginx.Site) { s.CookieName = "" })
		g.send(t, "GET / HTTP/1.1", "", "Cookie: authsvc=secret; __Host-authsvc=secret; a=1; __Secure-authsvc_login=secret; xauthsvc=2; authsvc_login=secret")
		if got := g.app.one(t).Header.Get("Cookie"); got != "a=1; xauthsvc=2" {
			t.Errorf("the application saw %q", got)
		}
	})
	t.Run("a name with dots", func(t *testing.T) {
		g := newGate(t, allow, page, func(s *nginx.Site) { s.CookieName = "a.b" })
		g.send(t, "GET / HTTP/1.1", "", "Cookie: a.b=secret; axb=1; a.b_login=secret")
		if got := g.app.one(t).Header.Get("Cookie"); got != "axb=1" {
			t.Errorf("the application saw %q", got)
		}
	})
	t.Run("30 KB", func(t *testing.T) {
		got := g.send(t, "GET / HTTP/1.1", "", "Cookie: "+strings.Repeat("x", 30<<10))
		if got.Status != 400 {
			t.Errorf("the browser saw %d, want 400", got.Status)
		}
		g.auth.none(t, "authsvc")
		g.app.none(t, "the application")
	})
}

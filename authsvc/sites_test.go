package authsvc

import "testing"

// TestSiteOfHost: exact before wildcard, with a port before without, the longest wildcard first, and nobody takes what is left.
func TestSiteOfHost(t *testing.T) {
	var a, b, c, d = &site{name: "a"}, &site{name: "b"}, &site{name: "c"}, &site{name: "d"}
	all := &sites{
		main: a, all: []*site{a, b, c, d},
		exact: map[string]*site{"a.example": a, "b.x.example": b, "b.x.example:81": c, "[::1]": d},
		below: []domain{{".y.x.example", d}, {".x.example", c}},
	}
	for host, want := range map[string]*site{
		"a.example": a, "a.example:8080": a, "b.x.example": b, "b.x.example:82": b, "b.x.example:81": c, "[::1]": d, "[::1]:8080": d,
		"e.x.example": c, "e.x.example:81": c, "e.f.x.example": c, "e.y.x.example": d, "y.x.example": c,
		"x.example": nil, "xx.example": nil, "example": nil, "": nil, ".x.example": nil, "b.a.example": nil, "[::2]": nil,
	} {
		if got := all.ofHost(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
	alone := &sites{main: a, all: []*site{a}}
	for _, host := range []string{"", "a.example", "whoever:1"} {
		if alone.ofHost(host) != a || alone.reached(host, "/x") != a {
			t.Errorf("%q: a single site takes all", host)
		}
	}
}

// TestSiteReached: the public_url decides whose the endpoints are, and else whose the host is.
func TestSiteReached(t *testing.T) {
	var a, b, c, d = &site{name: "a", host: "login.example"}, &site{name: "b", host: "login.example", prefix: "/b"},
		&site{name: "c", host: "localhost:81"}, &site{name: "d", host: "localhost:82"}
	all := &sites{main: a, all: []*site{a, b, c, d}, exact: map[string]*site{"wiki.example": b, "app.example": a}}
	for _, test := range []struct {
		host, prefix string
		want         *site
	}{
		{"login.example", "", a}, {"login.example", "/b", b}, {"login.example:443", "/b", b}, {"login.example", "/c", nil},
		{"localhost:81", "", c}, {"localhost:82", "", d}, {"localhost", "", nil}, {"localhost:83", "", nil},
		{"wiki.example", "/b", b}, {"wiki.example", "", nil}, {"app.example", "", a}, {"app.example", "/b", nil}, {"", "", nil}, {"other.example", "", nil},
	} {
		if got := all.reached(test.host, test.prefix); got != test.want {
			t.Errorf("%s%s: got %v, want %v", test.host, test.prefix, got, test.want)
		}
	}
}

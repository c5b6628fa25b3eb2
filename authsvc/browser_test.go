package authsvc

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestBrowserAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, test := range []struct {
		name, peer string
		forwarded  []string
		real       string
		want       string
	}{
		{"no gateway", "203.0.113.7:1234", nil, "", "203.0.113.7"},
		{"no gateway, and forged headers", "203.0.113.7:1234", []string{"192.0.2.1"}, "192.0.2.2", "203.0.113.7"},
		{"a gateway that tells nothing", "10.0.0.1:1", nil, "", ""},
		{"a gateway", "10.0.0.1:1", []string{"203.0.113.7"}, "", "203.0.113.7"},
		{"a gateway with X-Real-IP", "10.0.0.1:1", nil, "203.0.113.7", "203.0.113.7"},
		{"both", "10.0.0.1:1", []string{"203.0.113.7"}, "192.0.2.2", "203.0.113.7"},
		{"what the browser wrote stands first", "10.0.0.1:1", []string{"192.0.2.1, 203.0.113.7"}, "", "203.0.113.7"},
		{"in lines of its own", "10.0.0.1:1", []string{"192.0.2.1", "203.0.113.7"}, "", "203.0.113.7"},
		{"two gateways", "10.0.0.1:1", []string{"192.0.2.1, 203.0.113.7, 10.0.0.2"}, "", "203.0.113.7"},
		{"a browser inside", "10.0.0.1:1", []string{"10.1.2.3, 10.0.0.2"}, "", "10.1.2.3"},
		{"with its port", "10.0.0.1:1", []string{"203.0.113.7:4711"}, "", "203.0.113.7"},
		{"IPv6", "[fd00::1]:1", []string{"2001:db8::1"}, "", "2001:db8::1"},
		{"IPv6 in brackets", "10.0.0.1:1", []string{"[2001:db8::1]"}, "", "2001:db8::1"},
		{"IPv6 with its port", "10.0.0.1:1", []string{"[2001:db8::1]:4711"}, "", "2001:db8::1"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:203.0.113.7"}, "", "203.0.113.7"},
		{"a zone", "10.0.0.1:1", []string{"fe80::1%eth0"}, "", "fe80::1"},
		{"nonsense", "10.0.0.1:1", []string{"unknown"}, "", ""},
		{"nonsense before a gateway", "10.0.0.1:1", []string{"203.0.113.7, _hidden, 10.0.0.2"}, "", ""},
		{"an attack", "10.0.0.1:1", []string{"<script>"}, "", ""},
		{"many", "10.0.0.1:1", []string{"203.0.113.7" + strings.Repeat(", 10.0.0.2", 5000)}, "", ""},
		{"empty elements", "10.0.0.1:1", []string{"203.0.113.7, "}, "", "203.0.113.7"},
	} {
		r := httptest.NewRequest(http.MethodGet, "/callback", nil)
		r.RemoteAddr = test.peer
		for _, line := range test.forwarded {
			r.Header.Add("X-Forwarded-For", line)
		}
		if test.real != "" {
			r.Header.Set("X-Real-IP", test.real)
		}
		if got := addressText(browserAddress(trusted, r)); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/callback", nil)
	r.RemoteAddr = "@"
	r.Header.Set("X-Forwarded-For", "203.0.113.7")
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.UnixAddr{Net: "unix"}))
	if got := addressText(browserAddress(nil, r)); got != "203.0.113.7" {
		t.Errorf("by a unix socket: %q", got)
	}
}

func TestUserLabel(t *testing.T) {
	for _, test := range []struct {
		claims map[string]any
		want   string
	}{
		{map[string]any{"preferred_username": "jane", "email": "jane@example.com"}, "jane"},
		{map[string]any{"preferred_username": "", "email": "jane@example.com"}, "jane@example.com"},
		{map[string]any{"preferred_username": 7, "name": "Jane"}, ""},
		{nil, ""},
	} {
		if got := userLabel(test.claims); got != test.want {
			t.Errorf("%v: got %q, want %q", test.claims, got, test.want)
		}
	}
}

package e2e

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/text/unicode/norm"

	"authsvc/authsvc/idptest"
)

// rawApplication is an application that takes every request target as it comes, unlike net/http, and remembers it.
type rawApplication struct {
	net.Listener
	mu      sync.Mutex
	targets []string
}

func newRawApplication(t *testing.T) *rawApplication {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	a := &rawApplication{Listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { a.serve(conn) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return a
}

func (a *rawApplication) serve(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewScanner(conn)
	if !lines.Scan() {
		return
	}
	_, target, _ := strings.Cut(lines.Text(), " ")
	target, _, _ = strings.Cut(target, " HTTP/")
	for lines.Scan() && lines.Text() != "" {
	}
	a.mu.Lock()
	a.targets = append(a.targets, target)
	a.mu.Unlock()
	io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n") // an error means that the gateway has gone
}

// saw returns the targets since the last look.
func (a *rawApplication) saw() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	targets := a.targets
	a.targets = nil
	return targets
}

// pathRules let nobody whom the test knows into /protected, and everyone anywhere else.
const pathRules = `[{"name": "protected", "paths": ["/protected/**"], "groups": ["nobody"]}, {"name": "open", "allow": "public"}]`

// gatewayPaths sends paths that gateways, we and applications could read differently, byte by byte, through a gateway. Whatever comes to the application by
// the rule that lets everyone pass is read alike by all readers that we know of, and not by one of them as a protected path.
func gatewayPaths(t *testing.T, g gateway) {
	t.Helper()
	s := newStack(t, options{noReplica: true, provider: func(o *idptest.Options) {
		u, err := url.Parse(o.Clients[0].RedirectURIs[0])
		check(t, err)
		u.Path = "/oauth2" + u.Path
		o.Clients[0].RedirectURIs[0] = u.String()
	}})
	s.settings["public_url"], s.settings["rules"] = s.url+"/oauth2", pathRules
	app := newRawApplication(t)
	f := &fleet{stack: s, t: t, backend: newBackend(t)}
	g.start(t, s.site, s.addReplicas(2), app.Addr().String(), "?")

	for _, target := range []string{"/", "/public/a", "/public/%61?b=/protected", "/gr%C3%BC%C3%9Fe", "/100%25", "/protectedx", "/public/.well-known/a...b", "/a@b:c,d=e+f&g!"} {
		if a := f.send(s.site, "GET", target, nil, ""); a.status != http.StatusOK || len(app.saw()) != 1 {
			t.Errorf("%q does not pass: %d", target, a.status)
		}
	}
	for _, target := range []string{"/protected", "/protected/", "/protected/x", "/%70rotected/x", "/%70%72%6f%74ected", "/protected?x"} {
		if a := f.send(s.site, "GET", target, nil, ""); a.status != http.StatusUnauthorized || len(app.saw()) != 0 {
			t.Errorf("%q passes: %d", target, a.status)
		}
	}
	passed := 0
	for _, target := range pathCorpus() {
		a := f.send(s.site, "GET", target, nil, "")
		if a.status >= 300 && a.status != 400 && a.status != 401 && a.status != 403 && a.status != 404 && a.status != 421 {
			t.Errorf("%q: %d", target, a.status)
		}
		for _, seen := range app.saw() {
			passed++
			checkReadings(t, target, seen)
		}
	}
	t.Logf("%d of %d came to the application", passed, len(pathCorpus()))
}

// oddities are texts in a path that somebody reads differently.
var oddities = []string{
	"//", "///", "/./", "/../", "/.../", "/%2e/", "/%2E%2e/", "/.%2e/", "/%2e%2e%2f", "/..%2f", "/..%5c", "/..\\", "\\", "\\..\\", "%5c", "%5C..%5C", "%2f", "%2F%2F", "%2f..%2f",
	";", ";x=y", ";/", ";/../", "/..;/", "/..;x/", "/.;/", "%3b", "%3B/../", "#", "#/", "#/../", "%23", "%23/../", "%3f", "%3F/../", "?/../", "?", "??/",
	"%00", "%00/../", "\x00", "%0a", "%0d%0a", "%09", "%7f", "%20", "%20/../", "%252f", "%252e%252e%252f", "/%252e%252e/", "%25%32%66", "%255c", "%u002f", "%u2215", "/%u002e%u002e/",
	"/%c0%ae%c0%ae/", "%c0%af", "%c1%9c", "%e0%80%af", "%f0%80%80%af", "%ef%bc%8f", "%ef%bc%bc", "/%ef%bc%8e%ef%bc%8e/", "%e2%88%95", "%e2%81%84", "/%e2%80%a5/", "\xc0\xaf", "\xff", "%ff", "\xef\xbc\x8f",
	"%", "%2", "%zz", "%2g", "/%%2e%2e/", "/%2e%2e%00/", "/..%00/", "/.%00./", "/..%20/", "/.. /", "*", "@", "|", "^", "{}", "<>", "\"", "`", "[]", ":80/", "%c2%85", "%e2%80%ae",
}

// pathCorpus are paths with something in them that somebody reads differently.
func pathCorpus() (targets []string) {
	for _, odd := range oddities {
		targets = append(targets, around(odd)...)
	}
	return append(targets, "*", "", "protected", "http://127.0.0.1/protected/x", "http://protected/protected", "//protected/x", "/?/../protected", "/public/../protected", "/public/a/../../protected/x",
		"/"+strings.Repeat("a/../", 50)+"protected", "/"+strings.Repeat("%252e", 20)+"/protected")
}

// around are paths with an oddity in each place.
func around(odd string) []string {
	return []string{"/public" + odd + "protected/x", "/public" + odd + "../protected", "/a/b" + odd + "../../protected/x", odd + "protected/x", "/" + odd + "protected", "/protected" + odd, "/protected" + odd + "x", "/prot" + odd + "ected/x"}
}

// readers are what programs do with a path before they look at it.
var readers = map[string]func(string) string{
	"decodes":                   decodeLeniently,
	"cuts off a fragment":       func(p string) string { p, _, _ = strings.Cut(p, "#"); return p },
	"cuts off a query":          func(p string) string { p, _, _ = strings.Cut(p, "?"); return p },
	"ends at NUL":               func(p string) string { p, _, _ = strings.Cut(p, "\x00"); return p },
	"takes backslash for slash": func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
	"resolves dots":             func(p string) string { return path.Clean("/" + p) },
	"maps to compatible forms":  norm.NFKC.String,
	"maps by a code page":       strings.NewReplacer("\u2215", "/", "\u2044", "/", "\u2216", `\`).Replace,
	"takes overlong UTF-8":      strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`, "\xe0\x80\xaf", "/", "\xf0\x80\x80\xaf", "/").Replace,
	"leaves out control":        func(p string) string { return strings.Map(dropControl, p) },
	"drops parameters": func(p string) string {
		segments := strings.Split(p, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		return strings.Join(segments, "/")
	},
	"trims segments": func(p string) string {
		segments := strings.Split(p, "/")
		for i := range segments {
			segments[i] = strings.TrimRight(segments[i], " ")
		}
		return strings.Join(segments, "/")
	},
}

func dropControl(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// decodeLeniently decodes what is an escape, %uXXXX included, and leaves the rest.
func decodeLeniently(p string) string {
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		if p[i] == '%' && i+2 < len(p) {
			if text, err := url.PathUnescape(p[i : i+3]); err == nil {
				b.WriteString(text)
				i += 2
				continue
			}
			if i+5 < len(p) && (p[i+1] == 'u' || p[i+1] == 'U') {
				if text, err := url.PathUnescape("%" + p[i+2:i+4] + "%" + p[i+4:i+6]); err == nil {
					b.WriteRune(rune(text[0])<<8 | rune(text[1]))
					i += 5
					continue
				}
			}
		}
		b.WriteByte(p[i])
	}
	return b.String()
}

// checkReadings applies every reader to a path that came to the application, and to what they made of it, in any order.
func checkReadings(t *testing.T, sent, seen string) {
	t.Helper()
	plain, _, _ := strings.Cut(seen, "?") // which every reader takes for the end of the path
	readings := []string{plain}
	for i := 0; i < len(readings) && len(readings) < 500; i++ {
		for _, read := range readers {
			if next := read(readings[i]); !slices.Contains(readings, next) {
				readings = append(readings, next)
			}
		}
	}
	want := path.Clean(decodeLeniently(plain))
	for _, reading := range readings {
		clean := path.Clean("/" + reading)
		if clean == "/protected" || strings.HasPrefix(clean, "/protected/") {
			t.Errorf("%q came to the application as %q, and can be read as %q", sent, seen, reading)
			return
		}
		if again := path.Clean("/" + decodeLeniently(reading)); norm.NFKC.String(again) != norm.NFKC.String(want) {
			t.Errorf("%q came to the application as %q, which is read as %q and as %q", sent, seen, want, again)
		}
	}
}

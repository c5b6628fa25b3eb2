package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// findCheckedTwice finds protected locations where nginx starts over with another file. It forgets the verdict and asks again.
func findCheckedTwice(s *server, found report) {
	const (
		why = "nginx starts over with another address and asks for the verdict again: right, at twice the price"
		fix = "leave it if the load is small, or proxy_pass to a server that serves the files"
	)
	s.protected(func(l *location, _ *directive) {
		for _, d := range l.own("try_files") {
			directory := slices.ContainsFunc(d.args, func(arg string) bool { return strings.HasSuffix(arg, "/") && arg != "/" })
			fallback := s.target(d.last())
			if directory || strings.HasPrefix(d.last(), "/") || fallback != nil && auth(fallback.directive) != nil {
				found(d, Info, d.text()+" may check twice", why, fix)
			}
			return
		}
		if pass(l.directive) != nil || l.own("return") != nil || len(l.inner) > 0 || l.inherited("internal") != nil {
			return
		}
		files := l.inherited("root") != nil || l.inherited("alias") != nil
		if files && strings.HasSuffix(l.path, "/") && (l.modifier == "" || l.modifier == "^~") {
			at := l.directive
			if index := l.inherited("index"); index != nil && index[0].parent == l.directive {
				at = index[0]
			}
			found(at, Info, fmt.Sprintf("the index of location %s is checked twice", l.path), why, fix)
		}
	})
}

// findCookieRelay finds cookies of the check that are passed on to the browser, as other services need it.
func findCookieRelay(s *server, found report) {
	look := func(d *directive) bool {
		if d.name == "add_header" && strings.EqualFold(d.arg(0), "Set-Cookie") {
			if _, ok := anyOf(s.sources(d.arg(1)), fromVerdict+"upstream_http_set_cookie", fromVerdict+"upstream_cookie_*"); ok {
				found(d, Info, "cookies of the check are passed on",
					"authsvc never sends one there: the cookie of a session does not change",
					"remove it, with its auth_request_set, once no other service answers the check")
			}
		}
		return true
	}
	s.walk(look)
	for _, d := range s.inherited("add_header") {
		look(d)
	}
}

// findAddHeaderDrops finds blocks whose own add_header drops one against caching that the server around gives.
func findAddHeaderDrops(s *server, found report) {
	outer := s.inherited("add_header")
	s.walk(func(d *directive) bool {
		own := d.own("add_header")
		if own == nil || d.name != "location" && d.name != "if" {
			return true
		}
		for _, kept := range outer {
			name := kept.arg(0)
			if !strings.EqualFold(name, "Cache-Control") && !strings.EqualFold(name, "Set-Cookie") {
				continue
			}
			if !slices.ContainsFunc(own, func(o *directive) bool { return strings.EqualFold(o.arg(0), name) }) {
				found(own[0], Warning, "the server's "+kept.text()+" does not count here",
					"one add_header in a location drops all of the server's",
					"repeat it in this location")
			}
		}
		return true
	})
}

// findUpgradeUnfiltered finds protected locations that let any protocol take a connection over.
//
// With Upgrade: h2c an application that speaks HTTP/2 in the clear opens a tunnel in which later requests pass without a
// verdict (h2c smuggling).
func findUpgradeUnfiltered(s *server, found report) {
	for _, a := range s.applications() {
		upgrade, connection := a.headers["upgrade"], a.headers["connection"]
		if upgrade == nil || connection == nil || connection.last() == "" || strings.EqualFold(connection.last(), "close") {
			continue
		}
		for _, v := range variables(upgrade.last()) {
			if v == "http_upgrade" {
				found(upgrade, Warning, "any protocol may take the connection over",
					"with Upgrade: h2c the application may open a tunnel in which further requests pass without a verdict",
					`let WebSocket alone through: map $http_upgrade $ws { default ""; "~*^websocket$" websocket; }`)
			}
		}
	}
}

var webSocketPath = regexp.MustCompile(`(?i)(?:^|[/^])(?:ws|wss|websockets?|socket\.io|sockjs|cable|live/websocket)(?:[/$)]|$)`)

// findWebSocket finds protected locations that are called like a WebSocket's and cannot open one.
func findWebSocket(s *server, found report) {
	for _, a := range s.applications() {
		if a.by.name != "proxy_pass" || !webSocketPath.MatchString(a.path) {
			continue
		}
		var missing []string
		if version, _ := a.scope.setting("proxy_http_version", "1.0"); version == "1.0" {
			missing = append(missing, "proxy_http_version 1.1;")
		}
		if d := a.headers["upgrade"]; d == nil || d.last() == "" {
			missing = append(missing, "proxy_set_header Upgrade, from a map that lets websocket alone through;")
		}
		if d := a.headers["connection"]; d == nil || d.last() == "" {
			missing = append(missing, `proxy_set_header Connection upgrade;`)
		}
		if len(missing) > 0 {
			found(a.directive, Info, "location "+a.path+" cannot open a WebSocket",
				"nginx passes neither Upgrade nor Connection on by itself",
				"if it is one, add "+strings.Join(missing, " "))
		}
	}
}

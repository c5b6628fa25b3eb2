package authsvc

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// withRules starts a rig with these rules.
func withRules(t *testing.T, rules string) *rig {
	return newRig(t, 1, func(c *Config) { c.Rules = parseRules(t, rules) })
}

// askFor asks /auth about a request, as nginx does.
func (r *rig) askFor(method, address string, header http.Header) *verdictAnswer {
	r.t.Helper()
	full := http.Header{"X-Original-Method": {method}}
	if address != "" {
		full["X-Original-Url"] = []string{address}
	}
	maps.Copy(full, header)
	before := r.store.commands.Load()
	a := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, full)
	checkVerdict(r.t, a.Code, a.Header(), a.Body.Len())
	return &verdictAnswer{a.Code, a.Header(), r.store.commands.Load() - before}
}

// verdictAnswer is an answer of /auth, and how often the store was asked for it.
type verdictAnswer struct {
	status   int
	header   http.Header
	commands int64
}

const openAndClosed = `
- {name: open, paths: /open/**, allow: public}
- {name: home, paths: /home, allow: optional}
- {name: admins, paths: /admin/**, groups: admins}
- {name: staff, groups: staff}
`

// TestPublicAsksNobody passes everyone to a public path, without a look at cookie or store, and with every identity header empty.
func TestPublicAsksNobody(t *testing.T) {
	r := withRules(t, openAndClosed)
	alice := signedIn(r, "alice")
	r.store.down.Store(true)
	for name, header := range map[string]http.Header{"signed out": nil, "signed in": alice, "junk": {"Cookie": {"authsvc=junk"}}} {
		a := r.askFor("GET", "https://app.example.com/open/a?b", header)
		if a.status != http.StatusOK || a.commands != 0 {
			t.Errorf("%s: %d after %d questions to the store", name, a.status, a.commands)
		}
		for _, header := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Preferred-Username"} {
			if values := a.header[header]; len(values) != 1 || values[0] != "" {
				t.Errorf("%s: %s is %q: a forged one would come through", name, header, values)
			}
		}
	}
	if a := r.askFor("GET", "https://app.example.com/admin", alice); a.status != http.StatusServiceUnavailable {
		t.Errorf("elsewhere: %d", a.status)
	}
	if a := r.askFor("GET", "", alice); a.status != http.StatusServiceUnavailable {
		t.Errorf("an unknown request: %d", a.status)
	}
}

// TestOptional passes everyone, and tells who it is where there is a session. When nobody can tell whether there is one, unknown is not signed out.
func TestOptional(t *testing.T) {
	r := withRules(t, openAndClosed)
	alice := signedIn(r, "alice")
	ended := signedIn(r, "bob")
	if a := ask(r.replicas[0], http.MethodPost, "/logout", trustedPeer, ended); a.Code != http.StatusSeeOther {
		t.Fatalf("logout: %d", a.Code)
	}
	doubled := http.Header{"Cookie": {alice["Cookie"][0] + "; " + signedIn(r, "alice")["Cookie"][0]}}
	for _, test := range []struct {
		name   string
		header http.Header
		down   bool
		status int
		user   string
	}{
		{"signed in", alice, false, 200, "alice"},
		{"signed out", nil, false, 200, ""},
		{"junk", http.Header{"Cookie": {"authsvc=junk"}}, false, 200, ""},
		{"two sessions", doubled, false, 200, ""},
		{"session ended", ended, false, 200, ""},
		{"signed out, store down", nil, true, 200, ""},
		{"junk, store down", http.Header{"Cookie": {"authsvc=junk"}}, true, 200, ""},
		{"signed in, store down", alice, true, 503, ""},
	} {
		r.store.down.Store(test.down)
		a := r.askFor("GET", "https://app.example.com/home", test.header)
		if a.status != test.status || a.status == http.StatusOK && len(a.header["X-Auth-Request-User"]) != 1 || a.header.Get("X-Auth-Request-User") != test.user {
			t.Errorf("%s: %d, user %q", test.name, a.status, a.header["X-Auth-Request-User"])
		}
	}
}

// TestRulesAtTheService goes from what a gateway tells to the answer and its log line.
func TestRulesAtTheService(t *testing.T) {
	r := withRules(t, openAndClosed)
	alice, bob, carol := signedIn(r, "alice"), signedIn(r, "bob"), http.Header(nil)
	for _, test := range []struct {
		address           string
		alice, bob, carol int // who is signed out
		reason            string
	}{
		{"https://app.example.com/open", 200, 200, 200, ""},
		{"https://app.example.com/admin", 200, 403, 401, `"reason":"groups","rule":"admins"`},
		{"https://app.example.com/a", 200, 200, 401, ""},
		{"https://app.example.com/open/../admin", 403, 403, 401, `"reason":"path_refused"`},
		{"https://app.example.com/open//admin", 403, 403, 401, `"reason":"path_refused"`},
		{"", 403, 403, 401, `"reason":"request_unknown"`},
	} {
		for name, who := range map[string]struct {
			header http.Header
			want   int
		}{"alice": {alice, test.alice}, "bob": {bob, test.bob}, "carol": {carol, test.carol}} {
			if a := r.askFor("GET", test.address, who.header); a.status != who.want {
				t.Errorf("%q, %s: %d, want %d", test.address, name, a.status, who.want)
			}
		}
		if !strings.Contains(r.log.String(), test.reason) {
			t.Errorf("%q: no line in the log has %s", test.address, test.reason)
		}
	}
	if !strings.Contains(r.log.String(), `"passed_over":["open: paths","home: paths"]`) || !strings.Contains(r.log.String(), `"outcome":"allow","reason":"session","rule":"admins"`) {
		t.Error("the log does not tell, at debug, which rules were passed over and why, and why people pass")
	}
	for _, personal := range []string{"alice@", "bob@", "staff\"]"} {
		if strings.Contains(r.log.String(), personal) {
			t.Errorf("the log has %q", personal)
		}
	}
}

// TestCallbackAppliesRules gives a session only to those whom a rule could let in somewhere.
func TestCallbackAppliesRules(t *testing.T) {
	for name, test := range map[string]struct {
		rules      string
		alice, bob bool
	}{
		"a group":             {"[{paths: /open, allow: public}, {paths: /a, groups: admins}]", true, false},
		"one of two":          {"[{paths: /a, groups: admins}, {paths: /b, emails: bob@example.com}]", true, true},
		"optional":            {"[{paths: /a, groups: admins}, {paths: /b, allow: optional}]", true, true},
		"public alone":        {"[{paths: /a, allow: public}]", false, false},
		"an expression":       {`[{when: 'session.subject == "bob"'}]`, false, true},
		"of the request, too": {`[{when: 'session.subject == "bob" && request.path == "/x"'}]`, true, true},
		"a better login":      {"[{paths: /a, groups: admins, acr: gold, max_age: 1h}]", true, false},
	} {
		r := withRules(t, test.rules)
		for who, admitted := range map[string]bool{"alice": test.alice, "bob": test.bob} {
			r.visitor.Store(who)
			b := r.browser()
			a := b.open(b.toCallback())
			want := http.StatusFound
			if !admitted {
				want = http.StatusForbidden
			}
			if a.StatusCode != want || strings.Contains(strings.Join(a.Header["Set-Cookie"], "\n"), "authsvc=") != admitted {
				t.Errorf("%s, %s: %d, cookies %q", name, who, a.StatusCode, a.Header["Set-Cookie"])
			}
			if !admitted && !strings.Contains(a.body, "No access") {
				t.Errorf("%s, %s: no page that tells: %.200s", name, who, a.body)
			}
		}
	}
}

package pages

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var signedIn = time.Date(2026, 3, 29, 1, 30, 59, 0, time.FixedZone("", 2*3600))

func sessionsPage() Page {
	return Page{
		Kind: Sessions, Action: "/oauth2/sessions", End: "/oauth2/sessions", FormTargets: []string{"https://id.example/end"},
		Sessions: []Session{
			{ID: "one", Current: true, Browser: "Firefox", System: "Linux", Address: "2001:db8::1", SignedIn: signedIn, LastSeen: signedIn.Add(time.Hour), Ends: signedIn.Add(12 * time.Hour)},
			{ID: "two", UserAgent: "Thing/1.0", SignedIn: signedIn},
			{ID: "three"},
		},
	}
}

func TestSessionsInEveryLanguage(t *testing.T) {
	for _, c := range catalogues() {
		resp := get(t, "GET", c.lang, 200, sessionsPage())
		source := read(t, resp)
		wellFormed(t, source)
		e := elements(t, source)
		text1 := func(key string) string { return c.texts["sessions."+key] }
		named := strings.NewReplacer("{browser}", "Firefox", "{system}", "Linux").Replace(text1("browser"))
		var names []string
		for _, h := range e["h2"] {
			names = append(names, text(h))
		}
		if want := []string{named + " " + text1("this"), "Thing/1.0", text1("unknown")}; !slices.Equal(names, want) {
			t.Errorf("%s: %q, want %q", c.lang, names, want)
		}
		var times []string
		for _, at := range e["time"] {
			times = append(times, attribute(at, "datetime")+" "+text(at))
		}
		if want := []string{
			"2026-03-28T23:30:59Z 2026-03-28 23:30 UTC", "2026-03-29T00:30:59Z 2026-03-29 00:30 UTC", "2026-03-29T11:30:59Z 2026-03-29 11:30 UTC",
			"2026-03-28T23:30:59Z 2026-03-28 23:30 UTC",
		}; !slices.Equal(times, want) {
			t.Errorf("%s: %q", c.lang, times)
		}
		var labels []string
		for _, dt := range e["dt"] {
			labels = append(labels, text(dt))
		}
		if want := []string{text1("signed_in"), text1("last_seen"), text1("ends"), text1("address"), text1("signed_in")}; !slices.Equal(labels, want) {
			t.Errorf("%s: %q, want %q", c.lang, labels, want)
		}
		if len(e["button"]) != 4 || len(e["form"]) != 4 || len(e["script"]) != 0 {
			t.Fatalf("%s: %d buttons, %d forms", c.lang, len(e["button"]), len(e["form"]))
		}
		for i, want := range []struct{ name, value, label, describedBy string }{
			{"session", "one", text1("end"), "session-0"}, {"session", "two", text1("end"), "session-1"}, {"session", "three", text1("end"), "session-2"},
			{"others", "1", text1("button"), ""},
		} {
			form, input, button := e["form"][i], e["input"][i], e["button"][i]
			if attribute(form, "action") != "/oauth2/sessions" || attribute(form, "method") != "post" ||
				input.Parent != form || attribute(input, "name") != want.name || attribute(input, "value") != want.value || attribute(input, "type") != "hidden" ||
				button.Parent != form || text(button) != want.label || attribute(button, "aria-describedby") != want.describedBy {
				t.Errorf("%s: form %d is not %+v", c.lang, i, want)
			}
			if want.describedBy != "" && attribute(e["h2"][i], "id") != want.describedBy {
				t.Errorf("%s: no heading %s", c.lang, want.describedBy)
			}
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://id.example;") {
			t.Errorf("policy %q", csp)
		}
		if got := resp.Header.Get("Referrer-Policy"); got != "strict-origin" {
			t.Errorf("referrer policy %q", got)
		}
		if strings.Contains(source, text1("more")) {
			t.Errorf("%s: it says that there are more", c.lang)
		}
	}
}

func TestSessionsAlone(t *testing.T) {
	p := sessionsPage()
	p.Action, p.Sessions = "", p.Sessions[:1]
	e := elements(t, read(t, get(t, "GET", "en", 200, p)))
	if len(e["button"]) != 1 || len(e["li"]) != 1 {
		t.Errorf("%d buttons, %d lines", len(e["button"]), len(e["li"]))
	}
}

func TestSessionsAreBounded(t *testing.T) {
	p := sessionsPage()
	p.Sessions = nil
	for n := range 10 * MaxSessions {
		p.Sessions = append(p.Sessions, Session{ID: strconv.Itoa(n) + strings.Repeat("<", 1<<10), UserAgent: strings.Repeat(`"ä`, 1<<10), Address: strings.Repeat("&", 1<<10), SignedIn: signedIn})
	}
	source := read(t, get(t, "GET", "en", 200, p))
	if e := elements(t, source); len(e["li"]) != MaxSessions || len(source) > MaxSessions*4<<10 || !strings.Contains(source, catalogues()[0].texts["sessions.more"]) {
		t.Errorf("%d lines, %d bytes", len(e["li"]), len(source))
	}
}

// TestWhatBrowsersSayOfThemselvesIsOnlyText: the user agent and what else a list shows of a login came from a stranger.
func TestWhatBrowsersSayOfThemselvesIsOnlyText(t *testing.T) {
	want := elements(t, read(t, get(t, "GET", "en", 200, sessionsPage())))
	for _, attack := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus=alert(1) autofocus='`, `</bdi></h2></li></ul><form action=//evil.example>`,
		"{{.Style}}", "{system}{browser}", "\x00<b>", "\xff\xfe<script>", `/"><script>alert(1)</script>`,
	} {
		for field, change := range map[string]func(*Page){
			"ID":        func(p *Page) { p.Sessions[1].ID = attack },
			"UserAgent": func(p *Page) { p.Sessions[1].UserAgent = attack },
			"Browser":   func(p *Page) { p.Sessions[0].Browser = attack },
			"System":    func(p *Page) { p.Sessions[0].System = attack },
			"Address":   func(p *Page) { p.Sessions[0].Address = attack },
			"End":       func(p *Page) { p.End = attack },
		} {
			p := sessionsPage()
			change(&p)
			source := read(t, get(t, "GET", "en", 200, p))
			wellFormed(t, source)
			for name, nodes := range elements(t, source) {
				if len(nodes) > len(want[name]) {
					t.Errorf("%s=%q: %d %s elements, without the attack %d", field, attack, len(nodes), name, len(want[name]))
				}
				for _, n := range nodes {
					for _, a := range n.Attr {
						if strings.HasPrefix(a.Key, "on") || a.Key == "autofocus" || strings.HasPrefix(a.Val, "javascript:") || a.Key == "action" && !strings.HasPrefix(a.Val, "/") {
							t.Errorf("%s=%q: attribute %s=%q", field, attack, a.Key, a.Val)
						}
					}
				}
			}
		}
	}
}

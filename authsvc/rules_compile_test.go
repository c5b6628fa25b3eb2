package authsvc

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
)

// TestUnreachableRules tells which rules are behind one that is about all that they are about.
func TestUnreachableRules(t *testing.T) {
	for rules, want := range map[string]string{ // the problems' places, a warning with a question mark
		"[{}, {}]":               "[1]",
		"[{name: a}, {name: b}]": "[1]?",
		"[{}, {paths: /a}]":      "[1]",
		"[{name: a}, {name: b, paths: /a}, {name: c, groups: x}]":                         "[1] [2]?",
		"[{groups: x}, {emails: a@example.com}]":                                          "[1]",
		"[{paths: /a}, {paths: /a}]":                                                      "[1]",
		"[{paths: /a}, {paths: [/a, /b]}]":                                                "",
		"[{paths: [/a, /b]}, {paths: /b}, {}]":                                            "[1]",
		"[{paths: /a/**}, {paths: /a}, {paths: /a/b/**}, {paths: /a/*/c}, {paths: /ab}]":  "[1] [2] [3]",
		"[{paths: /a/*}, {paths: /a/b}, {paths: /a/*.png}, {paths: /a/}, {paths: /a/**}]": "[1] [2]",
		"[{paths: /a/b*}, {paths: /a/bc}, {paths: /a/b*}]":                                "[2]",
		"[{paths: /*/b/**}, {paths: /a/b}, {paths: /a/c}]":                                "[1]",
		"[{paths: /**}, {paths: /}, {hosts: a.example.com}]":                              "[1]", // of the last nobody can tell: there are other paths than those that are looked at
		"[{methods: GET}, {methods: [GET, HEAD]}, {methods: HEAD}]":                       "[2]",
		"[{methods: GET, paths: /a}, {methods: GET}, {methods: GET, paths: /b}]":          "[2]",
		"[{hosts: '*.example.com'}, {hosts: a.example.com}, {hosts: '*.a.example.com'}, {hosts: example.com}, {hosts: [b.example.com, b.example.org]}]": "[1] [2]",
		"[{hosts: a.example.com}, {hosts: A.Example.COM, paths: /x}]":                                                                                   "[1]",
		"[{hosts: a.example.com, paths: /a}, {hosts: a.example.com}, {paths: /a}]":                                                                      "",
	} {
		_, problems := compileRules(parseRules(t, rules), nil)
		var got []string
		for _, p := range problems {
			place := p.place()
			if p.warning {
				place += "?"
			}
			if !strings.Contains(p.wrong, "is about all") {
				t.Errorf("%s: %s: %s", rules, place, p.wrong)
			}
			got = append(got, place)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v; want %s", rules, got, want)
		}
	}
}

// TestTooManyRules bounds them.
func TestTooManyRules(t *testing.T) {
	list := make([]Rule, maxRules+1)
	for i := range list {
		list[i].Paths = []string{"/" + strings.Repeat("a", i+1)}
	}
	if _, problems := compileRules(list[:maxRules], nil); len(problems) != 0 {
		t.Errorf("%v", problems)
	}
	if _, problems := compileRules(list, nil); len(problems) != 1 || problems[0].place() != "[1000]" {
		t.Errorf("%v", problems)
	}
}

// TestWhenLooks tells what an expression looks at, on which it depends whether a public rule may have it and what an unknown request gets.
func TestWhenLooks(t *testing.T) {
	for text, want := range map[string]string{
		`true`:                          "",
		`request.method == "GET"`:       "request",
		`request.path.startsWith("/a")`: "request path",
		`request.time < timestamp("2030-01-01T00:00:00Z")`:                                     "time",
		`session.subject == "a"`:                                                               "session",
		`session.created < timestamp("2030-01-01T00:00:00Z")`:                                  "time session",
		`has(claims.a) && claims.b.c == 1`:                                                     "session a b",
		`claims["x y"] == 1 || "z" in claims`:                                                  "session x y z",
		`["request"].exists(path, path == "request.path")`:                                     "",
		`session.groups.exists(g, g == request.path) && claims.level > 3 && claims.level < 99`: "request path session level",
	} {
		c, err := compileWhen(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var got []string
		for word, looks := range map[string]bool{"1request": c.looksAtRequest, "2path": c.looksAtPath, "3time": c.looksAtTime, "4session": c.looksAtSession} {
			if looks {
				got = append(got, word)
			}
		}
		slices.Sort(got)
		for i := range got {
			got[i] = got[i][1:]
		}
		if got := strings.Join(append(got, c.claims...), " "); got != want {
			t.Errorf("%s looks at %q; want %q", text, got, want)
		}
	}
}

// TestWhenCost denies what costs too much for the data that it meets, and soon.
func TestWhenCost(t *testing.T) {
	set := mustCompile(t, `[{when: 'claims.list.exists(x, x == "none")'}]`)
	list := make([]any, 1_000_000)
	for i := range list {
		list[i] = "some"
	}
	for size, want := range map[int]string{10: "when", 1000: "when", len(list): "when_error"} {
		s := &session.Session{Subject: "a", Claims: map[string]any{"list": list[:size]}}
		if d := decide(set.match(asked{}, false), s, narrowing{}, noon); d.Outcome != Deny || d.Reason != want {
			t.Errorf("%d elements: %v, %s", size, d.Outcome, d.Reason)
		}
	}
	for _, text := range []string{
		`claims.a.all(x, claims.a.all(y, claims.a.all(z, x + y == z)))`,
		strings.Repeat("(", 300) + "true" + strings.Repeat(")", 300),
		strings.Repeat(`request.path == "a" || `, 300) + "true",
		strings.Repeat("!", 5000) + "true",
	} {
		if _, err := compileWhen(text); err == nil {
			t.Errorf("%.40s… compiles", text)
		}
	}
}

// TestWhenIsShared evaluates one expression for many people at once: nobody gets another's verdict.
func TestWhenIsShared(t *testing.T) {
	set := mustCompile(t, `[{when: 'claims.name == session.subject && session.groups == [claims.name]'}]`)
	var asking sync.WaitGroup
	for i := range 8 {
		asking.Go(func() {
			name, other := strings.Repeat("a", i+1), strings.Repeat("b", i+1)
			right := &session.Session{Subject: name, Claims: map[string]any{"name": name, "groups": []any{name}}}
			wrong := &session.Session{Subject: name, Claims: map[string]any{"name": other, "groups": []any{name}}}
			for range 500 {
				if d := decide(set.match(asked{}, false), right, narrowing{}, noon); d.Outcome != Allow || d.open() != right {
					t.Errorf("%s: %s", name, d.Reason)
				}
				if d := decide(set.match(asked{}, false), wrong, narrowing{}, noon); d.Reason != "when" {
					t.Errorf("%s: %s", name, d.Reason)
				}
			}
		})
	}
	asking.Wait()
}

// FuzzWhen compiles any text: it has a verdict or an error with one line, and never a panic or a look at what it may not see.
func FuzzWhen(f *testing.F) {
	for _, seed := range []string{"true", "claims.a == 1", "request.path.matches('(a+)+$')", "session.groups.map(x, x).size() > 1", "[1,2].all(x, x > 0)", "request", "1/0 == 1", "claims.a.b.c.d", "{'a': 1}.a == 1", "dyn(1) == 'a'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := compileWhen(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n;") {
				t.Fatalf("%q: %q is not one line", text, err)
			}
			return
		}
		v := viewer{asker: asker{session: askers[1]}, groupsClaim: []string{"groups"}, now: noon}
		start := time.Now()
		if holds, err := c.holds(&request{path: "/a"}, &v); err != nil && holds {
			t.Fatalf("%q holds, and has an error: %v", text, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Fatalf("%q takes %v", text, took)
		}
	})
}

// TestReadmeRules compiles the rules that the README shows.
func TestReadmeRules(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```yaml\nrules:\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatal("the README has lost its rules")
	}
	if set := mustCompile(t, block); len(set.rules) != 5 || set.rules[2].demand.MaxAge != time.Hour || set.rules[3].when == nil {
		t.Errorf("%+v", set.rules)
	}
}

// TestWhenRemembers: what an expression said is remembered for no other request, session or expression than those it was said of.
func TestWhenRemembers(t *testing.T) {
	var conditions []*condition
	for _, text := range []string{
		"claims.level > 3", "claims.level < 3", `request.method == "GET"`, `request.host == "a.example"`, `request.scheme == "https"`, `request.path == "/a"`,
		`request.path == "/a" || claims.level > 3`, `request.time < session.expires`, "claims.absent > 3",
	} {
		c, err := compileWhen(text)
		if err != nil {
			t.Fatal(err)
		}
		conditions = append(conditions, c)
	}
	var viewers []viewer
	for _, level := range []int64{1, 5} {
		s := &session.Session{Subject: "alice", Expires: noon.Add(time.Hour), Claims: map[string]any{"level": level}}
		viewers = append(viewers, viewer{asker: asker{session: s}, known: &identity{}, now: noon})
	}
	var requests []request
	for i := range 16 {
		pick := func(bit int, a, b string) string { return []string{a, b}[i>>bit&1] }
		requests = append(requests, request{asked{Method: pick(0, "GET", "POST"), Scheme: pick(1, "https", "http")}, pick(2, "a.example", "b.example"), pick(3, "/a", "/b")})
	}
	random := rand.New(rand.NewPCG(1, 2))
	remembered := 0
	for range 5000 {
		c, v, q := conditions[random.IntN(len(conditions))], viewers[random.IntN(2)], &requests[random.IntN(len(requests))]
		v.now = noon.Add(time.Duration(random.IntN(2)) * 2 * time.Hour)
		if last := v.known.remember().held.Load(); last != nil && last.condition == c {
			remembered++
		}
		want, wantErr := c.holds(q, &v)
		if holds, err := v.holds(c, q); holds != want || (err == nil) != (wantErr == nil) {
			t.Fatalf("%+v: %v, %v; it is %v, %v", *q, holds, err, want, wantErr)
		}
	}
	if remembered == 0 {
		t.Error("nothing was remembered")
	}
}

package history

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return start.Add(time.Duration(seconds * float64(time.Second)))
}

// verdict is one that is sent at the second and answered 10 ms later.
func verdict(seconds float64, status int, identity string) Operation {
	return Operation{Kind: Verdict, Session: "ann#1", Person: "ann", Replica: "one", Due: at(seconds), Sent: at(seconds), Answered: at(seconds + .01), Status: status, Identity: identity}
}

func ask(seconds float64, status int) Operation { return verdict(seconds, status, "ann") }

func slow(seconds, took float64, status int) Operation {
	o := ask(seconds, status)
	o.Answered = at(seconds + took)
	return o
}

// silence is a verdict that is not answered within ten seconds.
func silence(seconds float64) Operation {
	o := slow(seconds, 10, 0)
	o.Failure = "deadline"
	return o
}

func login(seconds float64, status int) Operation {
	return Operation{Kind: Login, Session: "ann#1", Person: "ann", Replica: "one", Sent: at(seconds), Answered: at(seconds + .1), Status: status}
}

func logout(seconds float64, status int) Operation {
	return Operation{Kind: Logout, Session: "ann#1", Person: "ann", Replica: "one", Sent: at(seconds), Answered: at(seconds + .1), Status: status}
}

func byProvider(o Operation) Operation {
	o.Kind = ProviderLogout
	return o
}

var known = Operation{Kind: Known, Session: "ann#1", Person: "ann", Sent: start, Answered: start}

// Each history violates exactly one promise, or none.
func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		operations []Operation
		change     func(*Promises)
		violates   string // "": nothing
		says       string
	}{
		"a day's work":                            {operations: []Operation{login(0, 302), ask(1, 200), ask(2, 200), logout(3, 303), ask(5, 401)}},
		"nothing":                                 {},
		"let in before the bound of a logout":     {operations: []Operation{known, logout(3, 303), ask(3.5, 200)}},
		"let in though nobody began it":           {operations: []Operation{ask(2, 200)}, violates: CheckIdentity, says: "one let ann pass, whose session nobody began"},
		"let in though its login failed":          {operations: []Operation{login(11, 503), ask(12, 200)}, violates: CheckIdentity},
		"let in after the bound of a logout":      {operations: []Operation{known, logout(3, 303), ask(4.2, 200)}, violates: CheckOut, says: "one let ann pass 1.1s after the logout was acknowledged; the bound is 1s"},
		"sent before, answered after the bound":   {operations: []Operation{known, logout(3, 303), slow(4, .2, 200)}},
		"out by the provider":                     {operations: []Operation{known, byProvider(logout(3, 200)), ask(9, 200)}, violates: CheckOut},
		"out by the provider, and refused":        {operations: []Operation{known, byProvider(logout(3, 200)), ask(9, 401)}},
		"let in in the fault after a logout":      {operations: []Operation{known, logout(9, 303), ask(15, 200)}, violates: CheckOut},
		"a logout that was not acknowledged":      {operations: []Operation{known, logout(12, 503), ask(15, 200), ask(16, 401)}},
		"a second logout was acknowledged":        {operations: []Operation{known, logout(12, 503), logout(13, 303), ask(16, 200)}, violates: CheckOut},
		"refused while the logout runs":           {operations: []Operation{known, logout(3, 303), slow(2.99, .1, 401)}},
		"refused though alive":                    {operations: []Operation{login(0, 302), ask(1, 200), ask(2, 401)}, violates: CheckLost, says: "one answered 401 to ann, whose session lives"},
		"refused though alive before":             {operations: []Operation{known, ask(2, 401)}, violates: CheckLost},
		"forbidden though alive":                  {operations: []Operation{known, ask(2, 403)}, violates: CheckLost},
		"refused in the fault":                    {operations: []Operation{known, ask(15, 401)}, violates: CheckLost},
		"refused before the login was answered":   {operations: []Operation{login(0, 302), ask(.05, 401)}},
		"refused since the login failed":          {operations: []Operation{login(12, 503), ask(13, 401)}},
		"refused before the logout was sent":      {operations: []Operation{known, ask(2, 401), logout(3, 303)}, violates: CheckLost},
		"the store lost it":                       {operations: []Operation{known, ask(12, 401)}, change: lostByStore},
		"refused before the store lost it":        {operations: []Operation{known, ask(9, 401)}, change: lostByStore, violates: CheckLost},
		"let in though the store lost it":         {operations: []Operation{known, ask(14, 200)}, change: lostByStore, violates: CheckOut, says: "after the store had lost the session"},
		"let in from a cache for a moment":        {operations: []Operation{known, ask(11.5, 200)}, change: lostByStore},
		"waits for a refresh that is lost":        {operations: []Operation{known, slow(12, 2.2, 200)}, change: refreshLost},
		"waits longer":                            {operations: []Operation{known, slow(12, 2.3, 200)}, change: refreshLost, violates: CheckAnswer, says: "the bound is 2.25s"},
		"waits before the refresh was lost":       {operations: []Operation{known, slow(7, 2.2, 200)}, change: refreshLost, violates: CheckAnswer},
		"another's identity":                      {operations: []Operation{known, verdict(1, 200, "bob")}, violates: CheckIdentity, says: `one took ann for "bob"`},
		"nobody's identity":                       {operations: []Operation{known, verdict(1, 200, "")}, violates: CheckIdentity},
		"late":                                    {operations: []Operation{known, slow(1, .3, 200)}, violates: CheckAnswer, says: "one answered 200 after 300ms; the bound is 250ms"},
		"late in the fault":                       {operations: []Operation{known, slow(12, .3, 503)}, violates: CheckAnswer},
		"late while the machine is too busy":      {operations: []Operation{known, slow(31, .3, 200)}},
		"late since the replica is paused":        {operations: []Operation{known, slow(12, 5, 200)}, change: paused},
		"late long after the replica was paused":  {operations: []Operation{known, slow(22, .3, 200)}, change: paused, violates: CheckAnswer},
		"no answer of a paused replica":           {operations: []Operation{known, silence(12)}, change: paused},
		"no answer":                               {operations: []Operation{known, slowly(silence(12), .1)}, violates: CheckAnswer, says: "one did not answer: deadline"},
		"a redirect":                              {operations: []Operation{known, ask(1, 302)}, violates: CheckAnswer, says: "none of 200, 401, 403 and 503"},
		"503 in the fault":                        {operations: []Operation{known, ask(10, 503), ask(19.995, 503)}},
		"503 while it heals":                      {operations: []Operation{known, ask(20.9, 503)}},
		"503 before the fault":                    {operations: []Operation{known, ask(9.9, 503)}, violates: CheckHealthy, says: "while nothing was the matter"},
		"503 after it has healed":                 {operations: []Operation{known, ask(21.1, 503)}, violates: CheckHealthy, says: "1.1s after the fault's end; the bound is 1s"},
		"503 while the machine is too busy":       {operations: []Operation{known, ask(31, 503)}},
		"a login fails where logins may":          {operations: []Operation{login(12, 503)}, change: loginsMayFail},
		"503 where only logins may fail":          {operations: []Operation{known, ask(12, 503)}, change: loginsMayFail, violates: CheckHealthy, says: "in the fault, though only [login] may fail"},
		"a login fails after it has healed":       {operations: []Operation{login(22, 502)}, violates: CheckHealthy},
		"503 where the fault spares the session":  {operations: []Operation{known, ask(12, 503)}, change: spared, violates: CheckHealthy},
		"503 while it heals, of a spared session": {operations: []Operation{known, ask(20.5, 503)}, change: spared, violates: CheckHealthy},
		"503 where the fault spares another":      {operations: []Operation{known, ask(12, 503)}, change: sparesAnother},
		"503 of the replica whose fault it is":    {operations: []Operation{known, ask(12, 503)}, change: matterOf("one")},
		"503 where it is another's fault":         {operations: []Operation{known, ask(12, 503)}, change: matterOf("two"), violates: CheckHealthy},
		"a logout fails where it is another's":    {operations: []Operation{known, logout(12, 503)}, change: matterOf("two")},
		"a logout of a spared session fails":      {operations: []Operation{known, logout(12, 503)}, change: spared},
		"a logout fails after it has healed":      {operations: []Operation{known, logout(22, 503)}, violates: CheckHealthy},
		"a logout without an answer":              {operations: []Operation{known, logout(22, 0)}, violates: CheckHealthy},
	} {
		t.Run(name, func(t *testing.T) {
			p := Promises{Logout: time.Second, Answer: 250 * time.Millisecond, Heal: time.Second, Faults: []Fault{{Window: Window{at(10), at(20)}}}, Busy: []Window{{at(30), at(32)}}}
			if c.change != nil {
				c.change(&p)
			}
			// The order in which operations were recorded says nothing.
			slices.Reverse(c.operations)
			r := Check(c.operations, p)
			switch {
			case c.violates == "" && len(r.Violations) > 0:
				t.Errorf("it violates %v", r.Violations)
			case c.violates != "" && (len(r.Violations) != 1 || r.Violations[0].Check != c.violates):
				t.Errorf("it violates %v, want %s", r.Violations, c.violates)
			case c.violates != "" && !strings.Contains(r.Violations[0].Text, c.says):
				t.Errorf("it says %q, want %q", r.Violations[0].Text, c.says)
			}
		})
	}
}

func lostByStore(p *Promises) {
	p.Losses = map[string]Loss{"ann#1": {From: at(10), Gone: at(11)}}
}

func refreshLost(p *Promises) {
	p.Losses = map[string]Loss{"ann#1": {From: at(10), Wait: 2 * time.Second}}
}

func loginsMayFail(p *Promises) { p.Faults[0].Kinds = []Kind{Login} }

func spared(p *Promises) { p.Faults[0].Spared = map[string]bool{"ann#1": true} }

func sparesAnother(p *Promises) { p.Faults[0].Spared = map[string]bool{"bob#1": true} }

func matterOf(replica string) func(*Promises) {
	return func(p *Promises) { p.Faults[0].Replica = replica }
}

func paused(p *Promises) { p.Silent = map[string]bool{"one": true} }

func slowly(o Operation, took float64) Operation {
	o.Answered = o.Sent.Add(time.Duration(took * float64(time.Second)))
	return o
}

// Two sessions of one person are two.
func TestCheckKeepsSessionsApart(t *testing.T) {
	second := login(5, 302)
	second.Session = "ann#2"
	seen := ask(8, 200)
	seen.Session = "ann#2"
	p := Promises{Logout: time.Second, Answer: time.Second}
	if r := Check([]Operation{known, logout(1, 303), second, seen, ask(8, 401)}, p); len(r.Violations) > 0 {
		t.Errorf("signed in again, it violates %v", r.Violations)
	}
	seen.Status = 401
	if r := Check([]Operation{known, logout(1, 303), second, seen, ask(8, 401)}, p); len(r.Violations) != 1 || r.Lost != 1 {
		t.Errorf("the second session is lost, and it violates %v", r.Violations)
	}
}

func TestReport(t *testing.T) {
	late := ask(3, 200)
	late.Due = at(2.5)
	operations := []Operation{known, login(0, 302), ask(1, 200), ask(2, 200), late, ask(12, 503), ask(20.5, 503), logout(25, 303), logout(26, 400), ask(27, 401)}
	r := Check(operations, Promises{Logout: time.Second, Answer: time.Second, Heal: time.Second, Faults: []Fault{{Window: Window{at(10), at(20)}}}})
	want := Report{
		Verdicts: 6, Allowed: 3, Refused: 1, Unavailable: 2, Logins: 1, Logouts: 1, LogoutsFailed: 1,
		P50: 10 * time.Millisecond, P99: 510 * time.Millisecond, Max: 510 * time.Millisecond, Slowest: 10 * time.Millisecond, Healed: 500 * time.Millisecond,
	}
	if len(r.Violations) != 1 || r.Violations[0].Check != CheckHealthy {
		t.Errorf("a logout that fails for no reason violates %v", r.Violations)
	}
	r.Violations, r.Held = nil, nil
	if !reflect.DeepEqual(r, want) {
		t.Errorf("got  %+v\nwant %+v", r, want)
	}
}

// Many violations of one kind are few lines.
func TestViolationsAreFew(t *testing.T) {
	operations := []Operation{known}
	for i := range 100 {
		operations = append(operations, ask(float64(i), 401))
	}
	r := Check(operations, Promises{Answer: time.Second})
	if n := len(r.Violations); n != 3 {
		t.Fatalf("a hundred refusals are %d lines", n)
	}
	if text := r.Violations[2].String(); !strings.HasSuffix(text, "(and 97 more)") {
		t.Errorf("the last line is %q", text)
	}
	if r.Lost != 1 {
		t.Errorf("one session is %d lost ones", r.Lost)
	}
}

func TestLeftOver(t *testing.T) {
	before := Resources{PID: 1, Goroutines: 100, Files: 50, Memory: 100 << 20}
	for name, c := range map[string]struct {
		change func(*Resources)
		want   string
	}{
		"nothing":                  {func(*Resources) {}, ""},
		"a tenth and the slack":    {func(r *Resources) { r.Goroutines, r.Files, r.Memory = 122, 67, 134<<20 }, ""},
		"less":                     {func(r *Resources) { *r = Resources{PID: 1} }, ""},
		"goroutines":               {func(r *Resources) { r.Goroutines = 123 }, "123 goroutines, before 100"},
		"descriptors":              {func(r *Resources) { r.Files = 68 }, "68 open files, before 50"},
		"memory":                   {func(r *Resources) { r.Memory = 135 << 20 }, "135 MiB of memory, before 100"},
		"another process has more": {func(r *Resources) { *r = Resources{PID: 2, Goroutines: 1000} }, ""},
	} {
		after := before
		c.change(&after)
		if got := strings.Join(LeftOver(before, after, Resources{Goroutines: 12, Files: 12, Memory: 24 << 20}), "; "); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestCounted(t *testing.T) {
	operations := []Operation{ask(1, 503), ask(2, 503), ask(3, 200), slowly(silence(4), 1), login(5, 503)}
	other := ask(1, 503)
	other.Replica = "two"
	refused, unanswered := Unavailable(append(operations, other), "one")
	if refused != 2 || unanswered != 1 {
		t.Fatalf("%d refused, %d unanswered; want 2 and 1", refused, unanswered)
	}
	for growth, right := range map[int]bool{0: false, 1: false, 2: true, 3: true, 4: false} {
		if text := Counted("one", growth, refused, unanswered); (text == "") != right {
			t.Errorf("a growth of %d: %q", growth, text)
		}
	}
}

func TestErrors(t *testing.T) {
	operations := []Operation{login(1, 302), login(2, 503), logout(3, 500), byProvider(logout(4, 503)), ask(5, 503), login(6, 0), login(7, 400)}
	if n := Errors(operations); n != 3 {
		t.Errorf("%d errors, want those of a login and two logouts", n)
	}
}

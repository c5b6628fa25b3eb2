package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// advisory is what went wrong in a peer, and the test that would have caught it.
type advisory struct {
	ids  string // those of the publications, parted by spaces
	says string // what is tested, in a few words
	test func(*lab)
}

// advisories are all tables, by the tests that run them.
var advisories = map[string][]advisory{
	"TestSecurityContract":              contract,
	"TestSecurityAdvisoriesOAuth2Proxy": ofOAuth2Proxy,
	"TestSecurityAdvisoriesPeers":       ofPeers,
	"TestSecurityAdvisoriesOpenIDC":     ofOpenIDC,
	"TestSecurityAdvisoriesGateways":    ofGateways,
	"TestSecurityPeerBehaviours":        peerBehaviours,
	"TestSecurityNginx":                 ofNginx,
}

// lab is what the rows of one table share: each part is started by the first row that needs it.
type lab struct {
	*testing.T            // of the row under way
	table      *testing.T // of the table
	open       *fleet
	ruled      *fleet
	brief      *fleet
	gates      map[string]*fleet
}

// runAdvisories runs a table, a row a subtest.
func runAdvisories(t *testing.T) {
	l := &lab{T: t, table: t, gates: map[string]*fleet{}}
	for _, row := range advisories[t.Name()] {
		t.Run(strings.ReplaceAll(row.ids, " ", "_")+" "+row.says, func(t *testing.T) {
			l.lend(t)
			defer l.lend(l.table)
			row.test(l)
		})
	}
}

// lend gives everything that the rows share to a test, which it then fails.
func (l *lab) lend(t *testing.T) {
	l.T = t
	for _, f := range l.fleets() {
		f.t, f.stack.t = t, t
	}
}

func (l *lab) fleets() []*fleet {
	list := []*fleet{l.open, l.ruled, l.brief}
	for _, f := range l.gates {
		list = append(list, f)
	}
	return slices.DeleteFunc(list, func(f *fleet) bool { return f == nil })
}

// part returns one of the parts, which start makes for the whole table if it is not there.
func (l *lab) part(place **fleet, start func(t *testing.T) *fleet) *fleet {
	if *place == nil {
		*place = start(l.table)
		l.lend(l.T)
	}
	return *place
}

// newOpenFleet is two replicas behind nginx, and a backend that tells what comes through.
func newOpenFleet(t *testing.T, o options) *fleet {
	o.noReplica = true
	s := newStack(t, o)
	f := &fleet{stack: s, t: t, backend: newBackend(t)}
	s.app = &application{f.backend.Server}
	s.startReplicas(2)
	return f
}

// returnHosts are those of most vectors.
const returnHosts = "foo.bar,.bar.foo,port.bar:8080,.sub.port.bar:8080,anyport.bar:*,.sub.anyport.bar:*,www.whitelisteddomain.tld,*.wildcard.sub.port.bar:8080,*.wildcard.sub.anyport.bar:*,*.wildcard.bar,*.wildcard.proxy.foo.bar"

// anyone lets whoever is signed in pass; logins may end at other hosts.
func (l *lab) anyone() *fleet {
	return l.part(&l.open, func(t *testing.T) *fleet {
		return newOpenFleet(t, options{settings: map[string]string{"redirect.allowed_hosts": returnHosts, "log.level": "debug"}})
	})
}

// labRules have one of each kind, by host; the last ones are for who names them. alice is in the groups staff and team-alice, bob in staff and team-bob.
const labRules = `[
	{"name": "status", "hosts": ["public.example.com"], "paths": ["/api/*/status"], "allow": "public"},
	{"name": "public", "hosts": ["public.example.com"], "paths": ["/public/**"], "allow": "public"},
	{"name": "protected", "hosts": ["paths.example.com"], "paths": ["/protected/**"], "groups": ["nobody"]},
	{"name": "open", "hosts": ["paths.example.com"], "allow": "public"},
	{"name": "strict", "hosts": ["strict.example.com", "xn--bcher-kva.example.com"], "groups": ["nobody"]},
	{"name": "groups", "hosts": ["groups.example.com"], "groups": ["team-alice"]},
	{"name": "emails", "hosts": ["emails.example.com"], "emails": ["alice@example.com"]},
	{"name": "domains", "hosts": ["domains.example.com"], "email_domains": ["alice.example"]},
	{"name": "when", "hosts": ["when.example.com"], "when": "claims.sub == 'alice'"},
	{"name": "methods", "hosts": ["methods.example.org"], "methods": ["GET"]},
	{"name": "acr", "hosts": ["acr.example.com"], "acr": ["gold"]},
	{"name": "others", "hosts": ["*.example.com"], "allow": "public"},
	{"name": "page", "paths": ["/open/**"], "allow": "public"},
	{"name": "mine", "paths": ["/alice/**"], "groups": ["team-alice"]},
	{"name": "yours", "paths": ["/bob/**"], "groups": ["team-bob"]},
	{"name": "rest", "paths": ["/deep", "/page/**"]},
	{"name": "for-alice", "paths": ["/page/**", "/for-alice"], "groups": ["team-alice"]},
	{"name": "for-bob", "paths": ["/page/**", "/for-bob"], "groups": ["team-bob"]}
]`

// rules is a fleet with labRules.
func (l *lab) rules() *fleet {
	return l.part(&l.ruled, func(t *testing.T) *fleet {
		return newOpenFleet(t, options{settings: map[string]string{"rules": strings.Join(strings.Fields(labRules), " ")}})
	})
}

// gate is a fleet behind one of the gateways, without rules.
func (l *lab) gate(name string) *fleet {
	f := l.gates[name]
	l.part(&f, func(t *testing.T) *fleet {
		at := slices.IndexFunc(gateways, func(g gateway) bool { return g.name == name })
		return newFleet(t, gateways[at])
	})
	l.gates[name] = f
	l.lend(l.T)
	return f
}

// signedIn signs a person in and returns the session as a Cookie header's line.
func (f *fleet) signedInLine(person string) (v *visitor, line string) {
	f.t.Helper()
	v = f.visitor(person)
	v.signIn()
	return v, "Cookie: " + sessionCookie + "=" + v.cookie(sessionCookie)
}

// about are the headers by which nginx asks about an address.
func about(address string) []string {
	return []string{"X-Original-URL: " + address, "X-Original-Method: GET"}
}

// sure is send, and again for as long as the answer is 503, for the reason that walk tells. What is to be 503 is sent by itself.
func (f *fleet) sure(address, method, target string, header []string, body string) (a answered) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if a = f.send(address, method, target, header, body); a.status != http.StatusServiceUnavailable {
			break
		}
	}
	return a
}

// surely is sure for any way to ask.
func surely(t *testing.T, ask func() (reply, error)) (answer reply) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var err error
		answer, err = ask()
		check(t, err)
		if answer.status != http.StatusServiceUnavailable {
			break
		}
	}
	return answer
}

// judged is the verdict of a replica on a session cookie.
func (f *fleet) judged(r *replica, query, cookie string) reply {
	f.t.Helper()
	return surely(f.t, func() (reply, error) { return r.auth(query, http.Header{"Cookie": {sessionCookie + "=" + cookie}}) })
}

// refuses checks that no replica lets a session cookie pass.
func (f *fleet) refuses(cookie string) {
	f.t.Helper()
	for _, r := range f.replicas {
		if answer := f.judged(r, "", cookie); answer.status != http.StatusUnauthorized {
			f.t.Errorf("%s, want 401", answer)
		}
	}
}

// knows checks that every replica lets a session cookie pass, as this person's.
func (f *fleet) knows(person, cookie string) {
	f.t.Helper()
	for _, r := range f.replicas {
		if answer := f.judged(r, "", cookie); answer.status != http.StatusOK || answer.header.Get("X-Auth-Request-User") != person {
			f.t.Errorf("%s as %q, want %s", answer, answer.header.Get("X-Auth-Request-User"), person)
		}
	}
}

// ask asks the first replica for the verdict on an address, as nginx does.
func (f *fleet) ask(address string, lines ...string) answered {
	f.t.Helper()
	return f.sure(f.replicas[0].address, "GET", "/auth", append(about(address), lines...), "")
}

// nobody checks that a request passes nowhere: it has no verdict of 200, and the application has not seen it.
func (a answered) nobody(t *testing.T, what string) {
	t.Helper()
	if a.status >= 200 && a.status < 300 || len(a.seen) > 0 || a.header.Get("X-Auth-Request-User") != "" {
		t.Errorf("%s: %d, user %q; the application saw %d requests", what, a.status, a.header.Get("X-Auth-Request-User"), len(a.seen))
	}
}

// signedOut is nobody, and checks that it is 401 that says so, as nginx has to be told.
func (a answered) signedOut(t *testing.T, what string) {
	t.Helper()
	a.nobody(t, what)
	if a.status != http.StatusUnauthorized {
		t.Errorf("%s: %d, want 401", what, a.status)
	}
}

// tokenRequests is how often the provider was asked to redeem or to renew.
func (f *fleet) tokenRequests() int { return f.provider.Count(idptest.Token) }

// refusedLogin checks that a callback ended without a session, and without asking the provider.
func (f *fleet) refusedLogin(v *visitor, what string, answer reply, before int) {
	f.t.Helper()
	if answer.status < 400 || answer.status >= 500 || v.cookie(sessionCookie) != "" {
		f.t.Errorf("%s: %s, cookies %v", what, answer, v.cookies())
	}
	if n := f.tokenRequests() - before; n != 0 {
		f.t.Errorf("%s: the token endpoint was asked %d times", what, n)
	}
}

// callback opens a callback's address with these cookies alone.
func (f *fleet) callback(address string, cookies ...string) reply {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, address, nil)
	check(f.t, err)
	if len(cookies) > 0 {
		request.Header.Set("Cookie", strings.Join(cookies, "; "))
	}
	answer, err := exchange(direct, request)
	check(f.t, err)
	return answer
}

// TestSecurityRowsAreThere: each publication that we know of has exactly one row.
func TestSecurityRowsAreThere(t *testing.T) {
	for table, want := range advisoryIDs {
		var found []string
		for _, row := range advisories[table] {
			if row.test == nil || row.says == "" || strings.ContainsAny(row.ids+row.says, "/\t") {
				t.Errorf("%s: the row %q cannot be run by its name", table, row.ids)
			}
			found = append(found, strings.Fields(row.ids)...)
		}
		wanted := strings.Fields(want)
		slices.Sort(wanted)
		slices.Sort(found)
		if !slices.Equal(found, wanted) {
			missing := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { return slices.Contains(found, id) })
			t.Errorf("%s has %d ids, want %d; missing: %v", table, len(found), len(wanted), missing)
		}
	}
	if len(advisoryIDs) != len(advisories) {
		t.Errorf("%d tables, want %d", len(advisories), len(advisoryIDs))
	}
}

package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// requirement is one of those that a relying party has to meet: its number, and what its test is about.
type requirement struct {
	name string
	test func(*testing.T, *prover)
}

// requirements are all of them, by their top-level test.
var requirements = map[string][]requirement{
	"TestSecurityRequirementsLogin":   loginRequirements,
	"TestSecurityRequirementsTokens":  tokenRequirements,
	"TestSecurityRequirementsRefresh": refreshRequirements,
}

// TestSecurityRequirementsNamed: each of Q1 to Q27 has its test.
func TestSecurityRequirementsNamed(t *testing.T) {
	tests := map[string]int{}
	for _, list := range requirements {
		for _, r := range list {
			number, _, _ := strings.Cut(r.name, " ")
			tests[number]++
		}
	}
	for i := range 27 {
		number := fmt.Sprintf("Q%d", i+1)
		if tests[number] != 1 {
			t.Errorf("%s has %d tests", number, tests[number])
		}
		delete(tests, number)
	}
	if len(tests) > 0 {
		t.Errorf("tests of no requirement: %v", tests)
	}
}

// prover is a stack whose provider misbehaves towards one person after the other.
type prover struct {
	*stack
	people  int
	secrets []string  // that no log may tell
	others  *choices  // a stack with several providers, once it is needed
	forms   *formPost // a replica that is answered by forms, once it is needed
	failed  int       // refreshes that replicas have told of
}

// refreshCanary is everybody's refresh token where none is used.
const refreshCanary = "refresh-token-canary-9xQ4"

// newProver starts a stack in which a login never fails because Redis is late.
func newProver(t *testing.T, o options) *prover {
	t.Helper()
	if o.settings == nil {
		o.settings = map[string]string{}
	}
	o.settings["store.timeout"] = "2s"
	return &prover{stack: newStack(t, o), secrets: []string{clientSecret, refreshCanary, "eyJ", "@example.com"}}
}

// tellCanaries gives everybody the same refresh token, which tells where it goes.
func (p *prover) tellCanaries() {
	p.provider.EditTokenResponse(func(answer map[string]any) { answer["refresh_token"] = refreshCanary })
}

// prove holds the stack against a list of requirements, and the logs against all secrets that came up.
func (p *prover) prove(t *testing.T, list []requirement) {
	for _, r := range list {
		t.Run(r.name, func(t *testing.T) { r.test(t, p) })
	}
	p.logsTellNothing(t)
	if p.others != nil {
		p.others.logsTellNothing(t)
	}
}

func (p *prover) logsTellNothing(t *testing.T) {
	t.Helper()
	for _, r := range p.replicas {
		p.tellsNothing(t, "the log of "+r.address, r.log.String())
	}
}

func (p *prover) tellsNothing(t *testing.T, where, text string) {
	t.Helper()
	for _, secret := range p.secrets {
		if at := strings.Index(text, secret); secret != "" && at >= 0 {
			t.Errorf("%s tells %.16q: %.200q", where, secret, text[max(0, at-100):])
		}
	}
}

// newcomer is somebody whom the provider has not known before, and treats like this.
func (p *prover) newcomer(conduct idptest.Conduct) *visitor {
	p.people++
	name := fmt.Sprintf("person-%d", p.people)
	p.provider.SetPerson(person(name))
	p.provider.Treat(name, conduct)
	return p.visitor(name)
}

// attack is a login in which something is wrong, or only looks so.
type attack struct {
	name string
	// conduct is the provider's; tamper changes what the browser brings back from it.
	conduct idptest.Conduct
	tamper  func(callback url.Values)
	// want is the callback's status. With 302 the login ends well, signed in as that subject, or else as the person.
	want int
	as   string
	// spends says that the token endpoint is asked; a login that ends well asks it always.
	spends bool
	// bare says that the request is refused before the service reads it.
	bare bool
}

// refuses is an attack on the token endpoint's answer that is refused as a wrong answer of the provider.
func refuses(name string, conduct idptest.Conduct) attack {
	return attack{name: name, conduct: conduct, want: http.StatusBadGateway, spends: true}
}

// accepts is a login that looks odd, and ends well.
func accepts(name string, conduct idptest.Conduct) attack {
	return attack{name: name, conduct: conduct, want: http.StatusFound}
}

func (p *prover) try(t *testing.T, attacks []attack) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) { p.attempt(t, a) })
	}
}

// attempt makes the attack. Who is refused has no session and left none, has cost a code only if that was to be, and reads a page that can be
// reported and tells nothing; and signs in at the next try, if the provider is honest by then.
func (p *prover) attempt(t *testing.T, a attack) {
	v := p.newcomer(a.conduct)
	honest, err := v.toCallback("/landed")
	check(t, err)
	address, query := honest, queryOf(t, honest)
	p.secrets = append(p.secrets, query.Get("code"), v.cookie(loginCookie))
	if a.tamper != nil {
		a.tamper(query)
		address = p.url + "/callback?" + query.Encode()
	}
	records := p.records()
	p.provider.ForgetRequests()
	answer, err := v.send(http.MethodGet, address, nil)
	check(t, err)
	if answer.status != a.want {
		t.Errorf("the callback: %v; want %d", answer, a.want)
	}
	if a.want == http.StatusFound {
		p.landed(t, v, answer, a.as)
		if made := p.records() - records; made != 1 || p.provider.Count(idptest.Token) != 1 {
			t.Errorf("%d sessions, %d token requests; want one of each", made, p.provider.Count(idptest.Token))
		}
		return
	}
	p.refusedPage(t, v, answer, a.bare)
	spent := p.provider.Count(idptest.Token)
	if made := p.records() - records; made != 0 {
		t.Errorf("%d sessions", made)
	}
	if a.spends != (spent == 1) || spent > 1 {
		t.Errorf("%d token requests", spent)
	}
	// The person's own callback, at a provider that is honest now: a code that was spent is not spent again, but the login begins anew.
	p.provider.Treat(v.person, idptest.Conduct{})
	if a.spends {
		again, err := v.send(http.MethodGet, address, nil)
		check(t, err)
		if again.status != http.StatusFound || !strings.HasPrefix(again.next(), p.url+"/start?") || v.cookie(sessionCookie) != "" || p.provider.Count(idptest.Token) != spent {
			t.Errorf("the same callback again: %v, %d token requests", again, p.provider.Count(idptest.Token))
		}
	}
	answer, err = v.open(honest)
	check(t, err)
	if _, err := v.arrived(answer, "/landed"); err != nil {
		t.Errorf("the next try: %v", err)
	}
	p.secrets = append(p.secrets, v.cookie(sessionCookie))
}

// landed checks the answer that ends a login, and whom it signs in; "" for who sits at the browser.
func (p *prover) landed(t *testing.T, v *visitor, answer reply, as string) {
	t.Helper()
	if as == "" {
		as = v.person
	}
	cookie := v.cookie(sessionCookie)
	if answer.next() != "/landed" || cookie == "" {
		t.Fatalf("the login ended with %v", answer)
	}
	p.secrets = append(p.secrets, cookie)
	for _, r := range p.replicas {
		verdict, err := p.verdict(r, cookie)
		check(t, err)
		if user := verdict.header.Get("X-Auth-Request-User"); verdict.status != http.StatusOK || user != as {
			t.Errorf("replica %s says %d %q to %s", r.address, verdict.status, user, as)
		}
	}
}

// verdict asks a replica whether a session may see /landed, and again if Redis was late.
func (p *prover) verdict(r *replica, cookie string) (answer reply, err error) {
	header := http.Header{"Cookie": {sessionCookie + "=" + cookie}, "X-Original-Url": {p.url + "/landed"}, "X-Original-Method": {http.MethodGet}}
	for range 1 + retries {
		if answer, err = r.auth("", header); err != nil || answer.status != http.StatusServiceUnavailable {
			break
		}
	}
	return answer, err
}

// refusedPage checks what somebody reads whose login is refused.
func (p *prover) refusedPage(t *testing.T, v *visitor, answer reply, bare bool) {
	t.Helper()
	if slices.ContainsFunc(answer.cookies(), func(c *http.Cookie) bool { return c.Name == sessionCookie && c.MaxAge >= 0 }) || v.cookie(sessionCookie) != "" {
		t.Errorf("a refusal with a session cookie: %v", answer)
	}
	if location := answer.next(); location != "" && !strings.HasPrefix(location, p.url+"/start?") {
		t.Errorf("a refusal that leads to %s", location)
	}
	p.tellsNothing(t, "the page", answer.body)
	if bare || answer.status < 400 {
		return
	}
	if id := answer.header.Get("X-Request-Id"); id == "" || !strings.Contains(answer.body, id) {
		t.Errorf("the page does not tell its request's name %q: %v", id, answer)
	}
	h := answer.header
	if h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" && h.Get("Referrer-Policy") != "same-origin" ||
		!strings.Contains(h.Get("Content-Security-Policy"), "default-src 'none'") || strings.Contains(answer.body, "<script") {
		t.Errorf("the page and its headers: %v", h)
	}
}

// idToken is the conduct that changes the claims of the ID token.
func idToken(change func(claims map[string]any)) idptest.Conduct {
	return idptest.Conduct{IDToken: func(_, claims map[string]any) { change(claims) }}
}

// claim is the conduct that sets a claim of the ID token; nil leaves it out.
func claim(name string, value any) idptest.Conduct {
	return idToken(func(claims map[string]any) { setOrDelete(claims, name, value) })
}

func setOrDelete(fields map[string]any, name string, value any) {
	if fields[name] = value; value == nil {
		delete(fields, name)
	}
}

// answers is the conduct that answers in an endpoint's place.
func answers(endpoint idptest.Endpoint, interceptor idptest.Interceptor) idptest.Conduct {
	return idptest.Conduct{Answers: map[idptest.Endpoint]idptest.Interceptor{endpoint: interceptor}}
}

// choices is a prover whose people choose among several providers.
type choices struct {
	*prover
	at map[string]*idptest.Provider
}

// begin begins a login at one of the providers and returns its callback's address without opening it.
func (c *choices) begin(t *testing.T, v *visitor, provider string) string {
	t.Helper()
	answer, err := v.send(http.MethodGet, "/start?provider="+provider+"&rd=%2Flanded", nil)
	check(t, err)
	if answer, err = v.send(http.MethodGet, answer.next(), http.Header{personHeader: {v.person}}); err != nil || !strings.HasPrefix(answer.next(), c.url+"/callback/"+provider+"?") {
		t.Fatalf("the login at %s did not come to its callback: %v, %v", provider, answer, err)
	}
	return answer.next()
}

// finish brings a callback and checks that the login ends with this status.
func (c *choices) finish(t *testing.T, v *visitor, address string, want int) {
	t.Helper()
	records := c.records()
	answer, err := v.send(http.MethodGet, address, nil)
	check(t, err)
	if answer.status != want {
		t.Fatalf("the callback: %v; want %d", answer, want)
	}
	if want == http.StatusFound {
		c.landed(t, v, answer, "")
	} else if c.refusedPage(t, v, answer, false); c.records() != records {
		t.Error("a refused login left a session")
	}
}

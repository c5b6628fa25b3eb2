package e2e

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http/httpguts"

	"authsvc/authsvc/idptest"
)

// errCannotCome says that an entry point cannot be given this address: no request holds it there.
var errCannotCome = errors.New("no request carries it")

// TestSecurityReturnAddresses holds every entry point by which somebody may say where a browser goes on against every vector: the Location as it is
// sent, the pages' buttons, and at last what a real browser makes of each address that was sent.
func TestSecurityReturnAddresses(t *testing.T) {
	g := newReturnRig(t)
	for _, entry := range []struct {
		name string
		try  func(*returnRig, returnVector) error
		all  bool // of the vectors can come
	}{
		{"start", (*returnRig).byStart, true},
		{"a header of a trusted proxy", (*returnRig).byProxyHeader, false},
		{"a form that is posted to start", (*returnRig).byForm, true},
		{"forward", (*returnRig).byForward, false},
		{"auth, X-Original-URL", (*returnRig).byOriginalURL, false},
		{"auth, X-Original-URI", (*returnRig).byOriginalURI, false},
		{"envoy", (*returnRig).byEnvoy, false},
		{"logout takes no address", (*returnRig).byLogout, true},
		{"sessions take no address", (*returnRig).bySessions, true},
		{"state", (*returnRig).byState, true},
		{"the button of an error page", (*returnRig).byErrorPage, true},
		{"a login that begins again", (*returnRig).byRestart, true},
		{"a callback at a replica that allows less", (*returnRig).byNarrowReplica, true},
		{"the page to choose a provider", (*returnRig).byChoice, true},
	} {
		t.Run(entry.name, func(t *testing.T) {
			var came atomic.Int32
			check(t, together(len(g.vectors), 8, func(i int) error {
				v := g.vectors[i]
				if v.replica == nil {
					return nil // nobody serves this list
				}
				err := entry.try(g, v)
				if errors.Is(err, errCannotCome) && !entry.all {
					return nil
				}
				came.Add(1)
				if err != nil {
					return fmt.Errorf("row %d, %q with the hosts %q: %w", v.row, v.raw, v.hosts, err)
				}
				return nil
			}))
			if n := came.Load(); n < 150 {
				t.Errorf("only %d vectors could be tried", n)
			}
			t.Logf("%d vectors", came.Load())
		})
	}
	t.Run("every byte of state counts", func(t *testing.T) { g.everyByteOfState(t) })
	for _, request := range g.provider.Requests(idptest.Token) {
		if request.Form.Get("code") == forgedCode {
			t.Error("a code that came with a forged state was sent to the provider")
		}
	}
	t.Run("logout of a session", func(t *testing.T) { g.logoutOfSessions(t) })
	t.Run("Chromium", func(t *testing.T) { g.inChromium(t) })
}

// byStart is /start?rd=, through the whole login.
func (g *returnRig) byStart(v returnVector) error { return g.starting(v, "?rd="+v.encoded, nil) }

// starting begins a login by a request that names the vector, and finishes it.
func (g *returnRig) starting(v returnVector, query string, header http.Header) error {
	if !v.allow && v.raw != "" {
		answer, err := g.get(v.replica, "/oauth2/start"+query, header)
		if err != nil {
			return err
		}
		return leadsNowhere(answer, http.StatusBadRequest, startAt(""))
	}
	a, err := g.begin(v.replica, "/oauth2/start"+query, header)
	if err != nil {
		return err
	}
	want := asSent(v.raw)
	if v.raw == "" {
		want = "/"
	}
	g.leads(v, want, "a login")
	return g.endsAt(v.replica, a, want)
}

// byProxyHeader is X-Auth-Request-Redirect. The peer is on the loopback interface, and so trusted.
func (g *returnRig) byProxyHeader(v returnVector) error {
	if !httpguts.ValidHeaderFieldValue(v.raw) || strings.Trim(v.raw, " \t") != v.raw {
		return errCannotCome
	}
	return g.starting(v, "", http.Header{"X-Auth-Request-Redirect": {v.raw}})
}

// byForm posts the address to /start, which takes no form.
func (g *returnRig) byForm(v returnVector) error {
	answer, err := g.ask(v.replica, http.MethodPost, gate, "/oauth2/start", nil, url.Values{"rd": {v.raw}})
	if err != nil {
		return err
	}
	return leadsNowhere(answer, http.StatusMethodNotAllowed, "/")
}

// askedAbout reads a vector as what a browser asked a gateway for, as naively as possible. ok is false for what is no address of the web.
func (v returnVector) askedAbout() (scheme, host, uri string, ok bool) {
	if v.isPath() {
		return "http", gate, v.raw, true
	}
	scheme, rest, _ := strings.Cut(v.raw, "://")
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		return "", "", "", false
	}
	end := strings.IndexAny(rest+"/", "/?#")
	if host, uri = rest[:end], rest[end:]; !strings.HasPrefix(uri, "/") {
		uri = "/" + uri
	}
	return scheme, host, uri, true
}

// loginURL is that of a 401 or 302 to somebody who asked for an address: with it if it is allowed, else without any.
func (g *returnRig) loginURL(v returnVector, got string) error {
	want := startAt("")
	if v.allow {
		scheme, host, uri, _ := v.askedAbout()
		host = strings.TrimSuffix(strings.ToLower(host), map[string]string{"http": ":80", "https": ":443"}[scheme])
		address := scheme + "://" + host + uri
		want = startAt(address)
		g.leads(v, asSent(address), "a gateway")
	}
	if got != want {
		return fmt.Errorf("the login is at %q, want %q", got, want)
	}
	return nil
}

// pageLoad is what a browser sends that goes to an address.
func pageLoad(header http.Header) http.Header {
	header.Set("Sec-Fetch-Mode", "navigate")
	return header
}

func (g *returnRig) byForward(v returnVector) error {
	scheme, host, uri, ok := v.askedAbout()
	if !ok {
		scheme, host, uri = "http", gate, v.raw
	}
	if !httpguts.ValidHeaderFieldValue(host+uri) || strings.Trim(uri, " \t") != uri {
		return errCannotCome
	}
	answer, err := g.get(v.replica, "/oauth2/forward", pageLoad(http.Header{
		"X-Forwarded-Proto": {scheme}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri}, "X-Forwarded-Method": {"GET"},
		"X-Auth-Request-Redirect": {"https://evil.example/"}, // which is of /start
	}))
	if err != nil {
		return err
	}
	if answer.status != http.StatusFound {
		return fmt.Errorf("%v", answer)
	}
	return g.loginURL(v, answer.header.Get("Location"))
}

// byAuth asks for a verdict with these headers.
func (g *returnRig) byAuth(v returnVector, header http.Header) error {
	for _, values := range header {
		if !httpguts.ValidHeaderFieldValue(values[0]) || strings.Trim(values[0], " \t") != values[0] {
			return errCannotCome
		}
	}
	answer, err := g.get(v.replica, "/oauth2/auth", header)
	if err != nil {
		return err
	}
	if answer.status != http.StatusUnauthorized || answer.next() != "" {
		return fmt.Errorf("%v", answer)
	}
	return g.loginURL(v, answer.header.Get("X-Auth-Login-Url"))
}

func (g *returnRig) byOriginalURL(v returnVector) error {
	address := v.raw
	if scheme, host, uri, ok := v.askedAbout(); ok && v.allow || v.isPath() {
		address = scheme + "://" + host + uri
	}
	return g.byAuth(v, http.Header{"X-Original-Url": {address}, "X-Original-Method": {"GET"}})
}

func (g *returnRig) byOriginalURI(v returnVector) error {
	if !v.isPath() && v.allow {
		return errCannotCome
	}
	return g.byAuth(v, http.Header{"X-Original-Uri": {v.raw}, "X-Forwarded-Proto": {"http"}, "X-Original-Method": {"GET"}})
}

// byEnvoy has the address in the request line, and its host in the Host header.
func (g *returnRig) byEnvoy(v returnVector) error {
	scheme, host, uri, ok := v.askedAbout()
	if !ok || !httpguts.ValidHostHeader(host) || strings.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return errCannotCome
	}
	answer, err := g.ask(v.replica, http.MethodGet, host, "/oauth2/envoy"+uri, pageLoad(http.Header{"X-Forwarded-Proto": {scheme}}), nil)
	if err != nil {
		return errCannotCome // a host that our own client does not send
	}
	if !v.allow && answer.status == http.StatusBadRequest && answer.next() == "" {
		return nil // no request that HTTP knows
	}
	if answer.status != http.StatusFound {
		return fmt.Errorf("%v", answer)
	}
	return g.loginURL(v, answer.header.Get("Location"))
}

// addressParameters are what other programs call the address to which a logout leads.
var addressParameters = []string{
	"rd", "redirect", "redirect_uri", "redirect_url", "post_logout_redirect_uri", "returnTo", "return_to", "return", "next", "url", "target", "continue", "logout", "state",
}

// withAddress is a query and a form that name an address in every way.
func withAddress(v returnVector) (query string, form url.Values) {
	form = url.Values{}
	for _, name := range addressParameters {
		query += "&" + name + "=" + v.encoded
		form.Set(name, v.raw)
	}
	return "?" + query[1:], form
}

func (g *returnRig) byLogout(v returnVector) error {
	query, form := withAddress(v)
	header := http.Header{"Sec-Fetch-Site": {"same-origin"}, "X-Auth-Request-Redirect": {"https://evil.example/"}, "Referer": {"https://evil.example/"}}
	for _, path := range []string{"/oauth2/logout", "/oauth2/sign_out"} {
		answer, err := g.ask(v.replica, http.MethodPost, gate, path+query, header, form)
		if err != nil {
			return err
		}
		if got := answer.header["Location"]; answer.status != http.StatusSeeOther || len(got) != 1 || got[0] != gateURL+"/signed_out" {
			return fmt.Errorf("logout leads to %q, %d", got, answer.status)
		}
	}
	for path, way := range map[string]string{"/oauth2/logout": "/oauth2/logout", "/oauth2/signed_out": startAt("")} {
		page, err := g.get(v.replica, path+query, header)
		if err == nil {
			err = leadsNowhere(page, http.StatusOK, way)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// bySessions asks for the person's sessions, which lead to the login and back to themselves.
func (g *returnRig) bySessions(v returnVector) error {
	query, form := withAddress(v)
	for method, status := range map[string]int{http.MethodGet: http.StatusFound, http.MethodPost: http.StatusSeeOther} {
		answer, err := g.ask(v.replica, method, gate, "/oauth2/sessions"+query, http.Header{"Sec-Fetch-Site": {"same-origin"}}, form)
		if err != nil {
			return err
		}
		if got := answer.header.Get("Location"); answer.status != status || got != startAt(gateURL+"/sessions") {
			return fmt.Errorf("%s leads to %q, %d", method, got, answer.status)
		}
	}
	return nil
}

// forgedCode comes with states that are no good, and is not to be seen by the provider.
const forgedCode = "forged-code"

// byState puts the address in the place of a state, behind one, before one, and beside one.
func (g *returnRig) byState(v returnVector) error {
	a, err := g.begin(v.replica, "/oauth2/start?rd=%2Fown", nil)
	if err != nil {
		return err
	}
	for _, state := range []string{
		v.encoded, base64.RawURLEncoding.EncodeToString([]byte(v.raw)), a.state + v.encoded, a.state + ":" + v.encoded, v.encoded + a.state,
	} {
		if state == a.state {
			continue // the vector is empty
		}
		answer, err := g.get(v.replica, "/oauth2/callback?code="+forgedCode+"&rd="+v.encoded+"&state="+state, a.cookie)
		if err == nil {
			err = leadsNowhere(answer, http.StatusBadRequest, startAt(""))
		}
		if err != nil {
			return fmt.Errorf("state %q: %w", state, err)
		}
	}
	// Without the login cookie the login begins again, with what state holds.
	answer, err := g.get(v.replica, "/oauth2/callback?rd="+v.encoded+"&redirect_uri="+v.encoded+"&code="+forgedCode+"&state="+a.state, nil)
	if err != nil {
		return err
	}
	if got := answer.header.Get("Location"); !strings.HasPrefix(got, startAt("/own")+"&restart=") {
		return fmt.Errorf("beside a good state: %v", answer)
	}
	return nil
}

// refusedAt is the page of a login that the provider has refused.
func (g *returnRig) refusedAt(r *replica, a attemptAt) (reply, error) {
	query := url.Values{"error": {"access_denied"}, "state": {a.state}, "iss": {g.provider.Issuer()}}
	return g.get(r, "/oauth2/callback?"+query.Encode(), a.cookie)
}

// byErrorPage has the provider refuse: the button leads to a login with the address.
func (g *returnRig) byErrorPage(v returnVector) error {
	own := "/own"
	if v.allow {
		own = v.raw
	}
	a, err := g.begin(v.replica, "/oauth2/start?rd="+url.QueryEscape(own)+"&rd="+v.encoded, nil)
	if err != nil {
		return err
	}
	page, err := g.refusedAt(v.replica, a)
	if err != nil {
		return err
	}
	if ways := waysOn(page.body); !slices.Contains(ways, startAt(own)) {
		return fmt.Errorf("the page leads to %q", ways)
	}
	return leadsNowhere(page, http.StatusForbidden, startAt(own))
}

// byRestart has the login cookie missing at the callback: the login begins again, and ends at the address. What a restart has sealed opens no
// other address.
func (g *returnRig) byRestart(v returnVector) error {
	own := "/own"
	if v.allow {
		own = v.raw
	}
	a, err := g.begin(v.replica, "/oauth2/start?rd="+url.QueryEscape(own), nil)
	if err != nil {
		return err
	}
	answer, err := g.get(v.replica, "/oauth2/callback?code="+forgedCode+"&state="+a.state, nil)
	if err != nil {
		return err
	}
	sealed, again := strings.CutPrefix(answer.header.Get("Location"), startAt(own)+"&restart=")
	if answer.status != http.StatusFound || !again {
		return fmt.Errorf("without the login cookie: %v", answer)
	}
	return g.starting(v, "?rd="+v.encoded+"&restart="+sealed, nil)
}

// byNarrowReplica begins a login at a replica that allows the address, and goes on at one that allows its own host alone.
func (g *returnRig) byNarrowReplica(v returnVector) error {
	if !v.allow {
		answer, err := g.get(g.narrow, "/oauth2/start?rd="+v.encoded, nil)
		if err != nil || v.raw == "" {
			return err
		}
		return leadsNowhere(answer, http.StatusBadRequest, startAt(""))
	}
	ends, button := "/", startAt("")
	if v.isPath() {
		ends, button = asSent(v.raw), startAt(v.raw)
	}
	a, err := g.begin(v.replica, "/oauth2/start?rd="+v.encoded, nil)
	if err != nil {
		return err
	}
	page, err := g.refusedAt(g.narrow, a)
	if err == nil {
		err = leadsNowhere(page, http.StatusForbidden, button)
	}
	if err != nil {
		return err
	}
	restarted, err := g.get(g.narrow, "/oauth2/callback?code="+forgedCode+"&state="+a.state, nil)
	if err != nil {
		return err
	}
	if before, _, found := strings.Cut(restarted.header.Get("Location"), "restart="); !found || before[:len(before)-1] != button {
		return fmt.Errorf("without the login cookie: %v", restarted)
	}
	return g.endsAt(g.narrow, a, ends)
}

// byChoice shows the providers, whose links name the address, and lead to a login that ends there.
func (g *returnRig) byChoice(v returnVector) error {
	host := g.sites[v.hosts]
	get := func(target string) (reply, error) { return g.ask(g.chooser, http.MethodGet, host, target, nil, nil) }
	page, err := get("/oauth2/start?rd=" + v.encoded)
	if err != nil {
		return err
	}
	at := "http://" + host + "/oauth2/start"
	if !v.allow && v.raw != "" {
		return leadsNowhere(page, http.StatusBadRequest, at)
	}
	destination := v.raw
	if v.raw == "" {
		destination = "/"
	}
	links := []string{at + "?provider=one&rd=" + url.QueryEscape(destination), at + "?provider=two&rd=" + url.QueryEscape(destination)}
	if err := leadsNowhere(page, http.StatusOK, links...); err != nil {
		return err
	}
	if ways := waysOn(page.body); !slices.Equal(ways, links) {
		return fmt.Errorf("the page has the links %q", ways)
	}
	start, err := get(strings.TrimPrefix(links[0], "http://"+host))
	if err != nil {
		return err
	}
	u, err := url.Parse(start.header.Get("Location"))
	if err != nil || start.status != http.StatusFound {
		return fmt.Errorf("%v, %w", start, err)
	}
	// Without its cookie the login begins again, by an address that tells where it will end.
	again, err := get("/oauth2/callback/one?code=c&state=" + u.Query().Get("state"))
	if err != nil {
		return err
	}
	if want := at + "?rd=" + url.QueryEscape(destination) + "&restart="; again.status != http.StatusFound || !strings.HasPrefix(again.header.Get("Location"), want) {
		return fmt.Errorf("the login leads to %v", again)
	}
	return nil
}

// everyByteOfState changes a state at each place in turn: none of what is left is taken, and nothing is asked of the provider.
func (g *returnRig) everyByteOfState(t *testing.T) {
	a, err := g.begin(g.widest, "/oauth2/start?rd=https%3A%2F%2Ffoo.bar%2Fown", nil)
	check(t, err)
	check(t, together(len(a.state), 8, func(i int) error {
		query := url.Values{"code": {forgedCode}, "iss": {g.provider.Issuer()}}
		query.Set("state", a.state[:i]+string(otherCharacter(a.state[i]))+a.state[i+1:])
		answer, err := g.get(g.widest, "/oauth2/callback?"+query.Encode(), a.cookie)
		if err == nil {
			err = leadsNowhere(answer, http.StatusBadRequest, startAt(""))
		}
		if err != nil {
			return fmt.Errorf("character %d: %w", i, err)
		}
		return nil
	}))
	check(t, g.endsAt(g.widest, a, "https://foo.bar/own"))
}

// logoutOfSessions signs in and out with some of the addresses: the provider is told our own.
func (g *returnRig) logoutOfSessions(t *testing.T) {
	for i := 0; i < len(g.vectors); i += 25 {
		v := g.vectors[i]
		if v.replica == nil {
			continue
		}
		a, err := g.begin(v.replica, "/oauth2/start", nil)
		check(t, err)
		answer, err := g.callback(v.replica, a)
		check(t, err)
		var cookie string
		for _, c := range answer.cookies() {
			if c.Name == sessionCookie && c.Value != "" {
				cookie = c.Name + "=" + c.Value
			}
		}
		query, form := withAddress(v)
		answer, err = g.ask(v.replica, http.MethodPost, gate, "/oauth2/logout"+query, http.Header{"Sec-Fetch-Site": {"same-origin"}, "Cookie": {cookie}}, form)
		check(t, err)
		way, parameters, _ := strings.Cut(answer.header.Get("Location"), "?")
		values, err := url.ParseQuery(parameters)
		if err != nil || way != g.provider.URL(idptest.EndSession) || len(values) != 3 || values.Get("post_logout_redirect_uri") != gateURL+"/signed_out" ||
			values.Get("client_id") != clientID || values.Get("id_token_hint") == "" {
			t.Errorf("row %d: logout leads to %q, %v", v.row, answer.header.Get("Location"), err)
		}
	}
}

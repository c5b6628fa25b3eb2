package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"authsvc/authsvc/idptest"
)

// TestSecurityRequirementsLogin: what a relying party has to get right from the beginning of a login to its callback.
func TestSecurityRequirementsLogin(t *testing.T) {
	p := newProver(t, options{replicas: 3})
	p.tellCanaries()
	p.prove(t, loginRequirements)
}

var loginRequirements = []requirement{
	{"Q1 the code flow alone, to the registered redirect_uri", codeFlowOnly},
	{"Q2 PKCE with S256, fresh for every request", freshPKCE},
	{"Q3 state is bound to the browser and the login, and good once", boundState},
	{"Q4 nonce is that of the login", boundNonce},
	{"Q5 iss of the response is the provider's", issuerOfTheResponse},
	{"Q6 providers are not mixed up", mixedUpProviders},
	{"Q7 error responses are bound to state, and shown harmlessly", errorResponses},
	{"Q8 a callback that comes again spends nothing", repeatedCallbacks},
	{"Q9 no other method, nor a prefetch, consumes the login", otherMethods},
	{"Q10 redirects and pages tell nobody of code and state", quietRedirects},
	{"Q11 who begins a login chooses nothing of it", thirdPartyStarts},
}

// authorizationOf is the authorization request that an answer of /start leads to.
func (p *prover) authorizationOf(t *testing.T, answer reply) url.Values {
	t.Helper()
	address, query, _ := strings.Cut(answer.next(), "?")
	if answer.status != http.StatusFound || address != p.provider.URL(idptest.Authorize) {
		t.Fatalf("/start: %v", answer)
	}
	values, err := url.ParseQuery(query)
	check(t, err)
	return values
}

func codeFlowOnly(t *testing.T, p *prover) {
	for name, header := range map[string]http.Header{
		"nothing odd":                           {},
		"X-Forwarded-Host":                      {"X-Forwarded-Host": {"evil.example"}},
		"X-Forwarded-Proto and -Port":           {"X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"8443"}},
		"X-Forwarded-Prefix and -Uri":           {"X-Forwarded-Prefix": {"/evil"}, "X-Forwarded-Uri": {"//evil.example/"}},
		"Forwarded":                             {"Forwarded": {"host=evil.example;proto=https"}},
		"X-Original-URL, -Host, X-Rewrite-URL":  {"X-Original-Url": {"https://evil.example/"}, "X-Original-Host": {"evil.example"}, "X-Rewrite-Url": {"/evil"}},
		"Origin and Referer":                    {"Origin": {"https://evil.example"}, "Referer": {"https://evil.example/"}},
		"X-Forwarded-Host twice, and X-Host":    {"X-Forwarded-Host": {p.host(), "evil.example"}, "X-Host": {"evil.example"}},
		"a Host that is another one, direct":    {"Host": {"evil.example"}},
		"a Host with a user, direct":            {"Host": {"evil.example@" + p.host()}},
		"the right Host with another port":      {"Host": {"127.0.0.1:1"}},
		"a name of this host that is not ours":  {"Host": {"localhost"}},
		"a Host in capitals, with a dot behind": {"Host": {"EVIL.EXAMPLE."}},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.replicas[0].address+"/start", nil)
			check(t, err)
			if request.Header = header; header["Host"] != nil {
				request.Host = header.Get("Host")
			}
			answer, err := exchange(direct, request)
			check(t, err)
			if strings.Contains(header.Get("Host"), "@") && answer.status == http.StatusBadRequest {
				return // no Host at all
			}
			asks := p.authorizationOf(t, answer)
			if !slices.Equal(asks["redirect_uri"], []string{p.url + "/callback"}) || !slices.Equal(asks["response_type"], []string{"code"}) || asks.Has("response_mode") {
				t.Errorf("redirect_uri %q, response_type %q, response_mode %q", asks["redirect_uri"], asks["response_type"], asks["response_mode"])
			}
		})
	}
	tokens := func(v url.Values) {
		v.Del("code")
		v.Set("id_token", p.provider.LogoutToken(clientID, "alice", "", nil))
		v.Set("access_token", "token")
		v.Set("token_type", "Bearer")
	}
	p.try(t, []attack{
		{name: "tokens in the place of a code", tamper: tokens, want: http.StatusBadRequest},
		{name: "tokens beside a code are passed over", tamper: func(v url.Values) { code := v.Get("code"); tokens(v); v.Set("code", code) }, want: http.StatusFound},
	})
	for _, request := range p.provider.Requests(idptest.Token) {
		if !slices.Equal(request.Form["redirect_uri"], []string{p.url + "/callback"}) {
			t.Errorf("the token request's redirect_uri: %q", request.Form["redirect_uri"])
		}
	}
}

func freshPKCE(t *testing.T, p *prover) {
	t.Run("1,000 beginnings, in one browser and in many", func(t *testing.T) {
		browser := p.visitor("alice")
		asked := make([]url.Values, 1000)
		check(t, together(len(asked), 8, func(i int) error {
			v := browser
			if i%2 == 0 {
				v = p.visitor("alice")
			}
			answer, err := v.at(p.replicas[i%len(p.replicas)], http.MethodGet, "/start")
			if err != nil || answer.status != http.StatusFound {
				return fmt.Errorf("%v, %w", answer, err)
			}
			_, query, _ := strings.Cut(answer.next(), "?")
			asked[i], err = url.ParseQuery(query)
			return err
		}))
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			seen := map[string]bool{}
			for _, asks := range asked {
				seen[asks.Get(name)] = true
				if len(asks.Get(name)) < 43 || !slices.Equal(asks["code_challenge_method"], []string{"S256"}) {
					t.Fatalf("%s %q, code_challenge_method %q", name, asks[name], asks["code_challenge_method"])
				}
			}
			if len(seen) != len(asked) {
				t.Errorf("%d different %s", len(seen), name)
			}
		}
	})
	t.Run("the verifier fits, and the code of another login does not", func(t *testing.T) {
		other := p.newcomer(idptest.Conduct{})
		stolen, err := other.toCallback("/landed")
		check(t, err)
		p.try(t, []attack{
			{name: "its own code", want: http.StatusFound},
			{name: "the code of somebody else's login", tamper: func(v url.Values) { v.Set("code", queryOf(t, stolen).Get("code")) }, want: http.StatusBadGateway, spends: true},
		})
		v := p.newcomer(idptest.Conduct{})
		first, err := v.toCallback("/landed")
		check(t, err)
		second, err := v.toCallback("/landed")
		check(t, err)
		mixed := queryOf(t, second)
		mixed.Set("code", queryOf(t, first).Get("code"))
		answer, err := v.send(http.MethodGet, "/callback?"+mixed.Encode(), nil)
		if err != nil || answer.status != http.StatusBadGateway || v.cookie(sessionCookie) != "" {
			t.Errorf("the code of the same browser's other login: %v, %v", answer, err)
		}
		for _, request := range p.provider.Requests(idptest.Token) {
			if n := len(request.Form.Get("code_verifier")); n < 43 || n > 128 {
				t.Errorf("a verifier of %d characters", n)
			}
		}
	})
	t.Run("a provider that lists plain alone", func(t *testing.T) {
		c := p.loginChoices()
		v := c.newcomer(idptest.Conduct{})
		address := c.begin(t, v, "plain")
		asked := c.at["plain"].Requests(idptest.Authorize)
		if method := asked[len(asked)-1].Query.Get("code_challenge_method"); method != "S256" {
			t.Errorf("code_challenge_method %q", method)
		}
		c.finish(t, v, address, http.StatusFound)
	})
}

func boundState(t *testing.T, p *prover) {
	set := func(values ...string) func(url.Values) {
		return func(v url.Values) { v["state"] = values }
	}
	edit := func(change func(state string) string) func(url.Values) {
		return func(v url.Values) { v.Set("state", change(v.Get("state"))) }
	}
	other, err := p.newcomer(idptest.Conduct{}).toCallback("/landed")
	check(t, err)
	another := queryOf(t, other).Get("state")
	attacks := []attack{
		{name: "missing", tamper: func(v url.Values) { v.Del("state") }},
		{name: "empty", tamper: set("")},
		{name: "truncated by one", tamper: edit(func(s string) string { return s[:len(s)-1] })},
		{name: "its first half", tamper: edit(func(s string) string { return s[:len(s)/2] })},
		{name: "a letter more", tamper: edit(func(s string) string { return s + "A" })},
		{name: "padded", tamper: edit(func(s string) string { return s + "=" })},
		{name: "with a line end", tamper: edit(func(s string) string { return s + "\n" })},
		{name: "in capitals", tamper: edit(strings.ToUpper)},
		{name: "twice", tamper: func(v url.Values) { v.Add("state", v.Get("state")) }},
		{name: "of another browser", tamper: set(another)},
		{name: "of another browser, then its own", tamper: func(v url.Values) { v["state"] = []string{another, v.Get("state")} }},
		{name: "its own, then one of another browser", tamper: func(v url.Values) { v.Add("state", another) }},
		{name: "markup", tamper: set("<script>alert(1)</script>")},
		{name: "of 6 KB", tamper: set(strings.Repeat("A", 6<<10))},
		{name: "code twice", tamper: func(v url.Values) { v.Add("code", v.Get("code")) }},
		{name: "code missing", tamper: func(v url.Values) { v.Del("code") }},
	}
	for at := range 10 {
		attacks = append(attacks, attack{name: fmt.Sprintf("a bit flipped after %d tenths", at), tamper: edit(func(s string) string {
			raw, err := base64.RawURLEncoding.DecodeString(s)
			check(t, err)
			raw[len(raw)*at/10] ^= 1
			return base64.RawURLEncoding.EncodeToString(raw)
		})})
	}
	for i := range attacks {
		attacks[i].want = http.StatusBadRequest
	}
	p.try(t, append(attacks, attack{name: "its own", want: http.StatusFound}))

	t.Run("expired", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		query := queryOf(t, address)
		query.Set("state", p.expired(t, query.Get("state")))
		p.provider.ForgetRequests()
		answer, err := v.send(http.MethodGet, "/callback?"+query.Encode(), nil)
		check(t, err)
		if answer.status != http.StatusFound || !strings.HasPrefix(answer.next(), p.url+"/start?") || v.cookie(sessionCookie) != "" || p.provider.Count(idptest.Token) != 0 {
			t.Errorf("%v, %d token requests", answer, p.provider.Count(idptest.Token))
		}
		answer, err = v.open(answer.next()) // it is no attack: the login begins again by itself
		check(t, err)
		_, err = v.arrived(answer, "/landed")
		check(t, err)
	})
	t.Run("another tab of the same browser", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		first, err := v.toCallback("/landed")
		check(t, err)
		second, err := v.toCallback("/landed")
		check(t, err)
		p.provider.ForgetRequests()
		for _, address := range []string{second, first} {
			answer, err := v.open(address)
			check(t, err)
			_, err = v.arrived(answer, "/landed")
			check(t, err)
		}
	})
	t.Run("reused", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		answer, err := v.send(http.MethodGet, address, nil)
		check(t, err)
		p.landed(t, v, answer, "")
		p.provider.ForgetRequests()
		records := p.records()
		thief, stranger := p.newcomer(idptest.Conduct{}), p.newcomer(idptest.Conduct{})
		_, err = thief.toCallback("/") // has a login cookie of its own
		check(t, err)
		for _, again := range []struct {
			by   *visitor
			want int
		}{{v, http.StatusFound}, {thief, http.StatusBadRequest}, {stranger, http.StatusFound}} {
			cookie := again.by.cookie(sessionCookie)
			answer, err := again.by.send(http.MethodGet, address, nil)
			check(t, err)
			if answer.status != again.want || again.by.cookie(sessionCookie) != cookie {
				t.Errorf("by %s: %v", again.by.person, answer)
			}
			if again.by == stranger && !strings.HasPrefix(answer.next(), p.url+"/start?") {
				t.Errorf("by who has no login cookie: %v", answer)
			}
		}
		if n := p.provider.Count(idptest.Token); n != 0 || p.records() != records {
			t.Errorf("%d token requests, %d sessions more", n, p.records()-records)
		}
	})
}

// expired is a state with the same content whose time is over. Only who has the secret can make it; nobody waits for ten minutes.
func (p *prover) expired(t *testing.T, state string) string {
	t.Helper()
	const purpose, site, idSize = "login attempt", "main", 16
	ring := keyring(t, p.settings["cookie.secret"])
	raw, err := base64.RawURLEncoding.DecodeString(state)
	check(t, err)
	plain, err := ring.Open(purpose, raw[:idSize], []byte(site), raw[idSize:])
	check(t, err)
	var fields map[int]any
	check(t, cbor.Unmarshal(plain[1:], &fields))
	if left := time.Until(time.Unix(int64(fields[1].(uint64)), 0)); left < time.Minute || left > 11*time.Minute {
		t.Fatalf("a login that may take %v", left)
	}
	fields[1] = time.Now().Add(-time.Second).Unix()
	encoded, err := cbor.Marshal(fields)
	check(t, err)
	return base64.RawURLEncoding.EncodeToString(append(raw[:idSize:idSize], ring.Seal(purpose, raw[:idSize], []byte(site), append(plain[:1:1], encoded...))...))
}

func boundNonce(t *testing.T, p *prover) {
	parallel := p.newcomer(idptest.Conduct{})
	answer, err := parallel.send(http.MethodGet, "/start", nil)
	check(t, err)
	otherNonce := p.authorizationOf(t, answer).Get("nonce")
	p.try(t, []attack{
		accepts("oidcc-client-test-nonce", idptest.Conduct{}),
		refuses("oidcc-client-test-nonce-invalid", claim("nonce", "another")),
		refuses("missing", claim("nonce", nil)),
		refuses("empty", claim("nonce", "")),
		refuses("null", idToken(func(c map[string]any) { c["nonce"] = nil })),
		refuses("of another login", claim("nonce", otherNonce)),
		refuses("an array with the right one", idToken(func(c map[string]any) { c["nonce"] = []any{c["nonce"]} })),
		refuses("in capitals", idToken(func(c map[string]any) { c["nonce"] = strings.ToUpper(c["nonce"].(string)) })),
		refuses("with a space behind", idToken(func(c map[string]any) { c["nonce"] = c["nonce"].(string) + " " })),
		refuses("under the name Nonce", idToken(func(c map[string]any) { c["Nonce"] = c["nonce"]; delete(c, "nonce") })),
	})
	t.Run("of a parallel tab of the same browser", func(t *testing.T) {
		var first string
		v := p.newcomer(idToken(func(c map[string]any) { c["nonce"] = first }))
		answer, err := v.send(http.MethodGet, "/start", nil)
		check(t, err)
		first = p.authorizationOf(t, answer).Get("nonce")
		second, err := v.toCallback("/landed")
		check(t, err)
		if answer, err = v.send(http.MethodGet, second, nil); err != nil || answer.status != http.StatusBadGateway || v.cookie(sessionCookie) != "" {
			t.Errorf("%v, %v", answer, err)
		}
	})
}

func issuerOfTheResponse(t *testing.T, p *prover) {
	issuer := p.provider.Issuer()
	iss := func(name string, want int, values ...string) attack {
		return attack{name: name, want: want, tamper: func(v url.Values) { v["iss"] = values }}
	}
	p.try(t, []attack{
		{name: "its own", want: http.StatusFound},
		iss("fapi2-security-profile-id2-client-test-invalid-authorization-response-iss", http.StatusBadGateway, "https://login.example.com"),
		iss("fapi2-security-profile-id2-client-test-remove-authorization-response-iss", http.StatusBadGateway),
		iss("empty", http.StatusBadGateway, ""),
		iss("with a slash behind", http.StatusBadGateway, issuer+"/"),
		iss("in capitals", http.StatusBadGateway, strings.ToUpper(issuer)),
		iss("on https", http.StatusBadGateway, strings.Replace(issuer, "http:", "https:", 1)),
		iss("twice", http.StatusBadRequest, issuer, issuer),
		iss("its own and another", http.StatusBadRequest, issuer, "https://login.example.com"),
		{name: "another, with an error", want: http.StatusBadGateway, tamper: func(v url.Values) {
			v.Del("code")
			v.Set("error", "access_denied")
			v.Set("iss", "https://login.example.com")
		}},
	})
	c := p.loginChoices()
	for _, row := range []struct {
		name, iss string // "-" for none
		want      int
	}{
		{"not advertised, and absent", "-", http.StatusFound},
		{"not advertised, and its own", c.at["silent"].Issuer(), http.StatusFound},
		{"not advertised, and another", c.at["loud"].Issuer(), http.StatusBadGateway},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := c.newcomer(idptest.Conduct{})
			address := c.begin(t, v, "silent")
			query := queryOf(t, address)
			if query.Del("iss"); row.iss != "-" {
				query.Set("iss", row.iss)
			}
			c.at["silent"].ForgetRequests()
			c.finish(t, v, c.url+"/callback/silent?"+query.Encode(), row.want)
			if n := c.at["silent"].Count(idptest.Token); (n == 1) != (row.want == http.StatusFound) {
				t.Errorf("%d token requests", n)
			}
		})
	}
}

// loginChoices is a stack with three providers: "loud" tells its iss in responses, "silent" and "plain" do not, and "plain" lists no PKCE
// method but that.
func (p *prover) loginChoices() *choices {
	p.t.Helper()
	if p.others != nil {
		return p.others
	}
	edit := func(change func(document map[string]any)) choice {
		return choice{change: func(p *idptest.Provider) { p.EditDiscovery(change) }}
	}
	const advertised = "authorization_response_iss_parameter_supported"
	p.others = newChoices(p.t, map[string]choice{
		"loud":   {},
		"silent": edit(func(d map[string]any) { delete(d, advertised) }),
		"plain":  edit(func(d map[string]any) { d["code_challenge_methods_supported"] = []string{"plain"} }),
	})
	return p.others
}

func mixedUpProviders(t *testing.T, p *prover) {
	c := p.loginChoices()
	type pair struct{ own, other *url.URL }
	of := func(other *url.URL, query url.Values, names ...string) url.Values {
		for _, name := range names {
			query[name] = other.Query()[name]
		}
		return query
	}
	for name, answered := range map[string]func(p pair) (path string, query url.Values){
		"the other's code and iss":                              func(p pair) (string, url.Values) { return p.own.Path, of(p.other, p.own.Query(), "code", "iss") },
		"the other's code and iss, at the other's redirect_uri": func(p pair) (string, url.Values) { return p.other.Path, of(p.other, p.own.Query(), "code", "iss") },
		"the other's code, no iss, at the other's redirect_uri": func(p pair) (string, url.Values) {
			query := of(p.other, p.own.Query(), "code")
			query.Del("iss")
			return p.other.Path, query
		},
		"its own answer, at the other's redirect_uri":        func(p pair) (string, url.Values) { return p.other.Path, p.own.Query() },
		"its own answer without iss, at the other's address": func(p pair) (string, url.Values) { q := p.own.Query(); q.Del("iss"); return p.other.Path, q },
		"the other's whole answer, at its own redirect_uri":  func(p pair) (string, url.Values) { return p.own.Path, p.other.Query() },
		"its own answer, at the redirect_uri of nobody":      func(p pair) (string, url.Values) { return "/callback/nobody", p.own.Query() },
		"its own answer, at the redirect_uri without a name": func(p pair) (string, url.Values) { return "/callback", p.own.Query() },
		"an error of the other, at its own redirect_uri": func(p pair) (string, url.Values) {
			return p.own.Path, url.Values{"error": {"access_denied"}, "iss": p.other.Query()["iss"], "state": p.own.Query()["state"]}
		},
		"an error with the other's state, at its own address": func(p pair) (string, url.Values) {
			return p.own.Path, url.Values{"error": {"access_denied"}, "state": p.other.Query()["state"]}
		},
	} {
		for _, direction := range [][2]string{{"loud", "silent"}, {"silent", "loud"}} {
			t.Run(name+", begun at the "+direction[0]+" one", func(t *testing.T) {
				v := c.newcomer(idptest.Conduct{})
				var both pair
				var err error
				both.own, err = url.Parse(c.begin(t, v, direction[0]))
				check(t, err)
				both.other, err = url.Parse(c.begin(t, v, direction[1]))
				check(t, err)
				for _, provider := range c.at {
					provider.ForgetRequests()
				}
				records := c.records()
				path, query := answered(both)
				answer, err := v.send(http.MethodGet, path+"?"+query.Encode(), nil)
				check(t, err)
				spent := 0
				for _, provider := range c.at {
					spent += provider.Count(idptest.Token)
				}
				if answer.status < 400 || v.cookie(sessionCookie) != "" || spent != 0 || c.records() != records {
					t.Errorf("%v, %d token requests, %d sessions", answer, spent, c.records()-records)
				}
				for _, address := range []*url.URL{both.own, both.other} { // neither login is spoiled
					c.finish(t, v, address.String(), http.StatusFound)
				}
			})
		}
	}
}

func errorResponses(t *testing.T, p *prover) {
	const script = `"><script>alert(1)</script><img src=https://evil.example/canary>`
	other, err := p.newcomer(idptest.Conduct{}).toCallback("/landed")
	check(t, err)
	failure := func(name string, want int, code, description string, more ...func(url.Values)) attack {
		return attack{name: name, want: want, tamper: func(v url.Values) {
			v.Del("code")
			v.Set("error", code)
			v.Set("error_description", description)
			v.Set("error_uri", "https://evil.example/canary")
			for _, change := range more {
				change(v)
			}
		}}
	}
	attacks := []attack{
		failure("access_denied", http.StatusForbidden, "access_denied", "no"),
		failure("access_denied without state", http.StatusBadRequest, "access_denied", "no", func(v url.Values) { v.Del("state") }),
		failure("access_denied with a broken state", http.StatusBadRequest, "access_denied", "no", func(v url.Values) { v.Set("state", "x") }),
		failure("access_denied with another browser's state", http.StatusBadRequest, "access_denied", "no", func(v url.Values) { v["state"] = queryOf(t, other)["state"] }),
		failure("login_required", http.StatusBadGateway, "login_required", ""),
		failure("interaction_required", http.StatusBadGateway, "interaction_required", ""),
		failure("consent_required", http.StatusBadGateway, "consent_required", ""),
		failure("invalid_request", http.StatusBadGateway, "invalid_request", ""),
		failure("invalid_scope", http.StatusBadGateway, "invalid_scope", ""),
		failure("unauthorized_client", http.StatusBadGateway, "unauthorized_client", ""),
		failure("server_error", http.StatusServiceUnavailable, "server_error", ""),
		failure("temporarily_unavailable", http.StatusServiceUnavailable, "temporarily_unavailable", ""),
		failure("markup as the error", http.StatusBadGateway, script, script),
		failure("markup as its description", http.StatusForbidden, "access_denied", script),
		failure("somebody's address as the error", http.StatusBadGateway, "alice@example.com", "alice@example.com"),
		failure("a description of 7 KB", http.StatusForbidden, "access_denied", strings.Repeat("canary-", 1000)),
		failure("twice", http.StatusBadRequest, "access_denied", "", func(v url.Values) { v.Add("error", "access_denied") }),
		{name: "beside a code", want: http.StatusForbidden, tamper: func(v url.Values) { v.Set("error", "access_denied") }},
	}
	long := failure("a description of 100 KB", http.StatusRequestURITooLong, "access_denied", strings.Repeat("canary-", 15_000))
	long.bare = true // nginx reads no such line
	p.secrets = append(p.secrets, "canary-", "evil.example")
	p.try(t, append(attacks, long))
	t.Run("a description of 100 KB, without nginx", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		query := queryOf(t, address)
		long.tamper(query)
		answer, err := v.at(p.replicas[0], http.MethodGet, "/callback?"+query.Encode())
		check(t, err)
		if answer.status < 400 || answer.status >= 500 || v.cookie(sessionCookie) != "" || len(answer.body) > 20<<10 {
			t.Errorf("%v, %d bytes", answer, len(answer.body))
		}
	})
	t.Run("nothing is tried again by itself", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		query := queryOf(t, address)
		failure("", 0, "login_required", "").tamper(query)
		p.provider.ForgetRequests()
		answer, err := v.open("/callback?" + query.Encode())
		check(t, err)
		if n := p.provider.Count(idptest.Authorize); n != 0 || answer.status != http.StatusBadGateway || answer.next() != "" {
			t.Errorf("%v, %d authorization requests", answer, n)
		}
	})
	t.Run("oidcc-client-test-form-post-error", func(t *testing.T) {
		f := p.formPost()
		form := f.begin(t)
		form.Del("code")
		form.Set("error", "access_denied")
		form.Set("error_description", script)
		if answer := f.post(t, form); answer.status != http.StatusForbidden || strings.Contains(answer.body, "<script") || f.session(answer) != "" {
			t.Errorf("%v", answer)
		}
	})
}

func repeatedCallbacks(t *testing.T, p *prover) {
	t.Run("20 at once", func(t *testing.T) { sameCallbackTwenty(t, p.stack) })
	t.Run("back button, double submit", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		records := p.records()
		p.provider.ForgetRequests()
		for range 3 {
			answer, err := v.send(http.MethodGet, address, nil)
			check(t, err)
			p.landed(t, v, answer, "")
		}
		if n := p.provider.Count(idptest.Token); n != 1 || p.records() != records+1 {
			t.Errorf("%d token requests, %d sessions", n, p.records()-records)
		}
	})
	t.Run("codes without end for one attempt", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		query := queryOf(t, address)
		records := p.records()
		p.provider.ForgetRequests()
		for i := range 20 {
			query.Set("code", fmt.Sprint("made-up-", i))
			_, err := v.send(http.MethodGet, p.url+"/callback?"+query.Encode(), nil)
			check(t, err)
		}
		if n := p.provider.Count(idptest.Token); n < 1 || n > 3 || p.records() != records {
			t.Errorf("%d token requests, %d sessions", n, p.records()-records)
		}
		v.signIn()
	})
	t.Run("after the sign-out", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		address, err := v.toCallback("/landed")
		check(t, err)
		answer, err := v.send(http.MethodGet, address, nil)
		check(t, err)
		p.landed(t, v, answer, "")
		_, err = v.logOut()
		check(t, err)
		records := p.records()
		p.provider.ForgetRequests()
		answer, err = v.send(http.MethodGet, address, nil)
		check(t, err)
		if v.cookie(sessionCookie) != "" || !strings.HasPrefix(answer.next(), p.url+"/start?") || p.provider.Count(idptest.Token) != 0 || p.records() != records {
			t.Errorf("%v, %d token requests", answer, p.provider.Count(idptest.Token))
		}
	})
}

func otherMethods(t *testing.T, p *prover) {
	for _, row := range []struct {
		method string
		header http.Header
		want   int
	}{
		{http.MethodHead, nil, http.StatusMethodNotAllowed},
		{http.MethodPost, nil, http.StatusMethodNotAllowed},
		{http.MethodPut, nil, http.StatusMethodNotAllowed},
		{http.MethodDelete, nil, http.StatusMethodNotAllowed},
		{http.MethodOptions, nil, http.StatusMethodNotAllowed},
		{http.MethodGet, http.Header{"Sec-Purpose": {"prefetch"}}, http.StatusBadRequest},
		{http.MethodGet, http.Header{"Sec-Purpose": {"prefetch;prerender"}}, http.StatusBadRequest},
		{http.MethodGet, http.Header{"Sec-Purpose": {"prefetch;anonymous-client-ip"}}, http.StatusBadRequest},
	} {
		t.Run(strings.TrimSpace(row.method+" "+row.header.Get("Sec-Purpose")), func(t *testing.T) {
			v := p.newcomer(idptest.Conduct{})
			address, err := v.toCallback("/landed")
			check(t, err)
			p.provider.ForgetRequests()
			answer, err := v.send(row.method, address, row.header)
			check(t, err)
			if answer.status != row.want || len(answer.cookies()) > 0 || p.provider.Count(idptest.Token) != 0 {
				t.Errorf("%v, %d token requests; want %d", answer, p.provider.Count(idptest.Token), row.want)
			}
			answer, err = v.send(http.MethodGet, address, nil)
			check(t, err)
			p.landed(t, v, answer, "")
		})
	}
	t.Run("form_post takes the form alone", func(t *testing.T) {
		f := p.formPost()
		form := f.begin(t)
		query := "?" + form.Encode()
		for name, row := range map[string]struct {
			method, query string
			form          url.Values
			want          int
		}{
			"GET":                      {http.MethodGet, query, nil, http.StatusMethodNotAllowed},
			"HEAD":                     {http.MethodHead, query, nil, http.StatusMethodNotAllowed},
			"the query in a POST":      {http.MethodPost, query, nil, http.StatusBadRequest},
			"state in the query alone": {http.MethodPost, "?state=" + form.Get("state"), url.Values{"code": form["code"], "iss": form["iss"]}, http.StatusBadRequest},
			"code twice":               {http.MethodPost, "", url.Values{"state": form["state"], "iss": form["iss"], "code": {form.Get("code"), "x"}}, http.StatusBadRequest},
			"a form of 1 MB":           {http.MethodPost, "", url.Values{"state": form["state"], "iss": form["iss"], "code": form["code"], "x": {strings.Repeat("x", 1<<20)}}, http.StatusBadRequest},
		} {
			if answer := f.ask(t, row.method, "/callback"+row.query, row.form); answer.status != row.want || f.session(answer) != "" {
				t.Errorf("%s: %v; want %d", name, answer, row.want)
			}
		}
		if n := f.provider.Count(idptest.Token); n != 0 {
			t.Fatalf("%d token requests", n)
		}
		if answer := f.post(t, form); answer.status != http.StatusFound || answer.next() != "/landed" || f.session(answer) == "" {
			t.Errorf("the form itself: %v", answer)
		}
	})
}

func quietRedirects(t *testing.T, p *prover) {
	quiet := func(what string, answer reply, want int) {
		t.Helper()
		if policy := answer.header.Get("Referrer-Policy"); answer.status != want || policy != "no-referrer" || answer.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %v; Referrer-Policy %q, Cache-Control %q", what, answer, policy, answer.header.Get("Cache-Control"))
		}
	}
	v := p.newcomer(idptest.Conduct{})
	started, err := v.send(http.MethodGet, "/start?rd=/landed", nil)
	check(t, err)
	quiet("/start", started, http.StatusFound)
	address, err := v.toCallback("/landed")
	check(t, err)
	ended, err := v.send(http.MethodGet, address, nil)
	check(t, err)
	quiet("/callback", ended, http.StatusFound)
	if body := started.body + ended.body; body != "" {
		t.Errorf("redirects with a body: %s", body)
	}
	again, err := v.send(http.MethodGet, address, nil)
	check(t, err)
	quiet("the callback again", again, http.StatusFound)
	restarted, err := p.newcomer(idptest.Conduct{}).send(http.MethodGet, address, nil)
	check(t, err)
	quiet("a login that begins again", restarted, http.StatusFound)
	for name, address := range map[string]string{
		"a callback that is refused": "/callback?state=x&code=y", "/signed_out": "/signed_out", "a return address that is refused": "/start?rd=https://evil.example/",
	} {
		page, err := v.send(http.MethodGet, address, nil)
		check(t, err)
		foreign := regexp.MustCompile(`(?i)(src|href|action|url)\s*[=(]\s*["']?(https?:)?//`).FindAllString(strings.ReplaceAll(page.body, p.url, ""), -1)
		if len(foreign) > 0 || page.header.Get("Referrer-Policy") == "" || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %q, %v", name, foreign, page.header)
		}
	}
}

func thirdPartyStarts(t *testing.T, p *prover) {
	standard := []string{"client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_type", "scope", "state"}
	start := func(v *visitor, query string, header http.Header) url.Values {
		t.Helper()
		answer, err := v.send(http.MethodGet, "/start?"+query, header)
		check(t, err)
		return p.authorizationOf(t, answer)
	}
	plain := start(p.newcomer(idptest.Conduct{}), "rd=/landed", nil)
	if names := slices.Sorted(maps.Keys(plain)); !slices.Equal(names, standard) {
		t.Fatalf("an authorization request with %q", names)
	}
	foreign := url.Values{
		"scope": {"admin"}, "claims": {`{"id_token":{"admin":null}}`}, "redirect_uri": {"https://evil.example/"}, "client_id": {"evil"}, "acr_values": {"0"}, "max_age": {"0"},
		"prompt": {"none"}, "login_hint": {"mallory"}, "id_token_hint": {"eyJ"}, "display": {"popup"}, "ui_locales": {"xx"}, "response_type": {"token"}, "response_mode": {"fragment"},
		"state": {"evil"}, "nonce": {"evil"}, "code_challenge": {"evil"}, "code_challenge_method": {"plain"}, "request": {"eyJ"}, "request_uri": {"https://evil.example/r"},
		"resource": {"https://evil.example"}, "audience": {"evil"}, "iss": {"https://evil.example"}, "target_link_uri": {"https://evil.example/"}, "provider": {"evil"}, "kc_idp_hint": {"evil"},
	}
	for name, query := range map[string]string{
		"all at once":                            foreign.Encode(),
		"all at once, before rd":                 foreign.Encode() + "&rd=/landed",
		"hidden in rd":                           "rd=" + url.QueryEscape("/landed?"+foreign.Encode()),
		"oidcc-client-test-3rd-party-init-login": url.Values{"iss": {p.provider.Issuer()}, "login_hint": {"mallory"}, "target_link_uri": {"https://evil.example/"}}.Encode(),
	} {
		t.Run(name, func(t *testing.T) {
			v := p.newcomer(idptest.Conduct{})
			asks := start(v, query, http.Header{"Sec-Fetch-Site": {"cross-site"}, "Referer": {"https://evil.example/"}})
			if names := slices.Sorted(maps.Keys(asks)); !slices.Equal(names, standard) {
				t.Errorf("an authorization request with %q", names)
			}
			for _, fixed := range []string{"client_id", "redirect_uri", "response_type", "scope", "code_challenge_method"} {
				if !slices.Equal(asks[fixed], plain[fixed]) {
					t.Errorf("%s: %q, want %q", fixed, asks[fixed], plain[fixed])
				}
			}
			for _, fresh := range []string{"state", "nonce", "code_challenge"} {
				if len(asks[fresh]) != 1 || len(asks.Get(fresh)) < 43 {
					t.Errorf("%s: %q", fresh, asks[fresh])
				}
			}
		})
	}
	t.Run("a login that somebody else begins ends no session", func(t *testing.T) {
		v := p.newcomer(idptest.Conduct{})
		check(t, v.signInAgain("/landed"))
		before := v.cookie(sessionCookie)
		start(v, "rd=/landed", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}})
		if v.cookie(sessionCookie) != before {
			t.Error("the session cookie changed")
		}
		check(t, p.signedInAs(v.person, before))
	})
	t.Run("an attacker's finished login signs nobody else in", func(t *testing.T) {
		attacker := p.newcomer(idptest.Conduct{})
		address, err := attacker.toCallback("/landed")
		check(t, err)
		p.provider.ForgetRequests()
		for _, hasBegun := range []bool{false, true} {
			victim := p.newcomer(idptest.Conduct{})
			if hasBegun {
				start(victim, "rd=/landed", nil)
			}
			answer, err := victim.send(http.MethodGet, address, http.Header{"Sec-Fetch-Site": {"cross-site"}})
			check(t, err)
			if victim.cookie(sessionCookie) != "" || p.provider.Count(idptest.Token) != 0 {
				t.Errorf("begun %v: %v", hasBegun, answer)
			}
		}
	})
}

// formPost is a replica, without a gateway, whose provider answers by forms. It is on https, as it has to be.
type formPost struct {
	replica  *replica
	provider *idptest.Provider
	login    string // the login cookie
}

const formPostURL = "https://app.example.com"

func (p *prover) formPost() *formPost {
	t := p.t
	t.Helper()
	if p.forms != nil {
		return p.forms
	}
	f := &formPost{provider: idptest.Start(t, idptest.Options{
		Algorithm: "ES256", People: []idptest.Person{person("alice")}, SignIn: func(*http.Request) string { return "alice" },
		Clients: []idptest.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{formPostURL + "/callback"}}},
	})}
	f.replica = newReplica(t, map[string]string{
		"public_url": formPostURL, "oidc.issuer": f.provider.Issuer(), "oidc.client_id": clientID, "oidc.client_secret": clientSecret,
		"oidc.response_mode": "form_post", "cookie.secret": newSecret(), "store.url": "memory:", "shutdown.delay": "0",
	})
	f.replica.awaitReady()
	p.forms = f
	return f
}

// ask sends a request as a browser does that was sent here by the provider.
func (f *formPost) ask(t *testing.T, method, path string, form url.Values) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+f.replica.address+path, strings.NewReader(form.Encode()))
	check(t, err)
	request.Host = "app.example.com"
	request.Header = http.Header{
		"Cookie": {f.login}, "Content-Type": {"application/x-www-form-urlencoded"}, "Sec-Fetch-Site": {"cross-site"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"},
	}
	answer, err := exchange(direct, request)
	check(t, err)
	return answer
}

func (f *formPost) post(t *testing.T, form url.Values) reply {
	t.Helper()
	return f.ask(t, http.MethodPost, "/callback", form)
}

// session is the session cookie that an answer sets.
func (f *formPost) session(answer reply) string {
	for _, c := range answer.cookies() {
		if c.Name == "__Host-authsvc" && c.MaxAge >= 0 {
			return c.Value
		}
	}
	return ""
}

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// begin begins a login and returns the form that the provider has the browser post.
func (f *formPost) begin(t *testing.T) url.Values {
	t.Helper()
	f.login = ""
	started := f.ask(t, http.MethodGet, "/start?rd=/landed", nil)
	for _, c := range started.cookies() {
		if c.Name == "__Host-authsvc_login" && c.MaxAge >= 0 {
			f.login = c.Name + "=" + c.Value
		}
	}
	if mode := queryOf(t, started.next()).Get("response_mode"); mode != "form_post" || f.login == "" {
		t.Fatalf("response_mode %q: %v", mode, started)
	}
	page, err := http.NewRequestWithContext(t.Context(), http.MethodGet, started.next(), nil)
	check(t, err)
	answer, err := exchange(direct, page)
	check(t, err)
	form := url.Values{}
	for _, field := range hiddenInput.FindAllStringSubmatch(answer.body, -1) {
		form.Add(field[1], field[2])
	}
	if form.Get("code") == "" {
		t.Fatalf("no form: %v", answer)
	}
	return form
}

// choice is one of several providers: how its discovery or keys differ, how it is made, and its settings besides issuer, client and secret.
type choice struct {
	change  func(*idptest.Provider)
	options func(*idptest.Options)
	oidc    map[string]any
}

// newChoices starts one replica whose people choose among these providers; whoever signs in at one is known to all. One replica: its fetches
// are counted.
func newChoices(t *testing.T, list map[string]choice) *choices {
	t.Helper()
	c := &choices{prover: newProver(t, options{noReplica: true}), at: map[string]*idptest.Provider{}}
	var entries []map[string]any
	for _, name := range slices.Sorted(maps.Keys(list)) {
		o := idptest.Options{
			Algorithm: "ES256", SignIn: func(r *http.Request) string { return r.Header.Get(personHeader) },
			Clients: []idptest.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{c.url + "/callback/" + name}}},
		}
		if list[name].options != nil {
			list[name].options(&o)
		}
		p := idptest.Start(t, o)
		if list[name].change != nil {
			list[name].change(p)
		}
		c.at[name] = p
		entry := map[string]any{"name": name, "issuer": p.Issuer(), "client_id": clientID, "client_secret": clientSecret}
		maps.Copy(entry, list[name].oidc)
		entries = append(entries, entry)
	}
	text, err := json.Marshal(entries)
	check(t, err)
	for _, key := range []string{"oidc.issuer", "oidc.client_id", "oidc.client_secret"} {
		delete(c.settings, key)
	}
	c.settings["providers"] = string(text)
	c.startReplicas(1)
	return c
}

// newcomer is somebody new to all of the providers.
func (c *choices) newcomer(conduct idptest.Conduct) *visitor {
	v := c.prover.newcomer(conduct)
	for _, p := range c.at {
		p.SetPerson(person(v.person))
		p.Treat(v.person, conduct)
	}
	return v
}

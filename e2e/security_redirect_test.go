package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/html"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// gate is where the replicas of returnRig are, as browsers see it; requests go to their listeners straight away.
const gate, gateURL = "gate.test", "http://gate.test/oauth2"

// returnVector is a return address that somebody asks for, and whether it is allowed.
type returnVector struct {
	row     int
	hosts   string // redirect.allowed_hosts
	encoded string // the address as the value of a parameter
	raw     string // and as it is
	allow   bool
	replica *replica // that has these hosts; nil when a replica refuses to start with them, which denies the address, too
}

func (v returnVector) isPath() bool { return strings.HasPrefix(v.raw, "/") }

// readReturnVectors reads the table against which the policy itself is tested.
func readReturnVectors(t *testing.T) (vectors []returnVector) {
	t.Helper()
	text, err := os.ReadFile("../authsvc/testdata/redirect_vectors.tsv")
	check(t, err)
	for i, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		column := strings.Split(line, "\t")
		if i == 0 {
			continue
		}
		v := returnVector{row: i + 1, hosts: column[0], encoded: column[1], allow: column[2] == "allow"}
		if v.raw, err = url.PathUnescape(v.encoded); err != nil {
			v.raw = v.encoded // malformed on purpose
		}
		if v.raw == "/ /evil.com" {
			v.allow = false // a space in a path may be refused, and is
		}
		vectors = append(vectors, v)
	}
	if len(vectors) < 400 {
		t.Fatalf("only %d vectors", len(vectors))
	}
	return vectors
}

// returnRig is a replica for each list of allowed hosts, which differ in nothing else.
type returnRig struct {
	*stack
	t       *testing.T // of the subtest under way
	vectors []returnVector
	widest  *replica // with the list of most vectors
	narrow  *replica // that allows no host but its own
	chooser *replica // whose sites have these lists and two providers each
	sites   map[string]string

	mu     sync.Mutex
	landed map[landing]string // and where it was met
}

// landing is an address that a browser was sent to, and the hosts that it may lead to besides the gate.
type landing struct{ address, hosts string }

func newReturnRig(t *testing.T) *returnRig {
	g := &returnRig{t: t, vectors: readReturnVectors(t), landed: map[landing]string{}, sites: map[string]string{}}
	rows := map[string]int{}
	for _, v := range g.vectors {
		rows[v.hosts]++
	}
	lists := slices.Sorted(maps.Keys(rows))
	g.stack = newStack(t, options{noReplica: true, provider: func(o *idptest.Options) {
		o.Algorithm = "ES256" // many logins
		client := &o.Clients[0]
		client.RedirectURIs = []string{gateURL + "/callback"}
		client.PostLogoutRedirectURIs = []string{gateURL + "/signed_out"}
		signIn := o.SignIn
		o.SignIn = func(r *http.Request) string {
			if person := signIn(r); person != "" {
				return person
			}
			return "alice" // who sits at the real browser
		}
	}})
	g.settings["public_url"], g.settings["store.timeout"] = gateURL, "1s" // many replicas start at once
	g.startChooser(lists)
	replicas := map[string]*replica{}
	for some := range slices.Chunk(lists, 6) { // starting takes most of what a replica ever needs
		for _, hosts := range some {
			settings := maps.Clone(g.settings)
			settings["redirect.allowed_hosts"] = hosts
			replicas[hosts] = newReplica(t, settings)
		}
		for _, hosts := range some {
			if !g.starts(replicas[hosts], hosts) {
				delete(replicas, hosts)
			}
		}
	}
	g.chooser.awaitReady()
	for i := range g.vectors {
		v := &g.vectors[i]
		v.replica = replicas[v.hosts]
		v.allow = v.allow && v.replica != nil
	}
	g.narrow = replicas[""]
	g.widest = replicas[slices.MaxFunc(lists, func(a, b string) int { return rows[a] - rows[b] })]
	if g.narrow == nil || g.widest == nil || g.widest == g.narrow || len(replicas) < 15 {
		t.Fatalf("the table has the lists %q", lists)
	}
	return g
}

// starts waits until a replica is ready, or has refused to start for its list of hosts.
func (g *returnRig) starts(r *replica, hosts string) bool {
	refused := false
	storetest.WaitFor(g.t, "a replica to start or refuse to", func() error {
		if !r.running() {
			refused = true
			if code := r.exitCode(); code != 2 || !strings.Contains(r.log.String(), "AUTHSVC_REDIRECT_ALLOWED_HOSTS") {
				g.t.Fatalf("with the hosts %q the program left with %d:\n%s", hosts, code, r.log.String())
			}
			return nil
		}
		state, err := r.readyz("?strict=1")
		if err == nil && state.status != http.StatusOK {
			err = fmt.Errorf("%+v", state)
		}
		return err
	})
	return !refused
}

// startChooser starts the replica at which people choose a provider, with a site for each list of hosts that can be one.
func (g *returnRig) startChooser(lists []string) {
	another := idptest.Start(g.t, idptest.Options{Clients: []idptest.Client{{ID: clientID, Secret: clientSecret}}})
	provider := func(name, issuer string) map[string]any {
		return map[string]any{"name": name, "issuer": issuer, "client_id": clientID, "client_secret": clientSecret}
	}
	providers, err := json.Marshal([]any{provider("one", g.provider.Issuer()), provider("two", another.Issuer())})
	check(g.t, err)
	var sites []map[string]any
	for i, hosts := range lists {
		if hosts == "*" || hosts == "." || hosts == "*." {
			continue // refused at start: newReturnRig sees that
		}
		name := fmt.Sprintf("s%d.test", i)
		g.sites[hosts] = name
		sites = append(sites, map[string]any{
			"hosts": []string{name}, "public_url": "http://" + name + "/oauth2",
			"redirect": map[string]any{"allowed_hosts": strings.FieldsFunc(hosts, func(r rune) bool { return r == ',' })},
		})
	}
	list, err := json.Marshal(sites)
	check(g.t, err)
	settings := maps.Clone(g.settings)
	maps.DeleteFunc(settings, func(key, _ string) bool { return strings.HasPrefix(key, "oidc.") })
	settings["providers"], settings["sites"], settings["store.prefix"] = string(providers), string(list), "chooser"
	g.chooser = newReplica(g.t, settings)
}

// ask sends a request whose target stands in the request line as it is.
func (g *returnRig) ask(r *replica, method, host, target string, header http.Header, form url.Values) (reply, error) {
	request, err := http.NewRequest(method, "http://"+r.address, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	request.URL.Opaque, request.Host, request.Header = target, host, http.Header{}
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	maps.Copy(request.Header, header)
	return exchange(direct, request)
}

func (g *returnRig) get(r *replica, target string, header http.Header) (reply, error) {
	return g.ask(r, http.MethodGet, gate, target, header, nil)
}

// attemptAt is a login that has been begun.
type attemptAt struct {
	cookie   http.Header // of the browser
	state    string
	provider string // where the browser is sent
}

// begin begins a login by a target below /oauth2/start.
func (g *returnRig) begin(r *replica, target string, header http.Header) (attemptAt, error) {
	start, err := g.get(r, target, header)
	if err != nil {
		return attemptAt{}, err
	}
	a, cookies := attemptAt{provider: start.header.Get("Location")}, start.cookies()
	if start.status != http.StatusFound || len(cookies) != 1 || cookies[0].Name != loginCookie || !strings.HasPrefix(a.provider, g.provider.Issuer()) {
		return attemptAt{}, fmt.Errorf("it begins no login: %d, Location %q", start.status, a.provider)
	}
	u, err := url.Parse(a.provider)
	if err != nil {
		return attemptAt{}, err
	}
	a.cookie, a.state = http.Header{"Cookie": {loginCookie + "=" + cookies[0].Value}}, u.Query().Get("state")
	return a, nil
}

// callback comes back from the provider, and calls a replica.
func (g *returnRig) callback(r *replica, a attemptAt) (reply, error) {
	request, err := http.NewRequest(http.MethodGet, a.provider, nil)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set(personHeader, "alice")
	back, err := exchange(direct, request)
	if err != nil {
		return reply{}, err
	}
	query, found := strings.CutPrefix(back.header.Get("Location"), gateURL+"/callback?")
	if !found {
		return reply{}, fmt.Errorf("the provider answers %v", back)
	}
	answer, err := g.get(r, "/oauth2/callback?"+query, a.cookie)
	for again := retries; err == nil && answer.status == http.StatusServiceUnavailable && again > 0; again-- { // see walk
		answer, err = g.get(r, "/oauth2/callback?"+query, a.cookie)
	}
	return answer, err
}

// endsAt finishes a login at a replica, and checks where the browser is sent.
func (g *returnRig) endsAt(r *replica, a attemptAt, want string) error {
	answer, err := g.callback(r, a)
	if err != nil {
		return err
	}
	if got := answer.header["Location"]; answer.status != http.StatusFound || len(got) != 1 || got[0] != want {
		return fmt.Errorf("the login ends with %d at %q, want %q", answer.status, got, want)
	}
	return nil
}

// leads notes that a browser was sent to where a vector led.
func (g *returnRig) leads(v returnVector, address, by string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.landed[landing{address, v.hosts}] = fmt.Sprintf("row %d, %s", v.row, by)
}

// asSent is an address as the value of a Location: byte for byte, up to the encoding of what is no ASCII.
func asSent(raw string) string {
	var sent strings.Builder
	for _, c := range []byte(raw) {
		if c < 0x80 {
			sent.WriteByte(c)
		} else {
			fmt.Fprintf(&sent, "%%%02X", c)
		}
	}
	return sent.String()
}

// startAt is the address at which a login begins that ends at an address; "" for none.
func startAt(address string) string {
	if address == "" {
		return gateURL + "/start"
	}
	return gateURL + "/start?rd=" + url.QueryEscape(address)
}

// leadsNowhere checks a page: no header of it leads on, no cookie is set, and what can be pressed on it leads to one of the addresses alone. What
// is not asked of it is that the page holds no text of the vector, which can be as short as a slash: texts lead nobody.
func leadsNowhere(answer reply, status int, addresses ...string) error {
	if answer.status != status || answer.next() != "" || len(answer.header["Set-Cookie"]) > 0 {
		return fmt.Errorf("%d, Location %q, Refresh %q, %d cookies; want %d and no more", answer.status, answer.header["Location"], answer.header["Refresh"], len(answer.header["Set-Cookie"]), status)
	}
	for _, way := range waysOn(answer.body) {
		if !slices.Contains(addresses, way) {
			return fmt.Errorf("the page leads to %q, want none but %q", way, addresses)
		}
	}
	return nil
}

// waysOn returns every address in a page's attributes, as browsers read it.
func waysOn(page string) (ways []string) {
	for tokens := html.NewTokenizer(strings.NewReader(page)); ; {
		switch tokens.Next() {
		case html.ErrorToken:
			return ways
		case html.StartTagToken, html.SelfClosingTagToken:
			token := tokens.Token()
			for _, attribute := range token.Attr {
				switch attribute.Key {
				case "href", "src", "action", "formaction", "data", "srcset", "poster":
					ways = append(ways, attribute.Val)
				case "content":
					if token.Data == "meta" && strings.Contains(attribute.Val, "url=") {
						ways = append(ways, attribute.Val)
					}
				}
			}
		}
	}
}

package authsvc

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/authsvc/idptest"
	"authsvc/session/memstore"
)

// rig is replicas of the service over one store, behind one public URL that spreads requests over them by round robin, with a
// provider that misbehaves on request.
type rig struct {
	t        testing.TB
	provider *idptest.Provider
	store    *faultyStore
	replicas []*Service
	url      string // public_url
	log      *logBuffer

	front   *httptest.Server
	clock   atomic.Int64 // nanoseconds that the store's clock is ahead
	next    atomic.Int64
	visitor atomic.Value // subject of who sits at the browser that the provider sees
}

// alice, bob and carol can sign in.
var people = []idptest.Person{
	{Subject: "alice", Name: "Alice Example", PreferredUsername: "alice", Email: "alice@example.com", EmailVerified: true, Groups: []string{"staff", "admins"}},
	{Subject: "bob", PreferredUsername: "bob", Email: "bob@Example.COM", EmailVerified: true, Groups: []string{"staff"}},
	{Subject: "carol", Email: "carol@partner.example", EmailVerified: false},
}

const testClientSecret = "client-secret-canary"

// newRig starts a rig; configure may change the configuration before the replicas are made.
func newRig(t testing.TB, replicas int, configure func(*Config)) *rig {
	t.Helper()
	return newRigWith(t, replicas, configure, nil)
}

// newRigWith is newRig with a provider of the test's own: provide may change what it is.
func newRigWith(t testing.TB, replicas int, configure func(*Config), provide func(*idptest.Options)) *rig {
	t.Helper()
	r := &rig{t: t, log: new(logBuffer)}
	r.visitor.Store("alice")
	r.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.replicas[int(r.next.Add(1))%len(r.replicas)].Handler().ServeHTTP(w, req)
	}))
	t.Cleanup(r.front.Close)
	r.url = r.front.URL

	r.store = &faultyStore{Store: memstore.New(r.now)}
	config := DefaultConfig()
	config.PublicURL = r.url
	config.OIDC.ClientID, config.OIDC.ClientSecret = "app", testClientSecret
	config.Cookie.Secret = []Secret{cookieSecret(1)}
	config.Session.CacheTTL = 0 // what the store holds is what counts; cache_test.go turns it on
	config.OIDC.Issuer = "set below"
	if configure != nil {
		configure(config)
	}
	r.url = config.PublicURL
	if config.OIDC.Issuer == "set below" || provide != nil {
		r.startProvider(config, provide)
	}
	config.Complete()
	if problems, _ := config.Validate(); len(problems) > 0 {
		t.Fatalf("configuration: %v", problems)
	}
	for range replicas {
		service, err := New(Options{Config: config, Store: r.store, Log: zerolog.New(r.log), Metrics: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		service.standing.Store(&standing{Admitted: true, Opened: true}) // it has asked nobody
		run(t, service)
		r.replicas = append(r.replicas, service)
	}
	return r
}

// startProvider starts a provider of its own, which is that of the configuration.
func (r *rig) startProvider(config *Config, provide func(*idptest.Options)) {
	r.t.Helper()
	options := idptest.Options{
		People: people,
		Clients: []idptest.Client{{
			ID: config.OIDC.ClientID, Secret: config.OIDC.ClientSecret.Reveal(), RedirectURIs: []string{r.url + "/callback"},
			PostLogoutRedirectURIs: []string{r.url + "/signed_out"},
		}},
		Now:    r.now,
		SignIn: func(*http.Request) string { return r.visitor.Load().(string) },
	}
	if provide != nil {
		provide(&options)
	}
	r.provider = idptest.Start(r.t, options)
	config.OIDC.Issuer = r.provider.Issuer()
}

// run runs the service until the test ends, and waits until it knows its provider.
func run(t testing.TB, s *Service) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	eventually(t, "the providers are discovered", func() bool {
		return !slices.ContainsFunc(s.sites.Load().all, func(site *site) bool {
			return site.provider(func(p *provider) bool { _, err := p.ready(); return err != nil }) != nil
		})
	})
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.clock.Load())) }

// advance moves the clock of the store, by which all replicas measure.
func (r *rig) advance(d time.Duration) { r.clock.Add(int64(d)) }

func cookieSecret(n byte) Secret {
	return Secret(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{n}, 32)))
}

// browser keeps cookies and follows redirects as a browser does.
type browser struct {
	t      testing.TB
	rig    *rig
	base   string // the public_url that it goes to
	client *http.Client
	// stop, if set, ends the following of redirects at the first address that it accepts.
	stop func(*url.URL) bool
}

func (r *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	b := &browser{t: r.t, rig: r, base: r.url}
	b.client = &http.Client{Jar: jar, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if b.stop != nil && b.stop(req.URL) || len(via) > 12 {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	return b
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body string
}

func (b *browser) do(method, address string, header http.Header) reply {
	b.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.base + address
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.send(request, header)
}

// send sends a request of the caller's making.
func (b *browser) send(request *http.Request, header http.Header) reply {
	b.t.Helper()
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := b.client.Do(request)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return reply{response, string(body)}
}

func (b *browser) get(address string) reply { b.t.Helper(); return b.do(http.MethodGet, address, nil) }

// auth asks as a gateway would on behalf of this browser.
func (b *browser) auth(query string) reply { b.t.Helper(); return b.get("/auth" + query) }

// signIn goes through a whole login, and returns the answer that leads to where it ends.
func (b *browser) signIn() reply {
	b.t.Helper()
	b.stop = func(u *url.URL) bool { return u.Path == "/landed" }
	defer func() { b.stop = nil }()
	return b.get("/start?rd=" + url.QueryEscape("/landed?a=b&c=d"))
}

// toCallback goes as far as the provider's answer, and returns the callback's address without opening it.
func (b *browser) toCallback() string {
	b.t.Helper()
	b.stop = func(u *url.URL) bool { return strings.HasSuffix(u.Path, "/callback") }
	defer func() { b.stop = nil }()
	response := b.get("/start?rd=%2Flanded")
	location := response.Header.Get("Location")
	if !strings.Contains(location, "/callback?") {
		b.t.Fatalf("the login did not come to the callback: %s, Location %q\n%s", response.Status, location, response.body)
	}
	return location
}

// open opens an address and does not follow where it leads.
func (b *browser) open(address string) reply {
	b.t.Helper()
	b.stop = func(*url.URL) bool { return true }
	defer func() { b.stop = nil }()
	return b.get(address)
}

// cookies returns the names of the cookies that the browser holds for the service.
func (b *browser) cookies() []string {
	address, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	var names []string
	for _, c := range b.client.Jar.Cookies(address) {
		if strings.HasPrefix(c.Name, "authsvc") { // jars do not tell ports apart: the provider's is here too
			names = append(names, c.Name)
		}
	}
	return names
}

// logBuffer keeps what the replicas log.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *browser) cookie(name string) *http.Cookie {
	b.t.Helper()
	address, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, c := range b.client.Jar.Cookies(address) {
		if c.Name == name {
			return c
		}
	}
	b.t.Fatalf("the browser has no cookie %s", name)
	return nil
}

func (b *browser) sessionCookie() string     { b.t.Helper(); return b.cookie("authsvc").Value }
func (b *browser) loginCookie() *http.Cookie { b.t.Helper(); return b.cookie("authsvc_login") }

func (b *browser) setCookie(c *http.Cookie) {
	address, err := url.Parse(b.base)
	if err != nil {
		b.t.Fatal(err)
	}
	b.client.Jar.SetCookies(address, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/"}})
}

// sessionCookieOf returns the session cookie that an answer sets.
func sessionCookieOf(r reply) *http.Cookie {
	for _, c := range r.Cookies() {
		if c.Name == "authsvc" && c.Value != "" {
			return c
		}
	}
	return nil
}

// withCookie asks /auth with exactly this value of the session cookie.
func (r *rig) withCookie(value string) reply {
	r.t.Helper()
	b := r.browser()
	return b.do(http.MethodGet, "/auth", http.Header{"Cookie": {"authsvc=" + value}})
}

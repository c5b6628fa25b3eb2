package e2e

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

// options say how a stack differs from two replicas over a plain Redis.
type options struct {
	replicas  int      // 0 means 2
	redis     []string // arguments of redis-server
	storeURL  func(*storetest.Server) string
	store     func(*testing.T) (keeper, string) // starts another one than a plain Redis, and returns its URL; redis and storeURL are of a plain one
	settings  map[string]string                 // of all replicas, named as in the configuration
	provider  func(*idptest.Options)
	noReplica bool // the test starts them, and nginx
}

// stack is everything: nginx in front of replicas and an application, Redis and a provider behind them.
type stack struct {
	t        *testing.T
	url      string            // public_url
	site     string            // where nginx listens
	redis    *storetest.Server // nil unless it is a plain one
	store    keeper
	provider *idptest.Provider
	app      *application
	replicas []*replica
	settings map[string]string
	nginx    *nginxtest.Server
	gatewayDiffers
}

// keeper is where sessions are kept. It tells what is left of the life of each key, negative for one without expiry.
type keeper interface {
	Lives(context.Context) (map[string]time.Duration, error)
}

const clientID, clientSecret = "app", "client-secret-canary-7Qw2"

// newStack starts one and returns when it is ready.
func newStack(t *testing.T, o options) *stack {
	t.Helper()
	s := &stack{t: t, app: newApplication(t), site: nginxtest.FreeAddress(t)}
	s.url = "http://" + s.site
	s.settings = map[string]string{
		"public_url": s.url, "oidc.client_id": clientID, "oidc.client_secret": clientSecret,
		"cookie.secret": newSecret(), "shutdown.delay": "0",
	}
	s.startStore(o)
	t.Cleanup(func() {
		if !t.Failed() {
			s.everyKeyEnds()
		}
	})
	s.startProvider(o.provider)
	maps.Copy(s.settings, o.settings)
	if !o.noReplica {
		s.startReplicas(cmp.Or(o.replicas, 2))
	}
	return s
}

// startStore starts Redis, as the options say, and tells the replicas where it is.
func (s *stack) startStore(o options) {
	s.t.Helper()
	if o.store != nil {
		s.store, s.settings["store.url"] = o.store(s.t)
		return
	}
	s.redis = storetest.StartRedis(s.t, o.redis...)
	s.store, s.settings["store.url"] = s.redis, s.redis.URL
	if o.storeURL != nil {
		s.settings["store.url"] = o.storeURL(s.redis)
	}
}

// startReplicas starts n replicas with the stack's settings, and nginx in front of them when they are ready.
func (s *stack) startReplicas(n int) {
	s.t.Helper()
	for range n {
		s.replicas = append(s.replicas, newReplica(s.t, s.settings))
	}
	for _, r := range s.replicas {
		r.awaitReady()
	}
	s.startNginx()
}

func newSecret() string {
	secret := make([]byte, 32)
	rand.Read(secret)
	return base64.StdEncoding.EncodeToString(secret)
}

// startProvider starts a provider at which everybody can sign in whom the browser names.
func (s *stack) startProvider(change func(*idptest.Options)) {
	s.t.Helper()
	o := idptest.Options{
		Clients: []idptest.Client{{
			ID: clientID, Secret: clientSecret,
			RedirectURIs: []string{s.url + "/callback"}, PostLogoutRedirectURIs: []string{s.url + "/signed_out"},
		}},
		SignIn: func(r *http.Request) string { return r.Header.Get(personHeader) },
	}
	for _, name := range []string{"alice", "bob", "carol"} {
		o.People = append(o.People, person(name))
	}
	if change != nil {
		change(&o)
	}
	s.provider = idptest.Start(s.t, o)
	s.settings["oidc.issuer"] = s.provider.Issuer()
}

func person(name string) idptest.Person {
	return idptest.Person{
		Subject: name, PreferredUsername: name, Email: name + "@example.com", EmailVerified: true, Groups: []string{"staff", "team-" + name},
	}
}

// startNginx starts nginx with what the program renders. Answers of the endpoints tell which replica gave them.
func (s *stack) startNginx() {
	s.t.Helper()
	var replicas []string
	for _, r := range s.replicas {
		replicas = append(replicas, r.address)
	}
	args := fmt.Sprintf("nginx render --server-name 127.0.0.1 --listen %s --upstream %s --replica %s",
		s.site, s.app.Listener.Addr(), strings.Join(replicas, ","))
	rendered := run(s.t, args)
	if rendered.code != 0 {
		s.t.Fatalf("authsvc %s: %s", args, rendered.stderr)
	}
	s.nginx = nginxtest.Start(s.t, "add_header "+answeredBy+" $upstream_addr always;\n"+rendered.stdout)
}

// answeredBy names the replica that answered; where nginx had to ask several, all of them.
const answeredBy = "X-Answered-By"

// address is the public URL.
func (s *stack) address() *url.URL {
	u, err := url.Parse(s.url)
	if err != nil {
		s.t.Fatal(err)
	}
	return u
}

// host is the public URL's host with its port.
func (s *stack) host() string { return s.site }

// records counts the sessions as anybody can: by the names of their keys.
func (s *stack) records() int {
	s.t.Helper()
	records := cmp.Or(s.settings["store.prefix"], "authsvc") + ":session:"
	return len(slices.DeleteFunc(s.keys(), func(key string) bool { return !strings.HasPrefix(key, records) }))
}

// allKeys returns the names of all keys.
func (s *stack) allKeys() []string {
	s.t.Helper()
	lives, err := s.store.Lives(context.Background())
	check(s.t, err)
	return slices.Sorted(maps.Keys(lives))
}

// keys returns the names of the keys that are there because of people.
func (s *stack) keys() []string {
	s.t.Helper()
	return slices.DeleteFunc(s.allKeys(), ofReplicas)
}

// ofReplicas reports whether a key is there because replicas are: the roster, or the store's ID.
func ofReplicas(key string) bool {
	return strings.Contains(key, ":replica:{") || isStoreID(key)
}

func isStoreID(key string) bool { return strings.Contains(key, ":store:{") }

// everyKeyEnds checks that no key lives for ever.
func (s *stack) everyKeyEnds() {
	s.t.Helper()
	lives, err := s.store.Lives(context.Background())
	if err != nil {
		s.t.Errorf("how long keys live: %v", err)
	}
	for name, left := range lives {
		longest := 14 * time.Hour
		if isStoreID(name) {
			longest = 30 * 24 * time.Hour // it outlives whoever uses it
		}
		if left < 0 || left > longest {
			s.t.Errorf("%s lives for %v", name, left)
		}
	}
}

// transport is the way of this stack's browsers.
func (s *stack) transport() http.RoundTripper { return transport }

// listenOn holds a free port of the loopback interface.
func listenOn(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	check(t, err)
	t.Cleanup(func() { l.Close() })
	return l
}

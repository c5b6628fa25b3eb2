package idptest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Endpoint names one of the provider's endpoints, for the request log and for Intercept.
type Endpoint string

// The endpoints. A path below the issuer, like "/elsewhere", names what is none of them.
const (
	Discovery     Endpoint = "discovery"
	JWKS          Endpoint = "jwks"
	Authorize     Endpoint = "authorize"
	SignIn        Endpoint = "signin" // where the sign-in page's buttons lead
	Token         Endpoint = "token"
	Userinfo      Endpoint = "userinfo"
	EndSession    Endpoint = "end_session"
	Revocation    Endpoint = "revocation"
	Push          Endpoint = "push" // of authorization requests, with Options.Push
	Introspection Endpoint = "introspection"
)

// maxBody bounds what the provider reads of a request.
const maxBody = 1 << 20

// Provider is an OpenID Connect provider as an http.Handler. Safe for concurrent use.
type Provider struct {
	options Options
	prefix  string // the issuer's path, without a final slash
	routes  map[string]route
	hooks   hooks
	log     requestLog
	keys    keyRing
	state   state
	tlsBase string // the issuer's address on the port of Options.TLS; "" without
}

type route struct {
	endpoint Endpoint
	methods  []string
	handle   http.HandlerFunc
}

// New makes a provider that somebody else serves at options.Issuer.
func New(options Options) (*Provider, error) {
	if err := options.fill(); err != nil {
		return nil, err
	}
	keys, err := newKeys(options.Algorithm, 1+options.ExtraKeys, options.NoKeyID)
	if err != nil {
		return nil, err
	}
	issuer, err := url.Parse(options.Issuer)
	if err != nil {
		return nil, err
	}
	p := &Provider{
		options: options,
		prefix:  strings.TrimSuffix(issuer.Path, "/"),
		keys:    keyRing{keys: keys},
		state: state{
			secret:   []byte(rand.Text()),
			people:   slices.Clone(options.People),
			sessions: map[string]*session{},
			codes:    map[string]*code{},
			grants:   map[string]*grant{},
			access:   map[[32]byte]*accessToken{},
			counts:   map[string]*Counts{},
			pushed:   map[string]pushed{},

			assertions: map[string]time.Time{},
		},
	}
	get := []string{http.MethodGet, http.MethodHead}
	both := []string{http.MethodGet, http.MethodPost}
	post := []string{http.MethodPost}
	p.routes = map[string]route{
		"/.well-known/openid-configuration": {Discovery, get, p.serveDiscovery},
		"/jwks":                             {JWKS, get, p.serveJWKS},
		"/authorize":                        {Authorize, both, p.serveAuthorize},
		"/signin":                           {SignIn, both, p.serveSignIn},
		"/token":                            {Token, post, p.serveToken},
		"/userinfo":                         {Userinfo, both, p.serveUserinfo},
		"/end_session":                      {EndSession, both, p.serveEndSession},
		"/revoke":                           {Revocation, post, p.serveRevocation},
		"/introspect":                       {Introspection, post, p.serveIntrospection},
	}
	for path, route := range p.routes {
		for member, endpoint := range endpointMembers {
			if route.endpoint == endpoint && !options.Shape.has(member) {
				delete(p.routes, path)
			}
		}
	}
	if options.Push != PushNever {
		p.routes["/push"] = route{Push, post, p.servePush}
	}
	return p, nil
}

// Issuer is the provider's identifier.
func (p *Provider) Issuer() string { return p.options.Issuer }

// URL is where the endpoint is, or the path where it is none of the named ones.
func (p *Provider) URL(endpoint Endpoint) string {
	base := strings.TrimSuffix(p.options.Issuer, "/")
	for path, route := range p.routes {
		if route.endpoint == endpoint {
			return base + path
		}
	}
	return base + string(endpoint)
}

// ServeHTTP records the request, gives it to the endpoint's Intercept if there is one, or to the person's, and answers it.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, below := strings.CutPrefix(r.URL.Path, p.prefix)
	if !below {
		path = r.URL.Path
	}
	route, known := p.routes[path]
	if !known || !below {
		route = missing(path)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		http.Error(w, "The request is too large.", http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		return // the client went away
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	entry := p.log.add(p.options.Now(), route.endpoint, r, body)
	answer := &statusWriter{ResponseWriter: w}
	defer func() { p.log.finish(entry, answer.status) }()

	honest := http.Handler(allow(route))
	if intercept := p.hooks.interceptFor(route.endpoint, p.subjectOf(route.endpoint, r, body)); intercept != nil {
		intercept(answer, r, honest)
		return
	}
	honest.ServeHTTP(answer, r)
}

func missing(path string) route {
	return route{endpoint: Endpoint(path), handle: http.NotFound}
}

func allow(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if route.methods != nil && !slices.Contains(route.methods, r.Method) {
			w.Header().Set("Allow", strings.Join(route.methods, ", "))
			http.Error(w, "This endpoint takes "+strings.Join(route.methods, " or ")+".", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		route.handle(w, r)
	}
}

// client finds a registered client.
func (p *Provider) client(id string) *Client {
	for i := range p.options.Clients {
		if p.options.Clients[i].ID == id {
			return &p.options.Clients[i]
		}
	}
	return nil
}

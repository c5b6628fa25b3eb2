package authsvc

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/go-chi/chi/v5"

	"authsvc/authsvc/pages"
)

// route is one endpoint below the path of public_url.
type route struct {
	path    string   // "/*" at its end takes everything below
	methods []string // nil means any
	handle  http.HandlerFunc
	// check takes the place of handle where gateways ask. Which site is meant is then no matter of the host: a check tells what was asked.
	check func(w http.ResponseWriter, r *http.Request, info requestInfo)
}

// routes is every public endpoint there is.
func (s *Service) routes() []route {
	get := []string{http.MethodGet, http.MethodHead}
	getOrPost := append(slices.Clone(get), http.MethodPost)
	start, callback := s.page(s.limited(s.starts, s.start)), s.page(s.limited(s.callbacks, s.callback))
	routes := []route{
		{path: "/start", methods: get, handle: start},
		{path: "/sign_in", methods: get, handle: start},
		{path: "/callback", handle: callback}, // which of GET and POST is the provider's matter
		{path: "/callback/{provider}", handle: callback},
		{path: "/logout", methods: getOrPost, handle: s.page(s.logout)},
		{path: "/sign_out", methods: getOrPost, handle: s.page(s.logout)},
		{path: "/signed_out", methods: get, handle: s.page(s.signedOut)},
		{path: "/backchannel-logout", methods: []string{http.MethodPost}, handle: s.backchannelLogout},
		{path: "/session", methods: get, handle: s.sessionJSON},
		{path: "/sessions", methods: getOrPost, handle: s.page(s.sessions)},
		{path: "/userinfo", methods: get, handle: s.userinfoJSON},
		{path: "/jwks.json", methods: get, handle: s.jwks},
	}
	for path, dialect := range dialects {
		routes = append(routes, route{path: path, check: s.check(dialect)})
	}
	return routes
}

// Handler returns the public handler.
func (s *Service) Handler() http.Handler {
	p := &publicHandler{tree: chi.NewRouter(), endpoints: map[string]http.HandlerFunc{}, plain: map[string]http.HandlerFunc{}}
	for _, prefix := range s.sites.Load().prefixes() {
		for _, route := range s.routes() {
			p.endpoints[prefix+route.path] = s.endpoint(route, prefix)
		}
	}
	for pattern, endpoint := range p.endpoints {
		p.tree.Handle(pattern, endpoint)
		if !strings.ContainsAny(pattern, "{*") {
			p.plain[pattern] = endpoint
		}
	}
	p.other = s.endpoint(route{path: other, handle: s.page(s.notFound)}, "")
	return p
}

// other is the route of what has none.
const other = "other"

// publicHandler finds the endpoint of a request. It asks chi's tree where chi's own ServeHTTP would make a context and a copy of each request for what
// it finds: half of the memory that a verdict took.
type publicHandler struct {
	tree      *chi.Mux
	endpoints map[string]http.HandlerFunc // by pattern
	plain     map[string]http.HandlerFunc // those whose pattern is a path, which chi prefers, too
	other     http.HandlerFunc
	contexts  sync.Pool // of *chi.Context, as chi has one
}

// ServeHTTP looks at the path only: chi knows the usual methods, and a check may have any. endpoint judges the method.
func (p *publicHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := cmp.Or(r.URL.RawPath, r.URL.Path, "/")
	if endpoint := p.plain[path]; endpoint != nil {
		endpoint(w, r)
		return
	}
	found, _ := p.contexts.Get().(*chi.Context)
	if found == nil {
		found = chi.NewRouteContext()
	}
	endpoint := p.endpoints[p.tree.Find(found, http.MethodGet, path)]
	for i, name := range found.URLParams.Keys {
		if name != "*" { // what is below a check is read from the request line
			r.SetPathValue(name, found.URLParams.Values[i])
		}
	}
	found.Reset()
	p.contexts.Put(found) // before the endpoint, which needs nothing of it
	if endpoint == nil {
		endpoint = p.other
	}
	endpoint(w, r)
}

func (s *Service) notFound(_ http.ResponseWriter, r *http.Request) error {
	return &pageError{http.StatusNotFound, s.homePage(r, pages.NotFound), "not_found", nil}
}

// errReachedNoSite says that a browser has reached us where no site has its endpoints.
var errReachedNoSite = errors.New("no site has its public_url at this host and path, or this host among its hosts; the gateway must pass on the Host header, or set X-Forwarded-Host")

func (s *Service) noSite(_ http.ResponseWriter, r *http.Request) error {
	return &pageError{http.StatusNotFound, s.homePage(r, pages.NotFound), "no_site", errReachedNoSite}
}

// homePage is a page whose button leads to where a login at this site ends.
func (s *Service) homePage(r *http.Request, kind pages.Kind) pages.Page {
	if site := infoOf(r).site; site != nil {
		return pages.Page{Kind: kind, Action: site.returnDefault}
	}
	return pages.Page{Kind: kind, Action: "/"}
}

// refuseMethod answers a request of another method than those that the endpoint has.
func (s *Service) refuseMethod(w http.ResponseWriter, r *http.Request, methods ...string) error {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return &pageError{http.StatusMethodNotAllowed, s.homePage(r, pages.MethodNotAllowed), "method", nil}
}

// requestInfo is what is known of a request before it is handled.
type requestInfo struct {
	id       string // in every answer and log line
	endpoint string // the route's path: unlike the request's it never holds anything personal
	trusted  bool   // the peer's forwarded headers count
	prefix   string // the path above the endpoint
	site     *site  // that a browser has reached; nil for none, which no handler of a site ever sees, and for checks
}

type requestInfoKey struct{}

func infoOf(r *http.Request) requestInfo {
	info, _ := r.Context().Value(requestInfoKey{}).(requestInfo)
	return info
}

// with returns the request with what infoOf tells. It costs memory, so checks are handed it instead.
func (info requestInfo) with(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, info))
}

// endpoint surrounds a route's handler with what all of them share: the request's name, the methods, and an answer
// to a panic.
func (s *Service) endpoint(route route, prefix string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		info := requestInfo{endpoint: route.path, prefix: prefix}
		defer func() {
			if cause := recover(); cause != nil {
				s.answerPanic(w, r, info, cause)
			}
		}()
		all := s.sites.Load()
		info.trusted = all.main.trusts(r)
		name := requestID(r, info.trusted)
		info.id, w.Header()["X-Request-Id"] = name[0], name
		if route.check != nil {
			route.check(w, r, info)
			return
		}
		info.site = all.reached(reachedHost(r, info.trusted), prefix)
		r = info.with(r)
		switch {
		case info.site == nil && route.path != other:
			s.page(s.noSite)(w, r)
		case route.methods != nil && !slices.Contains(route.methods, r.Method):
			s.page(func(w http.ResponseWriter, r *http.Request) error { return s.refuseMethod(w, r, route.methods...) })(w, r)
		default:
			route.handle(w, r)
		}
	}
}

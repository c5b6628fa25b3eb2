package authsvc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"authsvc/authsvc/pages"
)

// route is one endpoint below the path of public_url.
type route struct {
	path    string   // "/*" at its end takes everything below
	methods []string // nil means any
	handle  http.HandlerFunc
	// anywhere says that it is no matter of the host which site is meant: a check tells what was asked.
	anywhere bool
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
		routes = append(routes, route{path: path, handle: s.check(dialect), anywhere: true})
	}
	return routes
}

// Handler returns the public handler.
func (s *Service) Handler() http.Handler {
	router := chi.NewRouter()
	router.Use(byPathAlone)
	for _, prefix := range s.sites.Load().prefixes() {
		for _, route := range s.routes() {
			router.HandleFunc(prefix+route.path, s.endpoint(route, prefix))
		}
	}
	router.NotFound(s.endpoint(route{path: "other", handle: s.page(s.notFound), anywhere: true}, ""))
	return router
}

// byPathAlone makes the router look at the path only: it knows the usual methods, and a check may have any. endpoint judges
// the method.
func byPathAlone(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
		next.ServeHTTP(w, r)
	})
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
	site     *site  // that a browser has reached; nil for none, which no handler of a site ever sees
}

type requestInfoKey struct{}

func infoOf(r *http.Request) requestInfo {
	info, _ := r.Context().Value(requestInfoKey{}).(requestInfo)
	return info
}

// endpoint surrounds a route's handler with what all of them share: the request's name, the methods, and an answer
// to a panic.
func (s *Service) endpoint(route route, prefix string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				s.answerPanic(w, r, route.path, cause)
			}
		}()
		all := s.sites.Load()
		trusted := all.main.trusts(r)
		info := requestInfo{
			id: requestID(r, trusted), endpoint: route.path, trusted: trusted,
			prefix: prefix, site: all.reached(reachedHost(r, trusted), prefix),
		}
		w.Header()["X-Request-Id"] = []string{info.id}
		r = r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, info))
		switch {
		case info.site == nil && !route.anywhere:
			s.page(s.noSite)(w, r)
		case route.methods != nil && !slices.Contains(route.methods, r.Method):
			s.page(func(w http.ResponseWriter, r *http.Request) error { return s.refuseMethod(w, r, route.methods...) })(w, r)
		default:
			route.handle(w, r)
		}
	}
}

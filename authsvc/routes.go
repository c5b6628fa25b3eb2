package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"runtime/debug"
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
}

// routes is every public endpoint there is.
func (s *Service) routes() []route {
	get := []string{http.MethodGet, http.MethodHead}
	getOrPost := append(slices.Clone(get), http.MethodPost)
	callback := []string{http.MethodGet}
	if s.site.Load().provider.formPost {
		callback = []string{http.MethodPost}
	}
	routes := []route{
		{"/start", get, s.page(s.start)},
		{"/sign_in", get, s.page(s.start)},
		{"/callback", callback, s.page(s.callback)},
		{"/logout", getOrPost, s.page(s.logout)},
		{"/sign_out", getOrPost, s.page(s.logout)},
		{"/signed_out", get, s.page(s.signedOut)},
		{"/backchannel-logout", []string{http.MethodPost}, s.backchannelLogout},
		{"/session", get, s.sessionJSON},
		{"/sessions", getOrPost, s.page(s.sessions)},
		{"/userinfo", get, s.userinfoJSON},
		{"/jwks.json", get, s.jwks},
	}
	for path, dialect := range dialects {
		routes = append(routes, route{path, nil, s.check(dialect)})
	}
	return routes
}

// Handler returns the public handler.
func (s *Service) Handler() http.Handler {
	router := chi.NewRouter()
	router.Use(byPathAlone)
	prefix := s.site.Load().prefix
	for _, route := range s.routes() {
		router.HandleFunc(prefix+route.path, s.endpoint(route))
	}
	router.NotFound(s.endpoint(route{path: "other", handle: s.page(s.notFound)}))
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

func (s *Service) notFound(http.ResponseWriter, *http.Request) error {
	return &pageError{http.StatusNotFound, s.homePage(pages.NotFound), "not_found", nil}
}

// homePage is a page whose button leads to where a login ends.
func (s *Service) homePage(kind pages.Kind) pages.Page {
	return pages.Page{Kind: kind, Action: s.site.Load().returnDefault}
}

// requestInfo is what is known of a request before it is handled.
type requestInfo struct {
	id       string // in every answer and log line
	endpoint string // the route's path: unlike the request's it never holds anything personal
	trusted  bool   // the peer's forwarded headers count
}

type requestInfoKey struct{}

func infoOf(r *http.Request) requestInfo {
	info, _ := r.Context().Value(requestInfoKey{}).(requestInfo)
	return info
}

// endpoint surrounds a route's handler with what all of them share: the request's name, the methods, and an answer
// to a panic.
func (s *Service) endpoint(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		trusted := s.site.Load().trusts(r)
		info := requestInfo{id: requestID(r, trusted), endpoint: route.path, trusted: trusted}
		w.Header()["X-Request-Id"] = []string{info.id}
		r = r.WithContext(context.WithValue(r.Context(), requestInfoKey{}, info))
		defer s.recoverPanic(w, r)
		if route.methods != nil && !slices.Contains(route.methods, r.Method) {
			w.Header().Set("Allow", strings.Join(route.methods, ", "))
			s.page(func(http.ResponseWriter, *http.Request) error {
				return &pageError{http.StatusMethodNotAllowed, s.homePage(pages.MethodNotAllowed), "method", nil}
			})(w, r)
			return
		}
		route.handle(w, r)
	}
}

// recoverPanic answers a panic with 503 where a gateway asks, and with a page elsewhere. Nobody passes by one.
func (s *Service) recoverPanic(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler {
		panic(cause) // net/http's own way to drop a connection
	}
	info := infoOf(r)
	s.metrics.panics.Inc()
	s.log.Error().Str("request_id", info.id).Str("endpoint", info.endpoint).
		Str("panic", panicText(cause)).Bytes("stack", debug.Stack()).Msg("panic")
	if dialect, ok := dialects[info.endpoint]; ok {
		s.metrics.decisions.WithLabelValues(Unavailable.String(), "panic").Inc()
		s.answer(w, r, dialect, s.site.Load(), decision{Reason: "panic"}, asked{})
		return
	}
	s.writePage(w, r, http.StatusInternalServerError, s.homePage(pages.Internal))
}

// panicText tells what is safe to tell of a panic: its kind, and the text of the runtime's own errors.
func panicText(cause any) string {
	if err, ok := cause.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", cause)
}

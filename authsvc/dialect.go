package authsvc

import (
	"errors"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// dialect is how a family of gateways asks, and how it takes an answer. Between the two there is one verdict, which does not
// know who asked.
type dialect struct {
	// original reads what was asked. The peer is a trusted proxy: question has checked it.
	original func(*http.Request, requestInfo, *sites) (asked, error)
	// narrows says that the query is the gateway's and narrows the rules; else it is the visitor's and means nothing to us.
	narrows bool
	// verbatim says that the gateway passes a refusal on to the browser as it is: a person gets a login or a page.
	verbatim bool
	// mostWait is how long this family may wait for a refresh, if that is less than session.refresh_wait; 0 is no bound.
	mostWait time.Duration
}

// dialects are the checks that gateways make, by their routes.
var dialects = map[string]dialect{
	// nginx, ingress-nginx, NGINX Gateway Fabric, F5 NGINX Ingress Controller: auth_request, which takes four statuses and no more.
	"/auth": {original: askedOfAuth, narrows: true},
	// Traefik's forwardAuth, Caddy's forward_auth.
	"/forward": {original: askedOfForward, narrows: true, verbatim: true},
	// Envoy's ext_authz over HTTP, with path_prefix. It gives a check 200 ms, unless told otherwise.
	"/envoy/*": {original: askedOfEnvoy, verbatim: true, mostWait: 100 * time.Millisecond},
}

// question is what a verdict is asked, whoever asks.
type question struct {
	asked   asked // as far as it is known
	unknown error // why it is not known, or not whole
	site    *site // whose it is
	// nowhere says that nobody can tell whose it is. Then site is the main one, where people may sign in, and nobody passes.
	nowhere bool
	// query narrows the rules; empty does not.
	query string
	// refreshWait is how long the answer may wait for a refresh once the access token has expired.
	refreshWait time.Duration
}

// errHostOfNoSite says that the asked host is none that a site has.
var errHostOfNoSite = errors.New("the asked host is of no site; add it to the hosts of one")

// question reads a check.
func (d dialect) question(r *http.Request, info requestInfo, all *sites) question {
	q := question{unknown: errUntrustedPeer, site: all.main}
	if d.narrows {
		q.query = r.URL.RawQuery
	}
	if info.trusted {
		q.asked, q.unknown = d.original(r, info, all)
	}
	if all.several() {
		switch site := all.ofHost(q.asked.Host); {
		case site != nil:
			q.site = site
		case q.asked.Host != "":
			q.unknown, q.nowhere = errHostOfNoSite, true
		default:
			q.nowhere = true
		}
	}
	q.refreshWait = q.site.refreshWait
	if d.mostWait > 0 {
		q.refreshWait = min(q.refreshWait, d.mostWait)
	}
	return q
}

// namesHTML matches an Accept header that names text/html.
var namesHTML = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?i)(?:^|[ \t,])text/html(?:[ \t,;]|$)`) })

// isPageLoad reports whether a browser goes to an address, so that the answer may be a login or a page. Anything else (fetch, XHR,
// WebSocket, a script) has no use for either. The headers are the visitor's, which gateways pass on; the method is the asked one,
// "" when it is unknown. The configuration that nginx gets decides alike (nginx/site.conf.tmpl).
func isPageLoad(h http.Header, method string) bool {
	if mode := strings.Join(h["Sec-Fetch-Mode"], ", "); mode != "" {
		return mode == "navigate"
	}
	return method == http.MethodGet && h.Get("Upgrade") == "" && h.Get("X-Requested-With") == "" &&
		namesHTML().MatchString(strings.Join(h["Accept"], ", "))
}

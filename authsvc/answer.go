package authsvc

import (
	"net/http"
	"strconv"
	"time"

	"authsvc/authsvc/pages"
)

// retryDelay is what a 503 tells clients to wait: a store is back soon or not at all. retryAfter is the header's value.
const retryDelay = 2 * time.Second

var retryAfter = strconv.Itoa(int(retryDelay / time.Second))

// Values of headers that all answers share, and nobody changes.
var noContent, noStore, soon = []string{"0"}, []string{"no-store"}, []string{retryAfter}

// answer writes a verdict for the gateways of a dialect. Exactly 200, 401, 403 and 503, with no cookie and no body: a gateway that does not
// read the body of a check would have to close the connection, so the length is always told as 0. Only where the browser
// gets the answer as it is, a page load, which no request with a bearer token is, gets what a person can use instead: a 401 is a redirect to the login, and 403 and 503
// have a page.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, info requestInfo, d dialect, site *site, v decision, a asked) {
	if v.Outcome != Allow && d.verbatim && !v.bearer && isPageLoad(r.Header, a.Method) {
		s.answerPerson(w, info.with(r), site, v, a)
		return
	}
	h := w.Header()
	h["Content-Length"] = noContent
	if v.Outcome != Allow {
		h["Cache-Control"] = noStore
	}
	switch v.Outcome {
	case Allow:
		for i, header := range site.identities.headers {
			h[header.Name] = v.Identity[i : i+1 : i+1] // which verdicts share, and nobody changes
		}
		w.WriteHeader(http.StatusOK)
	case Login:
		h["X-Auth-Login-Url"] = []string{s.loginURLFor(site, v, a)}
		if site.bearers != nil {
			h["Www-Authenticate"] = []string{site.bearers.challenge(v.refusal)}
		}
		w.WriteHeader(http.StatusUnauthorized)
	case Deny:
		w.WriteHeader(http.StatusForbidden)
	default:
		h["Retry-After"] = soon
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

// answerPerson writes a refusal that a person will see, at the address that they asked for. The buttons name whole addresses, since
// that address may be of another host than ours.
func (s *Service) answerPerson(w http.ResponseWriter, r *http.Request, site *site, v decision, a asked) {
	switch v.Outcome {
	case Login:
		redirect(w, http.StatusFound, s.loginURLFor(site, v, a))
	case Deny:
		page := pages.Page{Kind: pages.NotAllowed, Action: site.loginURL(a.url(), maxLoginURL)}
		if a.Scheme+"://"+a.Host == site.origin { // a form of another origin would be refused
			page.SignOut = site.prefix + "/logout"
			page.FormTargets = site.endSessionTargets()
		}
		s.writePage(w, r, http.StatusForbidden, page)
	default:
		page := pages.Page{Kind: pages.StoreUnavailable, Action: site.returnDefault, RetryAfter: retryDelay}
		if address := a.url(); site.returns.check(address) == nil {
			page.Action = address
		}
		s.writePage(w, r, http.StatusServiceUnavailable, page)
	}
}

package authsvc

import (
	"net/http"
)

// retryAfter is what a 503 tells clients to wait, in seconds: a store is back soon or not at all.
const retryAfter = "2"

// answer writes a verdict for a gateway that takes exactly 200, 401, 403 and 503: never a redirect, a cookie or a
// body. A gateway that does not read the body of a check would have to close the connection, so the
// length is always told as 0. asked is the address that a 401 offers to come back to; "" when it is unknown.
func answer(w http.ResponseWriter, site *site, d decision, asked string) {
	h := w.Header()
	h["Content-Length"] = []string{"0"}
	if d.Outcome != Allow {
		h["Cache-Control"] = []string{"no-store"}
	}
	switch d.Outcome {
	case Allow:
		for i, value := range d.Identity {
			h[site.headers[i].Name] = []string{value}
		}
		w.WriteHeader(http.StatusOK)
	case Login:
		h["X-Auth-Login-Url"] = []string{site.loginURL(asked)}
		w.WriteHeader(http.StatusUnauthorized)
	case Deny:
		w.WriteHeader(http.StatusForbidden)
	default:
		h["Retry-After"] = []string{retryAfter}
		w.WriteHeader(http.StatusServiceUnavailable)
	}
}

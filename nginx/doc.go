// Package nginx makes nginx configuration for sites that authsvc protects. It knows authsvc's public
// interface, its paths and headers, and none of its code: [Site] goes in, text comes out.
//
// # The life of a request
//
// A request arrives at the server that [Render] wrote. Header names with underscores or dots are gone
// already; nginx drops them. One for a host that is not the site's, which nginx gives to the first server on an
// address, ends here with 421 (RFC 9110, section 15.5.20).
//
// 1. One of the public endpoints (/start, /callback, /logout …, below the prefix)? It goes to a replica of
// authsvc as it is, without a verdict. A replica that is gone costs nobody anything: the next one gets
// the request, a POST too. None left: a 503 page.
//
// 2. Anything else needs a verdict. nginx asks a replica with a subrequest to <prefix>/auth, which nobody
// can reach from outside: GET, no body, the visitor's headers, X-Original-URL and X-Original-Method for
// what was asked, and nothing in any other dialect. The connection is one that is open already, as the
// answer has no body. A replica that is dead or silent is passed over; the question has no side effect.
//
// 3. The verdict decides:
//
//   - 200: the application gets the request, with its address and body untouched. Every identity header is
//     set from the verdict, if only to nothing, so that the visitor's own copy is gone; our cookies are taken out
//     of Cookie; WebSocket may take the connection over, no other protocol may. What the application
//     answers goes to the browser as it is, its own 401, 403, 500 and 503 too.
//   - 401: a page load is redirected to the address that the verdict names in X-Auth-Login-Url; anything
//     else gets a 401 with that header, for the script that asked to act on.
//   - 403: a short page.
//   - anything else, no answer, a late answer, nonsense: auth_request says 500, and that is shown as a 503
//     page with Retry-After. Nobody passes, no cookie is touched, no login begins.
//
// Every refusal carries Cache-Control: no-store.
//
// A verdict is about one request. A WebSocket that is open stays open when its session ends.
//
// # Forms
//
// With LoginURL the first step is missing: the login is at another host, and every path is the application's. LoginOnly is
// that host, which has the first step alone. With MicroCache nginx may answer the question of step 2 itself, from a 200 that
// is a second old and was given to the same credentials for the same request; it never keeps another answer. With
// CORSPreflight a browser's question whether a page of another site may ask needs no verdict.
//
// # What it relies on
//
// nginx 1.22 or later with the auth_request module, and the default sizes of its buffers for request
// headers: a Cookie line over 8 KB is refused with 400 before anyone is asked. nginx is where TLS ends, and
// the visitor's address is $remote_addr (behind another proxy the realip module sees to that).
package nginx

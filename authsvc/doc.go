// Package authsvc is the service: it signs people in with an OpenID Connect provider and answers gateways that
// ask whether a request may pass. It knows no store by name; package main gives it one.
//
// # Sites
//
// A service has one site or several, each with a public URL, providers, cookies and rules of its own (site.go). What was asked tells whose a check is
// (hosttable.go); where a browser has reached the service tells whose its endpoints are (sites.go). A site's name is part of every MAC, seal and name in the
// store, so that nothing of one means anything to another. All of them are one immutable value, which a reload replaces.
//
// # The life of a check
//
// A gateway asks about every request, with the browser's cookies: nginx and its relatives at /auth, Traefik and Caddy at /forward, Envoy at
// /envoy/. Each has a dialect, a row that says how it asks and how it takes an answer (dialect.go). The verdict between the two does not
// know who asked:
//
//  1. What was asked is read from the gateway's headers, or for Envoy from the request itself, if the peer is a trusted proxy (original.go).
//  2. The token is read from the session cookie (cookie.go). None, or none that this service issued: Login, and
//     nothing is asked of the store.
//     Where bearer tokens count, one in the Authorization header may say who it is instead (bearer.go): a JWT by the keys of its issuer
//     (accesstoken.go), any other by what its issuer tells (introspection.go), both remembered for a moment (knowntokens.go). There is no
//     record then, and steps 3 and 4 do not concern it.
//  3. The session is loaded from the store and opened (auth.go, session.Manager). There is none: Login.
//     Nobody can tell, because the store does not answer: Unavailable. The cookie is never touched.
//  4. Tokens that are due are renewed beside the request, by one replica for all (session.Renewer, refresh.go). Only a
//     session whose tokens have expired waits, a little; then it passes on its claims. A session that the provider has ended is over: Login.
//  5. The first rule about the request's host, path and method decides (rules.go, path.go, decide.go), narrowed by the check's query where that is the
//     gateway's. May not: Deny. The login was not enough for it: Login, which asks the provider for more (stepup.go). A public rule is found before
//     step 2, and nobody looks for a session; an optional one lets pass whom step 2 or 3 has not found.
//  6. Allow answers 200 with every identity header, empty where there is no value, so that
//     a forged copy from the client is always overwritten. What they say was made when the session was loaded, and is kept with it (identity.go, headers.go);
//     a verdict adds the access token and the assertion (tell.go, assertion.go). Login answers 401 and names the URL at which to
//     sign in, made from what was asked, Deny 403, Unavailable 503 with Retry-After (answer.go).
//
// A check never sets a cookie. At /auth it never redirects and has no body. Traefik, Caddy and Envoy pass a refusal on to the browser as it is, so there a
// page load gets a redirect to the login in place of the 401, and a page with the 403 or 503.
//
// # The life of a login
//
//  1. /start lets people choose where a site has several providers (providerchoice.go), checks the return address (returnto.go), seals the attempt into state (attempt.go), gives the browser the
//     login cookie that binds it, and sends it to the provider. Nothing is stored. A provider that wants requests pushed gets this one
//     first (push.go).
//  2. /callback opens state, sees that it belongs to this browser and is in time, checks what the provider said, and
//     claims the code in the store so that it is redeemed once, however often the callback comes, and three codes of an attempt at most (callback.go, codeclaim.go).
//  3. The code is exchanged, for which the client shows who it is (tokenrequest.go, clientauth.go), and the ID token checked (oidc.go, idtoken.go,
//     keyset.go). The claims that the site uses are chosen from it, from userinfo and from the access token (claimsources.go).
//  4. Who is let in nowhere by any rule gets no session. What a rule asked of this login is looked for (stepup.go).
//  5. A session with a new token replaces the browser's former one. Tabs whose callbacks crossed end
//     on one session (browserslot.go).
//
// # The end of a session
//
// /logout deletes the record, revokes the refresh token where the provider offers that, and goes on to the provider (logout.go, revocation.go).
// /backchannel-logout ends what the provider says is over: a mark for logins under way, then the index, then the
// records (backchannel.go, session.Manager.EndGroup).
//
// # The life of a replica
//
//  1. It asks the store for its ID and salt (storeid.go), and announces who it is with fingerprints of its settings (fingerprint.go, roster.go).
//  2. It compares them with those of the replicas that take requests (drift.go). Where all must agree and it does not, it is
//     held back; else it opens its listener and says so (join.go).
//  3. It announces itself every two seconds, reports what differs (replicas.go), and puts the store's ID back when somebody has emptied it. A login that
//     began on another store tells that there is one (crossing.go).
//  4. It takes its leave, or is forgotten.
//
// # Headers of an allowed check
//
//	X-Auth-Request-User                sub
//	X-Auth-Request-Email               email
//	X-Auth-Request-Preferred-Username  preferred_username
//	X-Auth-Request-Groups              the groups, joined by commas
//
// and whatever the configuration adds.
package authsvc

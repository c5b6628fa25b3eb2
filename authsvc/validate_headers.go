package authsvc

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxHeaders bounds how many identity headers a verdict has; their names alone fill a gateway's buffer.
const maxHeaders = 40

// ownHeaders are the fields of an answer that are no identity: the protocol's, the gateway's and ours.
var ownHeaders = []string{
	"Age", "Alt-Svc", "Cache-Control", "Clear-Site-Data", "Connection", "Cookie", "Date", "Expires", "Host", "Keep-Alive", "Link",
	"Location", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Refresh", "Retry-After", "Server", "Set-Cookie",
	"Strict-Transport-Security", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Vary", "Via", "Www-Authenticate",
	"X-Auth-Login-Url", "X-Auth-Request-Redirect", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Method", "X-Forwarded-Port",
	"X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Forwarded-Uri", "X-Request-Id", "X-Rewrite-Url", "Forwarded",
}

// ownHeaderPrefixes begin the names of whole families of such fields.
var ownHeaderPrefixes = []string{"Access-Control-", "Content-", "Sec-", "X-Accel-", "X-Original-"}

func (v *validator) headers() {
	if len(v.c.Headers) > maxHeaders {
		v.wrong("headers", "has more than 40 headers", "keep those that the applications read")
	}
	for _, name := range slices.Sorted(maps.Keys(v.c.Headers)) {
		key, claim := "headers."+printableName(name), v.c.Headers[name]
		canonical := http.CanonicalHeaderKey(name)
		isPrefixOf := func(prefix string) bool { return strings.HasPrefix(canonical, prefix) }
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			v.wrong(key, "is no name of a header", "use letters, digits and -")
		case strings.Contains(name, "_"):
			v.wrong(key, "has an underscore, which gateways drop or read as -", "write - instead")
		case slices.Contains(ownHeaders, canonical) || slices.ContainsFunc(ownHeaderPrefixes, isPrefixOf):
			v.wrong(key, "is a header with a meaning of its own", "choose another name, such as X-Auth-Request-Name")
		}
		switch {
		case claim == "@assertion":
			v.wrong(key, "@assertion is not in this version", "remove it")
		case strings.HasPrefix(claim, "@") && claim != groupsValue && claim != accessTokenValue:
			v.wrong(key, quote(claim)+" is not known", "write a claim path, @groups or @access_token")
		case strings.TrimSpace(claim) != claim:
			v.wrong(key, "its claim path begins or ends with a space", "write the path alone")
		}
	}
}

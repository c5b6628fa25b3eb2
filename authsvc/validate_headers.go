package authsvc

import (
	"maps"
	"net/http"
	"regexp"
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
		key, header := "headers."+printableName(name), v.c.Headers[name]
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
		v.header(key, header)
	}
}

// maxFilter bounds a filter, in bytes.
const maxFilter = 1000

// header checks what one header carries.
func (v *validator) header(key string, h Header) {
	switch {
	case strings.HasPrefix(h.Claim, "@") && h.Claim != groupsValue && h.Claim != accessTokenValue && h.Claim != assertionValue:
		v.wrong(key, quote(h.Claim)+" is not known", "write a claim path, @groups, @access_token or @assertion")
	case (h.Claim == accessTokenValue || h.Claim == assertionValue) && !h.plain():
		v.wrong(key, h.Claim+" is carried as it is", "remove filter, most and encoding")
	case strings.TrimSpace(h.Claim) != h.Claim:
		v.wrong(key, "its claim path begins or ends with a space", "write the path alone")
	}
	if _, err := regexp.Compile(h.Filter); err != nil || len(h.Filter) > maxFilter {
		v.wrong(key+".filter", "is no regular expression of at most 1000 characters", "write one in RE2's syntax, such as ^app- or ^(staff|admins)$")
	}
	if h.Most < 0 {
		v.wrong(key+".most", "is negative", "write how many values are carried at most, or 0 for any number")
	}
	if !slices.Contains(encodings, h.Encoding) {
		v.wrong(key+".encoding", quote(h.Encoding)+" is not one of its words", "write "+alternatives(encodings[1:]))
	}
}

package nginx

import (
	"slices"
	"strings"
)

// foreignHeaders tell, in some gateway's or framework's dialect, what was asked. They are a proxy's to
// write: a visitor's copy could make authsvc judge another address than the application serves, or
// make the application serve another than was judged (X-Original-URL and X-Rewrite-URL in some
// frameworks). Each is cleared wherever this configuration does not set it.
var foreignHeaders = []string{
	"Forwarded",
	"X-Auth-Request-Redirect",
	"X-Forwarded-Host",
	"X-Forwarded-Method",
	"X-Forwarded-Path",
	"X-Forwarded-Port",
	"X-Forwarded-Prefix",
	"X-Forwarded-Proto",
	"X-Forwarded-Scheme",
	"X-Forwarded-Server",
	"X-Forwarded-Ssl",
	"X-Forwarded-Uri",
	"X-Host",
	"X-Original-Host",
	"X-Original-Method",
	"X-Original-URI",
	"X-Original-URL",
	"X-Rewrite-URL",
	"X-Scheme",
}

// identityHeaders are names under which applications are used to read who is signed in, from us by
// option or from the proxy that we replace. Those that the site does not set are cleared: an
// application that still reads one must not find the visitor's own.
var identityHeaders = append(DefaultHeaders(),
	"Remote-Email",
	"Remote-Groups",
	"Remote-Name",
	"Remote-User",
	"X-Auth-Request-Access-Token",
	"X-Auth-Request-Jwt",
	"X-Forwarded-Access-Token",
	"X-Forwarded-Email",
	"X-Forwarded-Groups",
	"X-Forwarded-Preferred-Username",
	"X-Forwarded-User",
)

// setHeaders are those that the template writes besides identity headers.
var setHeaders = []string{
	"Connection",
	"Content-Length",
	"Cookie",
	"Host",
	"Upgrade",
	"X-Forwarded-For",
	"X-Real-IP",
	"X-Request-Id",
}

// reservedHeaders cannot be identity headers: the template gives them another value, or nginx does.
var reservedHeaders = slices.Concat(foreignHeaders, setHeaders,
	[]string{"Content-Type", "Expect", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding"})

// without returns the names that kept lacks, compared as header names are. It changes neither.
func without(names, kept []string) []string {
	var rest []string
	for _, name := range names {
		if !slices.ContainsFunc(kept, func(k string) bool { return strings.EqualFold(k, name) }) {
			rest = append(rest, name)
		}
	}
	return rest
}

package lint

import (
	"slices"
	"strings"
)

// The headers by which /auth learns what was asked, any one of each row, and those that it reads besides.
var (
	askedAddress = []string{"X-Original-URL", "X-Original-URI", "X-Forwarded-Uri"}
	askedMethod  = []string{"X-Original-Method", "X-Forwarded-Method"}
	askedRest    = []string{"X-Forwarded-Proto", "X-Forwarded-Host"}
)

// findCheckAsked finds checks that leave it to the visitor to say what was asked.
//
// The check carries all of the visitor's headers. Where nginx does not overwrite X-Original-URL, his own is believed: a
// rule that makes /public public then lets him in anywhere.
func findCheckAsked(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		headers := requestHeaders(l.directive)
		set := func(name string) bool {
			return headers[strings.ToLower(name)] != nil && headers[strings.ToLower(name)].last() != ""
		}
		if !slices.ContainsFunc(askedAddress, set) {
			found(by, Error, "the check does not say which address was asked",
				"rules and the way back from the login cannot know it, and a visitor's own X-Original-URL would be believed",
				"add proxy_set_header X-Original-URL $scheme://$host$request_uri;")
		}
		if !slices.ContainsFunc(askedMethod, set) {
			found(by, Warning, "the check does not say which method was asked",
				"the check is always a GET, and a visitor's own X-Original-Method would be believed by rules on methods",
				"add proxy_set_header X-Original-Method $request_method;")
		}
		var open []string
		for _, name := range slices.Concat(askedAddress, askedMethod, askedRest) {
			d := headers[strings.ToLower(name)]
			if d == nil {
				open = append(open, name)
				continue
			}
			if name, ok := anyOf(s.sources(d.last()), "uri", "document_uri", "request_filename"); ok {
				found(d, Error, "$"+name+" in "+d.arg(0),
					"within the check it is the check's own address, not the one that was asked",
					"use $request_uri")
			}
		}
		if len(open) > 0 && len(open) < len(askedAddress)+len(askedMethod)+len(askedRest) {
			found(l.directive, Info, "the check passes on the visitor's own "+strings.Join(open, ", "),
				"authsvc reads them too; where they disagree with what nginx says it knows nothing of the request, and rules refuse it",
				`clear them: proxy_set_header `+open[0]+` ""; and so on`)
		}
	})
}

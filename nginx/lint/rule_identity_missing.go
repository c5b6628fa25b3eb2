package lint

import (
	"fmt"
	"slices"
	"strings"
)

// findIdentityMissing finds applications that learn nothing from the verdict.
func findIdentityMissing(s *server, found report) {
	all := s.applications()
	elsewhere := slices.ContainsFunc(all, func(a application) bool { return a.told != nil })
	for _, a := range all {
		for _, d := range a.unset {
			found(d, Error, d.arg(0)+" stays empty in location "+a.path,
				"auth_request_set counts at the level of the location that is asked for, all or nothing; the one for "+d.last()+" stands elsewhere",
				"repeat it beside the auth_request that counts there")
		}
		if a.told != nil || a.unset != nil || len(s.headers) == 0 {
			continue
		}
		first := s.headers[0]
		fix := fmt.Sprintf("auth_request_set $user $upstream_http_%s; and proxy_set_header %s $user; and so for every identity header",
			strings.ReplaceAll(strings.ToLower(first), "-", "_"), first)
		if elsewhere {
			found(a.by, Error, "no identity header is set here, and elsewhere in this server they are",
				"one proxy_set_header in a location drops all of the server's, so the application reads the visitor's own "+first,
				"repeat them here: "+fix)
			continue
		}
		found(a.by, Warning, "no identity header is set from the verdict",
			"the application does not learn who asks, and gets the visitor's own "+first+" as it came", fix)
	}
}

package nginx

import (
	"net/url"
	"strings"
)

// narrowing is one list of whom a site lets in.
type narrowing struct {
	field   string // name of the field in Site
	key     string // in the query of /auth
	what    string
	entries []string
}

// narrowings returns the lists that the site has.
func (s Site) narrowings() []narrowing {
	var all []narrowing
	for _, n := range []narrowing{
		{"AllowedGroups", "allowed_groups", "a group", s.AllowedGroups},
		{"AllowedEmails", "allowed_emails", "an address", s.AllowedEmails},
		{"AllowedEmailDomains", "allowed_email_domains", "a domain", s.AllowedEmailDomains},
	} {
		if n.entries != nil {
			all = append(all, n)
		}
	}
	return all
}

// query is what the site asks /auth besides: "", or "?allowed_groups=staff,admins&…". What people write in it is escaped, down to letters,
// digits and - _ . ~ + %, so that it may stand in nginx syntax. An empty list is nobody, here as there.
func (s Site) query() string {
	var pairs []string
	for _, n := range s.narrowings() {
		escaped := make([]string, len(n.entries))
		for i, entry := range n.entries {
			escaped[i] = url.QueryEscape(entry)
		}
		pairs = append(pairs, n.key+"="+strings.Join(escaped, ","))
	}
	if len(pairs) == 0 {
		return ""
	}
	return "?" + strings.Join(pairs, "&")
}

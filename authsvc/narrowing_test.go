package authsvc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// TestNarrowing asks /auth with queries that narrow. Whoever is outside gets 403, never 401: a login would not help.
func TestNarrowing(t *testing.T) {
	r := newRig(t, 1, nil)
	cookie := map[string]http.Header{"alice": signedIn(r, "alice"), "bob": signedIn(r, "bob"), "carol": signedIn(r, "carol")}
	tests := []struct {
		query string
		who   string // those who pass
	}{
		{"", "alice bob carol"},
		{"?", "alice bob carol"},
		{"?colour=blue&disallowed=x", "alice bob carol"},

		{"?allowed_groups=admins", "alice"},
		{"?allowed_groups=staff", "alice bob"},
		{"?allowed_groups=none,admins", "alice"},
		{"?allowed_groups=none&allowed_groups=admins", "alice"},
		{"?allowed_groups=none,%20admins%20", "alice"},
		{"?allowed_groups=Staff", ""},
		{"?allowed_groups=staf", ""},
		{"?allowed_groups=staff%2Cadmins", "alice bob"},
		{"?allowed_groups=", ""},
		{"?allowed_groups", ""},
		{"?allowed_groups=,", ""},
		{"?allowed_groups=&allowed_groups=staff", "alice bob"},
		{"?%61llowed_groups=admins", "alice"},

		{"?allowed_emails=alice@example.com", "alice"},
		{"?allowed_emails=ALICE@EXAMPLE.COM,bob@example.com", "alice bob"},
		{"?allowed_emails=carol@partner.example", ""}, // not verified
		{"?allowed_emails=example.com", ""},
		{"?allowed_emails=", ""},

		{"?allowed_email_domains=example.com", "alice bob"},
		{"?allowed_email_domains=EXAMPLE.com", "alice bob"},
		{"?allowed_email_domains=ample.com", ""},
		{"?allowed_email_domains=com", ""},
		{"?allowed_email_domains=.com", "alice bob"},
		{"?allowed_email_domains=*.com", "alice bob"},
		{"?allowed_email_domains=.example.com", ""},
		{"?allowed_email_domains=partner.example", ""},
		{"?allowed_email_domains=*", ""},
		{"?allowed_email_domains=", ""},

		{"?allowed_groups=staff&allowed_emails=bob@example.com", "bob"},
		{"?allowed_groups=admins&allowed_emails=bob@example.com", ""},
		{"?allowed_groups=staff&allowed_email_domains=example.com&allowed_emails=alice@example.com", "alice"},

		{"?allowed_group=staff", ""},
		{"?allowed_roles=staff", ""},
		{"?Allowed_Groups=staff", ""},
		{"?allowedgroups=staff", ""},
		{"?allowed=staff", ""},
		{"?allowed_groups=staff&allowed_users=bob", ""},
		{"?allowed_groups%5B%5D=staff", ""},
		{"?rule=admin", ""},
		{"?rule=", ""},
		{"?Rule=admin", ""},
		{"?RULE=", ""},
		{"?rules=admin", ""},
		{"?rule%5B%5D=admin", ""},
		{"?%20rule=admin", ""},
		{"?overrule=admin", "alice bob carol"},
		{"?allowed_groups=staff&rule=admin", ""},
		{"?%zz", ""},
		{"?allowed_groups=staff;x=y", ""},
		{"?colour=%zz&allowed_groups=staff", ""},
	}
	for _, test := range tests {
		for who, header := range cookie {
			want := http.StatusForbidden
			if strings.Contains(test.who, who) {
				want = http.StatusOK
			}
			answer := ask(r.replicas[0], http.MethodGet, "/auth"+test.query, trustedPeer, header)
			if answer.Code != want {
				t.Errorf("%q, %s: %d, want %d", test.query, who, answer.Code, want)
			}
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
		}
	}
}

// TestDecide tells the reason of each refusal, which is what an operator has to go by.
func TestDecide(t *testing.T) {
	s := &session.Session{Subject: "alice", Claims: map[string]any{"email": "alice@example.com", "groups": []any{"staff"}, "realm": map[string]any{"roles": []any{"deep"}}}}
	for _, test := range []struct {
		query  string
		reason string
	}{
		{"", "session"},
		{"allowed_groups=staff", "session"},
		{"allowed_groups=deep", "session"},
		{"allowed_groups=none", "groups"},
		{"allowed_emails=bob@example.com", "emails"},
		{"allowed_email_domains=example.org", "email_domains"},
		{"allowed_x=1", "query_unknown"},
		{"Rule=x", "query_unknown"},
		{"rule=x", "rule_unknown"},
		{"%zz", "query_unreadable"},
	} {
		rules, _ := compileRules(nil, []string{"groups", "realm.roles"})
		d := decide(rules.match(asked{}, false), s, parseNarrowing(test.query), time.Time{})
		want := Deny
		if test.reason == "session" {
			want = Allow
		}
		if d.Outcome != want || d.Reason != test.reason || d.open() != s {
			t.Errorf("%q: %v, %s; want %s", test.query, d.Outcome, d.Reason, test.reason)
		}
	}
	if forgotten := (decision{}).Outcome; forgotten != Unavailable {
		t.Errorf("an outcome that nobody set is %v: it must let nobody in and sign nobody out", forgotten)
	}
}

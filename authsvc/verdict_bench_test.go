package authsvc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"authsvc/session"
)

// BenchmarkVerdict asks for a session that this replica has in memory, with the headers by default.
func BenchmarkVerdict(b *testing.B) { benchmarkVerdict(b, nil) }

// BenchmarkVerdictHeaders has ten headers, six of them with filters, caps and encodings.
func BenchmarkVerdictHeaders(b *testing.B) { benchmarkVerdict(b, withManyHeaders) }

// BenchmarkVerdictAssertion adds the assertion to the headers by default.
func BenchmarkVerdictAssertion(b *testing.B) { benchmarkVerdict(b, withAssertion) }

// BenchmarkRender makes the headers of BenchmarkVerdictHeaders, as for each session that is loaded.
func BenchmarkRender(b *testing.B) {
	config := DefaultConfig()
	withManyHeaders(config)
	plan := planOf(config.Headers)
	s := groupedSession()
	b.ReportAllocs()
	for b.Loop() {
		plan.render(s, session.Tokens{})
	}
}

// BenchmarkAssertion signs one, as for each session and origin once a minute.
func BenchmarkAssertion(b *testing.B) {
	config := DefaultConfig()
	withAssertion(config)
	plan := planOf(config.Headers)
	keyring, err := session.NewKeyring([][]byte{make([]byte, session.MasterKeySize)})
	if err != nil {
		b.Fatal(err)
	}
	asserter, err := newAsserter(mainSite, "https://app.example.com", keyring, newKeptAssertions(1<<20), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	s := groupedSession() // it has no ID, and so nothing is kept
	id := plan.render(s, session.Tokens{})
	b.ReportAllocs()
	for b.Loop() {
		if text, err := asserter.assert(s, id, "https://app.example.com"); err != nil || text == "" {
			b.Fatal(err)
		}
	}
}

func withManyHeaders(c *Config) {
	for i, encoding := range []string{"", "percent", "base64url", "json", "", ""} {
		c.Headers[fmt.Sprint("X-Groups-", i)] = Header{Claim: groupsValue, Filter: fmt.Sprintf("%d$", i), Most: 5, Encoding: encoding}
	}
}

// manyGroups are 50 groups.
func manyGroups() (groups []string) {
	for i := range 50 {
		groups = append(groups, fmt.Sprint("/departments/engineering/team-", i))
	}
	return groups
}

func groupedSession() *session.Session {
	var groups []any
	for _, group := range manyGroups() {
		groups = append(groups, group)
	}
	return &session.Session{Subject: "alice", Claims: map[string]any{"email": "alice@example.com", "preferred_username": "alice", "groups": groups}}
}

func benchmarkVerdict(b *testing.B, configure func(*Config)) {
	r := newRig(b, 1, func(c *Config) {
		c.Session.CacheTTL = time.Hour
		if configure != nil {
			configure(c)
		}
	})
	alice := people[0]
	alice.Groups = manyGroups()
	r.provider.SetPerson(alice)
	request := httptest.NewRequest(http.MethodGet, "/auth", nil)
	request.RemoteAddr, request.Header = trustedPeer, askedFor(signedIn(r, "alice"), "https://app.example.com/page")
	handler := r.replicas[0].Handler()
	b.ReportAllocs()
	for b.Loop() {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, request)
		if answer.Code != http.StatusOK {
			b.Fatal(answer.Code)
		}
	}
}

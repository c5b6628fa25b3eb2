package authsvc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/rs/zerolog"

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
	asserter, err := newAsserter(mainSite, "https://app.example.com", keyring, newKeptAssertions(1<<20))
	if err != nil {
		b.Fatal(err)
	}
	s := groupedSession() // it has no ID, and so nothing is kept
	id, _ := plan.render(s, session.Tokens{})
	b.ReportAllocs()
	for b.Loop() {
		if made, err := asserter.assert(&asker{session: s}, id, "https://app.example.com", time.Now()); err != nil || made.text == "" {
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
	handler, request := warmVerdict(b, configure)
	answer := &reusedWriter{header: http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(answer, request)
		if answer.code != http.StatusOK {
			b.Fatal(answer.code)
		}
	}
}

// reusedWriter takes answers one after the other and costs nothing, so that what is measured is ours alone.
type reusedWriter struct {
	header http.Header
	code   int
}

func (w *reusedWriter) Header() http.Header         { return w.header }
func (w *reusedWriter) WriteHeader(code int)        { w.code = code }
func (w *reusedWriter) Write(p []byte) (int, error) { return len(p), nil }

// warmVerdict returns a service's handler, and a request about a session that it has in memory.
func warmVerdict(t testing.TB, configure func(*Config)) (http.Handler, *http.Request) {
	r := newRig(t, 1, func(c *Config) {
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
	r.replicas[0].log = r.replicas[0].log.Level(zerolog.InfoLevel) // as by default
	handler := r.replicas[0].Handler()
	handler.ServeHTTP(httptest.NewRecorder(), request)
	return handler, request
}

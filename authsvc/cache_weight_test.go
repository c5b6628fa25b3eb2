//go:build !race

package authsvc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session"
)

// TestCachedSessionsWeigh compares what the cache says of its memory with the heap, and bounds what a session takes there above its record, with each setting
// that has more remembered of it.
func TestCachedSessionsWeigh(t *testing.T) {
	const sessions = 8_000
	for name, test := range map[string]struct {
		configure func(*Config)
		beyond    int // bytes above the record at most; 0 is any number
	}{
		"headers by default": {nil, 400},
		"many headers":       {withManyHeaders, 0},
		"an access token":    {withAccessToken, 0},
		"an assertion":       {withAssertion, 0},
		"rules": {func(c *Config) {
			c.Rules = parseRules(t, benchmarkRules(strings.Replace(rememberedRule, `claims.sub == "alice"`, `claims.sub != "alice"`, 1)))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, func(c *Config) {
				c.Session.CacheTTL = time.Hour
				if test.configure != nil {
					test.configure(c)
				}
			})
			site := r.replicas[0].sites.Load().main
			var all []session.Token
			size := 0
			for i := range sessions {
				name := fmt.Sprintf("person-%08d", i)
				token, s, err := site.sessions.Begin(t.Context(), session.Session{
					Issuer: r.provider.Issuer(), Subject: name, Label: name, Address: "192.0.2.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
					Claims: map[string]any{"email": name + "@example.com", "email_verified": true, "preferred_username": name, "groups": []any{"staff", "/departments/engineering/team-1"}},
				}, session.Tokens{AccessToken: name, Expiry: time.Now().Add(time.Hour)})
				if err != nil {
					t.Fatal(err)
				}
				record, err := site.sessions.Store.Load(t.Context(), s.ID)
				if err != nil {
					t.Fatal(err)
				}
				size += len(record.Encode(session.PartIdentity))
				all = append(all, token)
			}
			weighed := func() uint64 { return r.replicas[0].cache.Held() + r.replicas[0].assertions.WeightedSize() }
			heap, held := allocated(), weighed()
			handler, request := r.replicas[0].Handler(), httptest.NewRequest(http.MethodGet, "/auth", nil)
			request.RemoteAddr, request.Header = trustedPeer, askedFor(nil, "https://app.example.com/page")
			r.replicas[0].log = r.replicas[0].log.Level(zerolog.WarnLevel)
			answer := &reusedWriter{header: http.Header{}}
			for _, token := range all {
				request.Header["Cookie"] = []string{"authsvc=" + token.Reveal()}
				for range 2 {
					if handler.ServeHTTP(answer, request); answer.code != http.StatusOK {
						t.Fatal(answer.code)
					}
				}
			}
			took, says := (allocated()-heap)/sessions, (weighed()-held)/sessions
			t.Logf("a session takes %d bytes, the cache says %d; its record has %d", took, says, size/sessions)
			if says < took*9/10 || says > took*3/2 {
				t.Errorf("a session takes %d bytes, and the cache says %d", took, says)
			}
			if beyond := int(took) - size/sessions; test.beyond > 0 && beyond > test.beyond {
				t.Errorf("a session takes %d bytes above its record of %d, not %d", beyond, size/sessions, test.beyond)
			}
			runtime.KeepAlive(all)
			runtime.KeepAlive(request)
		})
	}
}

// allocated is the heap without garbage.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

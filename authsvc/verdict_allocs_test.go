//go:build !race

package authsvc

import (
	"net/http"
	"testing"
)

// rememberedRule looks at groups, at claims and at the method, and lets alice pass.
const rememberedRule = `- {paths: [/page], groups: [/departments/engineering/team-1], when: 'claims.sub == "alice" && request.method == "GET"'}`

// TestVerdictAllocates bounds what the program itself allocates for a verdict about a session in memory, beyond what net/http does for any request.
func TestVerdictAllocates(t *testing.T) {
	for _, row := range []struct {
		name      string
		configure func(*Config)
		id        string // of the request, by the gateway
		most      float64
	}{
		{"headers by default", nil, "4bf92f3577b34da6a3ce929d0e0e4736", 0},
		{"a request without a name", nil, "", 0},
		{"many headers", withManyHeaders, "4bf92f3577b34da6a3ce929d0e0e4736", 0},
		{"an assertion", withAssertion, "4bf92f3577b34da6a3ce929d0e0e4736", 0},
		{"rules", func(c *Config) { c.Rules = parseRules(t, benchmarkRules(rememberedRule)) }, "4bf92f3577b34da6a3ce929d0e0e4736", 0},
		{"an access token", withAccessToken, "4bf92f3577b34da6a3ce929d0e0e4736", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			handler, request := warmVerdict(t, row.configure)
			if row.id != "" {
				request.Header.Set("X-Request-Id", row.id)
			}
			answer := &reusedWriter{header: http.Header{}}
			allocations := testing.AllocsPerRun(200, func() { handler.ServeHTTP(answer, request) })
			if answer.code != http.StatusOK || allocations > row.most {
				t.Errorf("%v allocations for an answer with %d, not %v", allocations, answer.code, row.most)
			}
		})
	}
}

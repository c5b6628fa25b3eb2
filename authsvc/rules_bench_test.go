package authsvc

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/session"
	"authsvc/session/memstore"
)

// benchmarkRules are rules whose last one is about the request of the benchmarks.
func benchmarkRules(last string) string {
	var b strings.Builder
	for i := range 19 {
		fmt.Fprintf(&b, "- {paths: [/app%d/**, /api/v*/app%d], methods: [GET, POST], groups: [team-%d]}\n", i, i, i)
	}
	return b.String() + last
}

var ruleBenchmarks = []struct{ name, rules string }{
	{"none", ""},
	{"one", "- {}"},
	{"twenty", benchmarkRules("- {paths: [/reports/**]}")},
	{"groups", benchmarkRules("- {paths: [/reports/**], groups: [nobody, staff]}")},
	{"when", benchmarkRules(`- {paths: [/reports/**], when: 'claims.level > 3 && request.method == "GET"'}`)},
	{"when with groups", benchmarkRules(`- {paths: [/reports/**], when: 'session.groups.exists(g, g.startsWith("sta"))'}`)},
	{"public", benchmarkRules("- {paths: [/reports/**], allow: public}")},
}

// BenchmarkVerdictRules is a whole verdict for a session in memory: what each kind of rule adds.
func BenchmarkVerdictRules(b *testing.B) {
	for _, bench := range ruleBenchmarks {
		b.Run(bench.name, func(b *testing.B) {
			config := goodConfig()
			config.Rules = parseRules(b, bench.rules)
			config.Complete()
			service, err := New(Options{Config: config, Store: &faultyStore{Store: memstore.New(time.Now)}, Log: zerolog.Nop(), Metrics: prometheus.NewRegistry()})
			if err != nil {
				b.Fatal(err)
			}
			service.cache.Armed() // as if it heard of every change
			site := service.sites.Load().main
			token, _, err := site.sessions.Begin(b.Context(), session.Session{
				Subject: "alice", Issuer: config.OIDC.Issuer, ACR: "gold",
				Claims: map[string]any{"email": "alice@example.com", "email_verified": true, "groups": []any{"admins", "staff"}, "level": int64(5)},
			}, session.Tokens{})
			if err != nil {
				b.Fatal(err)
			}
			r := httptest.NewRequest(http.MethodGet, "/auth", nil)
			r.Header["Cookie"] = []string{config.Cookie.Name + "=" + token.Reveal()}
			q := question{site: site, asked: asked{Method: "GET", Scheme: "https", Host: "app.example.com", URI: "/reports/2026/march?page=2"}}
			b.ReportAllocs()
			for b.Loop() {
				if d := service.verdict(r, requestInfo{}, q); d.Outcome != Allow {
					b.Fatalf("%v, %s", d.Outcome, d.Reason)
				}
			}
		})
	}
}

// BenchmarkRules is the rules' part alone.
func BenchmarkRules(b *testing.B) {
	for _, bench := range ruleBenchmarks {
		b.Run(bench.name, func(b *testing.B) {
			set := mustCompile(b, bench.rules)
			a := asked{Method: "GET", Scheme: "https", Host: "app.example.com", URI: "/reports/2026/march?page=2"}
			b.ReportAllocs()
			for b.Loop() {
				if d := decide(set.match(a, true), askers[1], narrowing{}, noon); d.Outcome != Allow {
					b.Fatalf("%v, %s", d.Outcome, d.Reason)
				}
			}
		})
	}
}

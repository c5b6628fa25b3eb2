package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"authsvc/e2e/rig"
	"authsvc/session"
)

// pagePath is what everybody asks for.
const pagePath = "/page"

// Of the sessions that a deployment has so many people are at work.
const (
	someSessions = 1000
	atWork       = 100
)

// verdicts are the parts of the scenarios about what a verdict costs.
type verdicts struct {
	*deployment
	warm, off *rig.Replica // with the cache as it is by default, and without
	cookie    string       // of one who signed in
	headers   string       // file: those of a verdict
	crowd     crowd        // asks replicas and handlers
	browsers  crowd        // the same people, asking nginx
	handler   subject      // the bare one
}

// verdictParts starts them when they are needed for the first time.
func (b *bench) verdictParts(ctx context.Context) (*verdicts, error) {
	if b.verdicts != nil {
		return b.verdicts, nil
	}
	d, err := b.raise(ctx, "verdicts", 1, nil)
	if err != nil {
		return nil, err
	}
	v := &verdicts{deployment: d}
	if v.warm, err = d.replica(ctx); err != nil {
		return nil, err
	}
	if v.off, err = d.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL=0"); err != nil {
		return nil, err
	}
	var s session.Session
	var t session.Tokens
	v.cookie, s, t, err = d.login(ctx, v.warm, 0)
	if err != nil {
		return nil, err
	}
	b.say("the tokens have %d (ID), %d (access) and %d bytes (refresh)", len(t.IDToken), len(t.AccessToken), len(t.RefreshToken))
	if v.headers, err = d.writeHeaders(ctx, v.warm, v.cookie); err != nil {
		return nil, err
	}
	cookies, err := d.fill(ctx, someSessions, someSessions, s, t, nil)
	if err != nil {
		return nil, err
	}
	if v.crowd, err = newCrowd(d.Dir, "people", asGateway, cookies[:atWork], 0); err != nil {
		return nil, err
	}
	if v.browsers, err = newCrowd(d.Dir, "browsers", asBrowsers, cookies[:atWork], 0); err != nil {
		return nil, err
	}
	v.handler, err = d.handler(ctx, "handler", v.headers, "", v.crowd)
	b.verdicts = v
	return v, err
}

// recordKey is what a handler gets: a value of the size of a session's record.
const recordKey = "bench:record"

// recordSize is the number of bytes of what a verdict reads of a session.
func (d *deployment) recordSize(ctx context.Context) (int64, error) {
	keys := d.Redis.Scan(ctx, 0, "authsvc:session:*", 1000).Iterator()
	if !keys.Next(ctx) {
		return 0, fmt.Errorf("there is no session to look at: %w", keys.Err())
	}
	return d.Redis.StrLen(ctx, keys.Val()).Result()
}

func (b *bench) direct(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, v.handler, v.ofReplicas("authsvc", "", v.crowd, v.warm))
	if err != nil {
		return err
	}
	b.fill("direct-rate", figureOf(pairs, rateRatio), "%s /s", decimal(figureOf(pairs, limitRate).Median)).note("%s", latencies(pairs))
	r := b.fill("direct-cpu", figureOf(pairs, cpuRatio), "%s ms", decimal(figureOf(pairs, limitCPU).Median))
	switch profiled, err := builtWithProfile(b.program); {
	case err != nil:
		return err
	case profiled:
		r.note("authsvc is compiled with a profile of its verdicts, as it is released; the handler is not")
	default:
		r.note("authsvc is compiled without the profile with which it is released; make bench has it")
	}
	b.fill("direct-allocations", figureOf(pairs, moreMallocs), "%s a request", decimal(figureOf(pairs, limitMallocs).Median))
	b.fill("direct-redis", figureOf(pairs, func(p pair) float64 { return p.ours.commands }), "0")
	return nil
}

// builtWithProfile reports whether the compiler knew from a profile what the program spends its time on.
func builtWithProfile(program string) (bool, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return false, fmt.Errorf("how %s was built: %w", program, err)
	}
	return slices.ContainsFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "-pgo" }), nil
}

func (b *bench) uncached(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	size, err := v.recordSize(ctx)
	if err != nil {
		return err
	}
	if err := v.Redis.Set(ctx, recordKey, strings.Repeat("r", int(size)), 0).Err(); err != nil {
		return err
	}
	getter, err := v.deployment.handler(ctx, "handler + GET", v.headers, recordKey, v.crowd)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, getter, v.ofReplicas("authsvc, cache off", "", v.crowd, v.off))
	if err != nil {
		return err
	}
	r := b.fill("off-rate", figureOf(pairs, rateRatio), "%s /s", decimal(figureOf(pairs, limitRate).Median))
	r.note("%s", latencies(pairs))
	r.note("the record has %d bytes; Redis answers %v later than it would", size, b.latency)
	r.note("%s Redis commands for 1,000 verdicts", decimal(figureOf(pairs, func(p pair) float64 { return p.ours.commands }).Median))
	b.fill("off-cpu", figureOf(pairs, cpuRatio), "%s ms", decimal(figureOf(pairs, limitCPU).Median))
	return nil
}

// features are settings that ask for all that a verdict can do: rules of which the last one matches, with CEL, headers with filters, and the assertion.
var features = []string{
	`AUTHSVC_RULES=[{"name":"open","paths":["/open/**"],"allow":"public"},{"name":"api","paths":["/api/*/admin/**"],"methods":["POST","PUT"],"groups":["admins"]},` +
		`{"name":"reports","paths":["/reports/**"],"email_domains":["example.com"]},` +
		`{"name":"staff","groups":["staff"],"when":"request.method == \"GET\" && session.groups.exists(g, g.startsWith(\"sta\"))"}]`,
	`AUTHSVC_HEADERS={"X-Auth-Request-Jwt":"@assertion","X-Name":"name","X-Login":"preferred_username","X-Staff":{"claim":"@groups","filter":"^sta"},` +
		`"X-Groups-Json":{"claim":"@groups","encoding":"json"}}`,
}

func (b *bench) features(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	all, err := v.replica(ctx, features...)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, v.ofReplicas("authsvc", "", v.crowd, v.warm), v.ofReplicas("with everything", "", v.crowd, all))
	if err != nil {
		return err
	}
	plain := figureOf(pairs, limitCPU).Median
	r := b.fill("features", figureOf(pairs, func(p pair) float64 { return cpuRatio(p) - 1 }), "%s ms", decimal(plain))
	r.note("%s", latencies(pairs))
	// What of it is net/http's and the kernel's, who write more headers, whoever asks them to.
	headers, err := v.writeHeaders(ctx, all, v.cookie)
	if err != nil {
		return err
	}
	longer, err := v.deployment.handler(ctx, "handler with all headers", headers, "", v.crowd)
	if err != nil {
		return err
	}
	if pairs, err = b.compare(ctx, v.handler, longer); err != nil {
		return err
	}
	added := figureOf(pairs, func(p pair) float64 { return (p.ours.cpu - p.limit.cpu) / plain }).Median
	r.note("the bare handler with all of these headers takes %s × more than with those of a plain verdict", decimal(added))
	return nil
}

// saturatedConnections are more than two cores can serve at once.
const saturatedConnections = 256

// saturation counts verdicts that were not given while the cores are full and Redis is well.
func (b *bench) saturation(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	s := v.ofReplicas("authsvc, cache off", "", v.crowd, v.off)
	before, err := s.counters(ctx)
	if err != nil {
		return err
	}
	seen, err := wrk(ctx, s.address, v.crowd, saturatedConnections, 5*b.seconds)
	if err != nil {
		return err
	}
	after, err := s.counters(ctx)
	if err != nil {
		return err
	}
	if seen.requests == 0 {
		return seen.err()
	}
	refused := max(after.refused-before.refused, float64(seen.refused))
	b.fill("saturation", newFigure(refused+float64(seen.late+seen.broken+seen.unconnected)), "of %s", thousands(seen.requests)).
		note("p50/p99 ms: %s/%s, %s /s", decimal(seen.p50.Seconds()*1e3), decimal(seen.p99.Seconds()*1e3), decimal(seen.rate()))
	return nil
}

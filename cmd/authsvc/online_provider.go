package main

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"authsvc/authsvc"
)

// checkProvider looks at each provider, once for all clients of sites that go there in the same way.
func checkProvider(ctx context.Context, o *online) (findings []finding) {
	o.authorize = map[string]string{}
	var seen []authsvc.OIDC
	for _, site := range o.config.EachSite() {
		for _, p := range site.ProviderList() {
			way := p.OIDC
			way.ClientID, way.ClientSecret, way.GroupsClaim, way.AuthParams = "", "", nil, nil
			if slices.ContainsFunc(seen, func(other authsvc.OIDC) bool { return reflect.DeepEqual(other, way) }) {
				continue
			}
			seen = append(seen, way)
			findings = append(findings, inspectProvider(ctx, o, p.OIDC)...)
		}
	}
	return findings
}

func inspectProvider(ctx context.Context, o *online, client authsvc.OIDC) []finding {
	const subject = "provider"
	report, err := authsvc.InspectProvider(ctx, client)
	if err == nil {
		o.authorize[client.Issuer] = report.AuthorizationEndpoint
	}
	if err != nil {
		what := err.Error()
		if len(o.config.Sites)+len(o.config.Providers) > 0 {
			what = client.Issuer + ": " + what
		}
		return []finding{{problem, subject, what, "nobody can sign in: check oidc.issuer, and that this host reaches it"}}
	}
	findings := []finding{
		{good, subject, fmt.Sprintf("%s is discovered; people sign in at %s", client.Issuer, report.AuthorizationEndpoint), ""},
		{good, "provider keys", fmt.Sprintf("%d, for %s", report.Keys, strings.Join(report.Algorithms, " ")), ""},
		clockFinding(report, o),
	}
	for _, n := range report.Notes {
		findings = append(findings, finding{noteLevels[n.Weight], subject, n.What, n.Do})
	}
	return findings
}

var noteLevels = map[authsvc.NoteWeight]level{
	authsvc.NoteInformation: note, authsvc.NoteWarning: warning, authsvc.NoteProblem: problem,
}

// clockFinding compares the provider's clock with the store's, by which ID tokens are judged.
func clockFinding(report authsvc.ProviderReport, o *online) finding {
	const subject = "provider clock"
	if !report.Dated {
		return finding{skipped, subject, "its answers have no Date", ""}
	}
	ahead := (report.Ahead - o.ahead).Round(time.Second)
	f := finding{good, subject, fmt.Sprintf("differs by %v from the one by which sessions are measured", ahead.Abs()), ""}
	if ahead.Abs() > authsvc.MaxClockSkew/3 {
		f.level, f.do = warning, fmt.Sprintf("beyond %v logins fail: have both hosts set their clocks by NTP", authsvc.MaxClockSkew)
	}
	if ahead.Abs() > authsvc.MaxClockSkew {
		f.level = problem
	}
	return f
}

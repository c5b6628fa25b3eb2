package main

import (
	"context"
	"fmt"
	"strings"

	"authsvc/authsvc"
)

// checkBearer looks at the issuers whose bearer tokens count.
func checkBearer(ctx context.Context, o *online) []finding {
	const subject = "bearer"
	reports, err := authsvc.InspectBearer(ctx, o.config)
	if err != nil {
		return []finding{{problem, subject, err.Error(), ""}}
	}
	var findings []finding
	for _, report := range reports {
		if report.Err != nil {
			findings = append(findings, finding{problem, subject, report.Issuer + ": " + report.Err.Error(), "its tokens do not pass: check the entry of bearer, and that this host reaches it"})
			continue
		}
		what := fmt.Sprintf("%s: %d keys, for %s", report.Issuer, report.Keys, strings.Join(report.Algorithms, " "))
		if report.Introspects {
			what += "; it tells of opaque tokens"
		}
		findings = append(findings, finding{good, subject, what, ""})
	}
	return findings
}

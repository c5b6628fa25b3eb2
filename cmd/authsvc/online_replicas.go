package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"authsvc/authsvc"
)

// checkReplicas reads who runs, and tells of each that differs from most.
func checkReplicas(ctx context.Context, o *online) (findings []finding) {
	const subject = "replicas"
	if o.store == nil {
		return nil // the store's finding has said why
	}
	replicas, err := authsvc.Replicas(ctx, o.store)
	if err != nil {
		return []finding{{problem, subject, err.Error(), ""}}
	}
	states := map[authsvc.ReplicaState]int{}
	for _, r := range replicas {
		states[r.State]++
		if len(r.Drift) > 0 {
			findings = append(findings, finding{warning, subject,
				fmt.Sprintf("%s, started %s, differs from the others in %s", r.ID, r.StartedAt.Format(time.RFC3339), strings.Join(r.Drift, ", ")),
				"give every replica the same, or raise config_generation with a change that is meant"})
		}
	}
	own, err := authsvc.Compare(ctx, o.config, o.store)
	if err != nil {
		return append(findings, finding{problem, subject, err.Error(), ""})
	}
	if findings = append(findings, ownFindings(own, replicas)...); len(findings) > 0 {
		return findings
	}
	var counts []string
	for _, state := range []authsvc.ReplicaState{authsvc.ReplicaReady, authsvc.ReplicaWaiting, authsvc.ReplicaElsewhere} {
		if states[state] > 0 {
			counts = append(counts, fmt.Sprintf("%d %s", states[state], state))
		}
	}
	if len(counts) == 0 {
		return []finding{{good, subject, "none runs", ""}}
	}
	return []finding{{good, subject, strings.Join(counts, ", ") + "; they agree", ""}}
}

// ownFindings tells where this configuration differs from that of the replicas. What a replica was named for already is not told again, unless
// one with this configuration would be held back for it.
func ownFindings(own authsvc.Comparison, replicas []authsvc.Replica) (findings []finding) {
	const subject = "this configuration"
	for _, d := range own.Differences {
		if d.HoldsBack {
			findings = append(findings, finding{problem, subject, differenceText(d, own), "a replica with it would be held back, unless it has a higher config_generation"})
			continue
		}
		d.Replicas = slices.DeleteFunc(slices.Clone(d.Replicas), func(id string) bool {
			return slices.ContainsFunc(replicas, func(r authsvc.Replica) bool { return r.ID == id && slices.Contains(r.Drift, d.Setting) })
		})
		if len(d.Replicas) > 0 {
			findings = append(findings, finding{warning, subject, fmt.Sprintf("%s differs from that of %s", d.Setting, strings.Join(d.Replicas, ", ")), ""})
		}
	}
	return findings
}

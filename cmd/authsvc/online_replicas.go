package main

import (
	"context"
	"fmt"
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
	if len(findings) > 0 {
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

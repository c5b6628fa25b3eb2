package main

import (
	"context"
	"time"
)

// Settings of the replicas that scenarios reckon with.
const (
	refreshBefore = 15 * time.Second // session.refresh_before
	refreshWait   = 2 * time.Second  // session.refresh_wait, the default
	leaseLife     = 6 * time.Second  // how long a replica that vanished keeps others from refreshing
	replicaCount  = 3
)

// start brings up each part after those that it needs.
func (f *flagship) start(ctx context.Context, names []string) error {
	if err := f.Prepare(); err != nil {
		return err
	}
	if err := f.StartRedis(ctx); err != nil {
		return err
	}
	if err := f.StartProvider(names); err != nil {
		return err
	}
	f.Settings = []string{"AUTHSVC_SESSION_REFRESH_BEFORE=" + refreshBefore.String(), "AUTHSVC_SESSION_REFRESH_WAIT=" + refreshWait.String()}
	if err := f.StartReplicas(ctx, replicaCount, nil); err != nil {
		return err
	}
	return f.StartSite(ctx)
}

package main

import (
	"context"

	"authsvc/e2e/rig"
)

// cluster compares a Cluster of three masters, with a tenth of the sessions, with the one Redis that holds all.
func (b *bench) cluster(ctx context.Context) error {
	c, err := b.crowdedParts(ctx)
	if err != nil {
		return err
	}
	d, err := b.raiseOn(ctx, (*rig.Rig).StartCluster, "cluster", 1, nil)
	if err != nil {
		return err
	}
	signing, err := d.replica(ctx)
	if err != nil {
		return err
	}
	_, s, t, err := d.login(ctx, signing, 0)
	if err != nil {
		return err
	}
	cookies, watched, rate, err := d.fillWatched(ctx, max(b.sessions/10, someSessions), sampled, s, t)
	if err != nil {
		return err
	}
	held := watched[len(watched)-1]
	alone := c.taken[len(c.taken)-1]
	b.fill("cluster-bytes", newFigure(held.perSession()/alone.perSession()), "%s bytes", decimal(alone.perSession())).
		note("%s bytes a session, of %s sessions, on the three masters together; stored %s a second; a replica of each master needs as much again",
			decimal(held.perSession()), thousands(held.Sessions), decimal(rate))
	b.sizing.ClusterBytes = held.perSession() / alone.perSession()

	first := len(c.many.Replicas)
	var both [2]subject
	for i, of := range []struct {
		d       *deployment
		cookies []string
	}{{c.many, c.manyCookies}, {d, cookies}} {
		one, err := of.d.replica(ctx, "AUTHSVC_SESSION_CACHE_TTL=0")
		if err != nil {
			return err
		}
		people, err := newCrowd(of.d.Dir, "cluster", asGateway, spread(of.cookies, 10*someSessions), 0)
		if err != nil {
			return err
		}
		both[i] = of.d.ofReplicas([]string{"one Redis", "a Cluster"}[i], "", people, one)
	}
	pairs, err := b.compare(ctx, both[0], both[1])
	if err != nil {
		return err
	}
	b.sizing.ClusterCPU = figureOf(pairs, cpuRatio).Median
	b.fill("cluster-cpu", figureOf(pairs, cpuRatio), "%s ms", decimal(figureOf(pairs, limitCPU).Median)).
		note("requests a second: %s ×; %s", decimal(figureOf(pairs, rateRatio).Median), latencies(pairs))
	if err := c.many.retire(first); err != nil {
		return err
	}
	return d.Stop()
}

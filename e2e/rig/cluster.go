package rig

import (
	"context"

	"authsvc/session/storetest"
)

// StartCluster starts a Redis Cluster of three masters with a replica each, in place of StartRedis. No context ends it before Stop does.
func (r *Rig) StartCluster(context.Context) error {
	tb := &TB{}
	r.OnStop(func() error { return Try(func() error { tb.End(); return nil }) })
	return Try(func() error {
		c := storetest.StartCluster(tb)
		for _, node := range c.Nodes[:3] {
			r.Masters = append(r.Masters, node.Client())
		}
		r.Redis, r.StoreURL = r.Masters[0], c.URL
		return nil
	})
}

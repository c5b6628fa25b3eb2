package redisstore

import (
	"net"
	"os"
	"strings"
	"testing"

	"authsvc/session/storetest"
)

// clusterRights are what doc.go and README name beside the others where there is a Cluster.
var clusterRights = []string{"+cluster|slots", "+asking"}

// The rights that doc.go names for a Cluster are enough there, also while slots move, and without any one of the two more something does not work.
func TestRightsInAClusterAreTheNarrowest(t *testing.T) {
	c := storetest.StartCluster(t)
	grant := func(more ...string) *Store {
		for _, node := range c.Nodes {
			node.Do(aclRule("narrow", "pass", "authsvc:*", append(rights(t), more...))...)
		}
		return open(t, Options{URL: strings.Replace(c.URL, "//", "//narrow:pass@", 1)})
	}
	s := grant(clusterRights...)
	if missing, err := s.MissingRights(t.Context()); err != nil || missing != nil {
		t.Errorf("with all rights it misses %v, %v", missing, err)
	}
	if err := s.SelfTest(t.Context()); err != nil {
		t.Error(err)
	}
	if err := watchOnce(t.Context(), s, true); err != nil {
		t.Errorf("no changes are told: %v", err)
	}

	r := stored(t, s, 1)[0]
	slot, from := slotOf(t, c, s, r.ID)
	source, target := c.Nodes[from], c.Nodes[(from+1)%3]
	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", source.Do("CLUSTER", "MYID"))
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", target.Do("CLUSTER", "MYID"))
	host, port, _ := net.SplitHostPort(target.Addr)
	keys := s.recordKeys(r.ID)
	source.Do("MIGRATE", host, port, "", 0, 5000, "KEYS", keys[0], keys[1])
	says(t, source, "ASK", "GET", keys[0])
	if _, err := s.Load(t.Context(), r.ID); err != nil {
		t.Errorf("while a slot moves: %v", err)
	}
	if _, err := grant("+cluster|slots").Load(t.Context(), r.ID); err == nil {
		t.Error("while a slot moves, +asking is not needed")
	}
	if err := grant("+asking").SelfTest(t.Context()); err == nil {
		t.Error("+cluster|slots is not needed")
	}
}

// TestDocumentsNameTheRightsInACluster: people grant what they read there.
func TestDocumentsNameTheRightsInACluster(t *testing.T) {
	for path, says := range map[string]string{
		"doc.go":          "With a Cluster also " + strings.Join(clusterRights, ", and "),
		"../../README.md": "In a Cluster also `" + strings.Join(clusterRights, " ") + "`",
	} {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), says) {
			t.Errorf("%s does not say %q, %v", path, says, err)
		}
	}
}

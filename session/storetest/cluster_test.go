package storetest

import "testing"

func TestStartCluster(t *testing.T) {
	c := StartCluster(t)
	lives, err := c.Lives(t.Context())
	if err != nil || len(lives) != 0 {
		t.Errorf("a new cluster holds %v, %v", lives, err)
	}
	if err := c.Client().Set(t.Context(), "key", "value", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if lives, err := c.Lives(t.Context()); err != nil || len(lives) != 1 || lives["key"] >= 0 {
		t.Errorf("it holds %v, %v", lives, err)
	}
}

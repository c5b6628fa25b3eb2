package session

import (
	"context"
	"testing"
	"time"
)

func TestStoreTime(t *testing.T) {
	if got := StoreTime(t.Context(), time.Second); got != time.Second {
		t.Errorf("without a bound an operation may take %v", got)
	}
	SpendStoreTime(t.Context(), time.Second) // of nothing
	ctx, cancel := context.WithCancel(WithStoreTime(t.Context(), 135*time.Millisecond))
	cancel() // what is left does not depend on whoever asked
	for _, tt := range []struct{ most, may, took time.Duration }{
		{100 * time.Millisecond, 100 * time.Millisecond, 60 * time.Millisecond},
		{100 * time.Millisecond, 75 * time.Millisecond, 0},
		{50 * time.Millisecond, 50 * time.Millisecond, 50 * time.Millisecond},
		{100 * time.Millisecond, 25 * time.Millisecond, 25 * time.Millisecond},
		{100 * time.Millisecond, 0, 0},
	} {
		may := StoreTime(ctx, tt.most)
		if may != tt.may {
			t.Errorf("an operation may take %v, want %v", may, tt.may)
		}
		SpendStoreTime(ctx, tt.took)
	}
}

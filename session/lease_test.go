package session

import (
	"testing"
	"time"
)

func TestLeaseEncoding(t *testing.T) {
	want := lease{state: leasePaused, mark: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, ends: time.UnixMilli(1_800_000_000_123)}
	got, err := decodeLease(want.encode())
	if err != nil || got.state != want.state || got.mark != want.mark || !got.ends.Equal(want.ends) {
		t.Errorf("%+v came back as %+v, %v", want, got, err)
	}
}

package session

import (
	"bytes"
	"errors"
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

// What stands in a slot may be of another release, or garbage.
func FuzzDecodeLease(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(lease{state: leaseHeld, ends: time.UnixMilli(1)}.encode())
	f.Add(bytes.Repeat([]byte{0xff}, 17))
	f.Add(bytes.Repeat([]byte{'h'}, 18))
	f.Fuzz(func(t *testing.T, value []byte) {
		l, err := decodeLease(value)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v is no ErrCorrupt", err)
			}
			return
		}
		if !bytes.Equal(l.encode(), value) {
			t.Errorf("%x reads as %+v, which is written as %x", value, l, l.encode())
		}
	})
}

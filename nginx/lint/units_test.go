package lint

import (
	"testing"
	"time"
)

func TestUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"60": time.Minute, "500ms": 500 * time.Millisecond, "1m 30s": 90 * time.Second, "1m30s": 90 * time.Second, "2h": 2 * time.Hour, "1d": 24 * time.Hour,
		"1w": 168 * time.Hour, "1M": 720 * time.Hour, "1y": 8760 * time.Hour, "0": 0, "": -1, "s": -1, "1x": -1, "-1": -1, "$t": -1, "99999999999": -1,
	} {
		got, ok := parseTime(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %s, %t, want %s", text, got, ok, want)
		}
	}
	for text, want := range map[string]int64{"4096": 4096, "8k": 8192, "8K": 8192, "1m": 1 << 20, "1G": 1 << 30, "": -1, "k": -1, "8kk": -1, "8kb": -1, "$s": -1} {
		got, ok := parseSize(text)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %t, want %d", text, got, ok, want)
		}
	}
}

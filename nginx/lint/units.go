package lint

import (
	"strconv"
	"strings"
	"time"
)

// parseTime reads a time as nginx writes it: 1m 30s, 500ms, 60.
func parseTime(text string) (time.Duration, bool) {
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour}
	var total time.Duration
	for rest := strings.ReplaceAll(text, " ", ""); rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		number, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "mshdwMy"))
		unit, known := units[rest[:letters]]
		if !known {
			return 0, false
		}
		total += time.Duration(number) * unit
		rest = rest[letters:]
	}
	return total, text != ""
}

// parseSize reads a size as nginx writes it: 4096, 8k, 1m.
func parseSize(text string) (int64, bool) {
	number := strings.TrimRight(text, "kKmMgG")
	size, err := strconv.ParseInt(number, 10, 32)
	if err != nil || len(text)-len(number) > 1 {
		return 0, false
	}
	switch strings.ToLower(text[len(number):]) {
	case "k":
		size <<= 10
	case "m":
		size <<= 20
	case "g":
		size <<= 30
	}
	return size, true
}

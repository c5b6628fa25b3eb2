package history

import (
	"fmt"
	"math"
)

// Resources are what a process holds.
type Resources struct {
	PID        int
	Goroutines float64
	Files      float64 // open descriptors
	Memory     float64 // bytes, by one measure before and after
}

// LeftOver returns what a process holds more of than before, in words; nothing when all is back where it was. Less is fine, and so is more by a tenth and the
// slack: what a pool or a collector keeps by its own lights. A process that was started anew is another, about which the former says nothing.
func LeftOver(before, after, slack Resources) (grown []string) {
	if before.PID != after.PID {
		return nil
	}
	for _, r := range []struct {
		name                 string
		before, after, slack float64
	}{
		{"goroutines", before.Goroutines, after.Goroutines, slack.Goroutines},
		{"open files", before.Files, after.Files, slack.Files},
		{"MiB of memory", before.Memory / (1 << 20), after.Memory / (1 << 20), slack.Memory / (1 << 20)},
	} {
		if r.after > r.before*1.1+r.slack {
			grown = append(grown, fmt.Sprintf("%.0f %s, before %.0f", math.Round(r.after), r.name, math.Round(r.before)))
		}
	}
	return grown
}

// Counted returns what is wrong with a replica's count of refusals to tell; "" when nothing is. Each refusal that was seen is counted once; those that
// nobody waited for may be.
func Counted(replica string, growth, refused, unanswered int) string {
	if growth < refused || growth > refused+unanswered {
		return fmt.Sprintf("%s counted %d verdicts as unavailable; %d were seen, %d had no answer", replica, growth, refused, unanswered)
	}
	return ""
}

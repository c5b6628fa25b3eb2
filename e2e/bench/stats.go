package main

import (
	"fmt"
	"math"
	"slices"
)

// figure is what was measured: one sample a round.
type figure struct {
	Samples []float64 `json:"samples"`
	Median  float64   `json:"median"`
	Min     float64   `json:"min"`
	Max     float64   `json:"max"`
}

// newFigure takes at least one sample. The median of an even number is the mean of the two in the middle.
func newFigure(samples ...float64) figure {
	sorted := slices.Sorted(slices.Values(samples))
	n := len(sorted)
	return figure{samples, (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[0], sorted[n-1]}
}

// bound is what the median must keep.
type bound struct {
	Value float64 `json:"value"`
	Least bool    `json:"at_least"`       // else it is the most
	None  bool    `json:"none,omitempty"` // nothing says what it must be: it is measured, and told
}

func atLeast(value float64) bound { return bound{Value: value, Least: true} }
func atMost(value float64) bound  { return bound{Value: value} }

var told = bound{None: true}

func (b bound) holds(value float64) bool {
	switch {
	case b.None:
		return !math.IsNaN(value)
	case b.Least:
		return value >= b.Value
	}
	return value <= b.Value // false for what is no number
}

func (b bound) String() string {
	switch {
	case b.None:
		return "-"
	case b.Least:
		return "≥ " + decimal(b.Value)
	}
	return "≤ " + decimal(b.Value)
}

// decimal writes a figure with as many digits as say something.
func decimal(v float64) string {
	switch {
	case v >= 1000 || v <= -1000:
		return thousands(int(math.Round(v)))
	case v >= 100 || v <= -100 || v == float64(int(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10 || v <= -10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// thousands writes 15000 as 15,000.
func thousands(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

package rig

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
)

// WriteRows writes what a program of this kind has measured, for others: its rows, how many seconds that took, on what, and with which settings.
func WriteRows(path string, rows any, seconds float64, settings map[string]any) error {
	told := map[string]any{"go": runtime.Version(), "cores": runtime.NumCPU(), "seconds": seconds, "rows": rows}
	maps.Copy(told, settings)
	text, err := json.MarshalIndent(told, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("-json: %w", err)
	}
	return nil
}

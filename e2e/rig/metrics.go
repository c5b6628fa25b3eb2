package rig

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// Metrics are the replica's metrics by name and labels, as it writes them: `authsvc_cache_total{result="hit"}`.
func (one *Replica) Metrics(ctx context.Context) (map[string]float64, error) {
	page, err := one.rig.Get(ctx, "http://"+one.Admin+"/metrics", nil)
	if err == nil && page.Status != http.StatusOK {
		err = fmt.Errorf("it answers %d", page.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("/metrics of %s: %w", one.Name, err)
	}
	metrics := map[string]float64{}
	for line := range strings.Lines(page.Body) {
		line = strings.TrimSpace(line)
		name, value, found := cutLast(line, " ")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		if metrics[name], err = strconv.ParseFloat(value, 64); err != nil {
			return nil, fmt.Errorf("/metrics of %s: %w", one.Name, err)
		}
	}
	return metrics, nil
}

func cutLast(text, separator string) (before, after string, found bool) {
	if i := strings.LastIndex(text, separator); i >= 0 {
		return text[:i], text[i+len(separator):], true
	}
	return text, "", false
}

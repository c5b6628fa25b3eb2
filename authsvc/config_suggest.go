package authsvc

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// reportUnknown keeps the problem of a key that is none of its section's, with the one that was probably meant.
func (d *decoder) reportUnknown(name *yaml.Node, prefix string, siblings []Key) {
	if before, _, found := strings.Cut(name.Value, ":"); found {
		// "client_secret:abc" in a flow mapping is one long key; what follows the colon may be a secret.
		d.report(name, prefix+printableName(before), "has no space behind its colon", "write a space between the colon and the value")
		return
	}
	var names []string
	for _, sibling := range siblings {
		names = append(names, sibling.Path)
		if sibling.Twin {
			names = append(names, sibling.Path+fileTwin)
		}
	}
	right := "remove it; keys here are " + strings.Join(names, ", ")
	if meant := nearest(name.Value, names); meant != "" {
		right = "did you mean " + prefix + meant + "?"
	} else if i := slices.IndexFunc(keys, func(k Key) bool { return strings.HasSuffix(k.Path, "."+name.Value) }); i >= 0 {
		right = "did you mean " + keys[i].Path + "?"
	}
	d.report(name, prefix+printableName(name.Value), "is not a key", right)
}

// printableName returns the name of an unknown key as a message may show it: only what looks like a name.
func printableName(name string) string {
	for _, r := range name {
		if r != '_' && r != '-' && r != '.' && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r) {
			return "(unreadable name)"
		}
	}
	if name == "" || len(name) > 40 {
		return "(unreadable name)"
	}
	return name
}

// nearest returns the candidate that name was probably meant to be, or "".
func nearest(name string, candidates []string) string {
	best, distance := "", max(len(name)/4, 2)+1
	if len(name) > 80 {
		return ""
	}
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(name), strings.ToLower(candidate)); d < distance && d < len(candidate)/2+1 {
			best, distance = candidate, d
		}
	}
	return best
}

// editDistance counts the letters to insert, delete or replace between a and b (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

package authsvc

import (
	"bytes"
	"maps"
	"slices"
	"strings"
)

// Drift is a shared setting that is not the same everywhere. It is found by fingerprints in the roster, and where replicas are on
// different stores, and so on different rosters, by the first login that crosses (crossing.go).
//
// Only a newcomer is held back, and only where all must agree, by a replica whose config_generation is not lower: whoever was admitted once serves
// on and reports. A key that was added to a ring is no drift, nor is a setting that another release does not have.

// drift maps each setting that differs to the replicas that differ in it.
type drift map[string][]string

// sameKey returns a key that both rings have, as places in them.
func sameKey(a, b replica) (inA, inB int, found bool) {
	for i, name := range a.Keys {
		if j := slices.Index(b.Keys, name); j >= 0 {
			return i, j, true
		}
	}
	return 0, 0, false
}

// lacksOf reports whether a replica lacks a key of another one that signed what still lives.
func (r replica) lacksOf(other replica) bool {
	return slices.ContainsFunc(r.Lacks, func(key string) bool { return slices.Contains(other.Keys, key) && !slices.Contains(r.Keys, key) })
}

// differences returns the settings in which two replicas differ. Fingerprints that were made with different salts tell nothing: a store that
// was emptied has another one, until the next heartbeat.
func differences(a, b replica) (settings []string) {
	inA, inB, common := sameKey(a, b)
	if !common || a.lacksOf(b) || b.lacksOf(a) {
		settings = append(settings, driftKeys)
	}
	if b.Writes > a.Reads {
		settings = append(settings, driftRecords)
	}
	for path, of := range a.Secrets {
		other := b.Secrets[path]
		if common && inA < len(of) && inB < len(other) && !bytes.Equal(of[inA], other[inB]) {
			settings = append(settings, path)
		}
	}
	for path, of := range a.Settings {
		if other, has := b.Settings[path]; a.Store == b.Store && has && !bytes.Equal(of, other) {
			settings = append(settings, path)
		}
	}
	slices.Sort(settings)
	return settings
}

// driftFrom compares a replica with the others on the roster.
func (r replica) driftFrom(roster []replica) drift {
	found := drift{}
	for _, other := range roster {
		if other.ID == r.ID {
			continue
		}
		for _, setting := range differences(r, other) {
			found[setting] = append(found[setting], other.ID)
		}
	}
	for _, other := range r.Elsewhere {
		found[driftStore] = append(found[driftStore], other.ID)
	}
	return found
}

// heldBackBy returns what keeps a newcomer from taking requests: where it must agree with replicas that take them, does not, and is
// not meant to differ, since its config_generation is no higher than theirs. Other newcomers do not count: whoever announces first that
// it is ready wins, and the rest look again.
func (r replica) heldBackBy(roster []replica) drift {
	entitled := slices.DeleteFunc(slices.Clone(roster), func(other replica) bool {
		return !other.Ready || other.Generation < r.Generation
	})
	r.Elsewhere = nil
	held := r.driftFrom(entitled)
	maps.DeleteFunc(held, func(setting string, _ []string) bool { return !mustAgree(setting) })
	return held
}

// String names each setting, and the replicas that differ.
func (d drift) String() string {
	var parts []string
	for _, setting := range slices.Sorted(maps.Keys(d)) {
		parts = append(parts, setting+" differs from "+strings.Join(d[setting], ", "))
	}
	return strings.Join(parts, "; ")
}

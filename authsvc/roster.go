package authsvc

import (
	"cmp"
	"crypto/rand"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/fxamacker/cbor/v2"

	"authsvc/session"
)

// replica is one entry of the roster: what a replica tells the others about itself.
type replica struct {
	ID string
	announcement
}

// announcement is an entry in CBOR. A release ignores fields that it does not know; a number is never used again for something else.
type announcement struct {
	Version string `cbor:"1,keyasint"`
	// Started is when the replica first reached the store, in Unix milliseconds of the store's time.
	Started int64 `cbor:"2,keyasint"`
	// Ready says that the replica was admitted and takes requests. One that is held back, or has not looked yet, counts for nobody.
	Ready      bool `cbor:"3,keyasint"`
	Generation int  `cbor:"4,keyasint,omitempty"` // config_generation
	// Reads is the latest record format that the replica reads, Writes the one that it writes in view of the others.
	Reads  int `cbor:"5,keyasint"`
	Writes int `cbor:"6,keyasint"`
	// Store is the store's ID, by whose salt the settings' fingerprints are made.
	Store    [16]byte            `cbor:"7,keyasint"`
	Keys     []string            `cbor:"8,keyasint"`
	Settings map[string][]byte   `cbor:"9,keyasint"`
	Secrets  map[string][][]byte `cbor:"10,keyasint,omitempty"`
	// Elsewhere are replicas on another Redis, database or prefix that this one has met.
	Elsewhere []sighting `cbor:"11,keyasint,omitempty"`
	// Lacks are keys that signed what still lives and that are not on the replica's ring. Only a newcomer says so: whoever was admitted is
	// meant to lack them, or nobody has them.
	Lacks []string `cbor:"12,keyasint,omitempty"`
}

// sighting is a replica on another store, known by a login that it began.
type sighting struct {
	ID         string   `cbor:"1,keyasint"`
	Started    int64    `cbor:"2,keyasint"`
	Generation int      `cbor:"3,keyasint,omitempty"`
	Store      [16]byte `cbor:"4,keyasint"`
}

// younger reports whether a replica that started at a moment is younger than another; of two that started together, the one whose name
// is greater. Every pair agrees about it.
func younger(started int64, id string, otherStarted int64, otherID string) bool {
	return cmp.Or(cmp.Compare(started, otherStarted), strings.Compare(id, otherID)) > 0
}

const (
	// heartbeat is how often a replica announces itself, and replicaLife how long it is believed without.
	heartbeat   = 2 * time.Second
	replicaLife = 4 * heartbeat
	// heartbeatCrowd is from how many replicas on they announce themselves more rarely, so that what they all read stays small.
	heartbeatCrowd = 50

	maxHostName = 40
)

// newReplicaID returns the name of this process among the replicas: where it runs, and a random part.
func newReplicaID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "replica"
	}
	host = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '"' && r != '\\' {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), maxHostName)] + "-" + strings.ToLower(rand.Text()[:8])
}

// parseRoster reads a roster; the oldest replica comes first. What cannot be read is left out: nobody of ours said it.
func parseRoster(stored map[string][]byte) []replica {
	roster := make([]replica, 0, len(stored))
	for id, value := range stored {
		r := replica{ID: id}
		err := cbor.Unmarshal(value, &r.announcement)
		if err == nil && !strings.ContainsFunc(r.ID+r.Version, unicode.IsControl) { // they are printed
			roster = append(roster, r)
		}
	}
	slices.SortFunc(roster, func(a, b replica) int {
		return cmp.Or(cmp.Compare(a.Started, b.Started), strings.Compare(a.ID, b.ID))
	})
	return roster
}

// encode writes what a replica announces; it leaves out the latest sightings where it would be too long, then keys that it lacks, and then what sites
// must agree in, where so many have so long names.
func (r replica) encode() []byte {
	for {
		value, err := cbor.Marshal(r.announcement)
		if err != nil {
			panic(err) // a struct of numbers, bytes and text always has an encoding
		}
		switch {
		case len(value) <= session.MaxRosterValue:
			return value
		case len(r.Elsewhere) > 0:
			r.Elsewhere = r.Elsewhere[:len(r.Elsewhere)-1]
		case len(r.Lacks) > 0:
			r.Lacks = r.Lacks[:len(r.Lacks)-1]
		default:
			settings := maps.Clone(r.Settings)
			maps.DeleteFunc(settings, func(setting string, _ []byte) bool { return isOfSite(setting) })
			if len(settings) == len(r.Settings) {
				return value
			}
			r.Settings = settings
		}
	}
}

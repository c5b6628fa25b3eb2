package main

import (
	"context"
	"slices"
	"strings"
	"time"
)

// row is one line of the catalogue: a fault, and what people may see of it.
type row struct {
	// id is the catalogue's, "F5"; a letter behind it tells variants of one fault apart.
	id string
	// name is what happens, in a few words.
	name string
	// class is the family of which make test tries one row. "" for others.
	class string
	// on is where it happens.
	on []topology
	// own is what the row needs that others cannot use; most need nothing.
	own special
	// bound is what must hold, for people; the history checker knows it by the fields below.
	bound string

	// fault makes it happen, from the beginning to the end, with s.begin, s.during and s.end. Faults that nobody may notice need neither begin nor end. An error,
	// as one that s.fail makes, fails the row.
	fault func(ctx context.Context, s *scene) error
	// heal is within what all is well after s.end; 0: a second.
	heal time.Duration
	// out is for how long after a logout was acknowledged an answer may still be sent for that lets somebody pass; 0: 1.2 s, within what a replica notices that it does not hear
	// the store.
	out time.Duration
	// shows are answers that must have been seen between s.begin and s.end, as 503: without them nothing was tried.
	shows []int
	// loses says that the store itself loses sessions: those that it does not hold afterwards may be refused, from s.begin on.
	loses bool
	// buttons says that nobody signs out through the provider.
	buttons bool
	// missing tells why the row cannot run on this machine; nil: it can.
	missing func() string
}

// catalogue are all rows, in the order of their numbers.
func catalogue() []row {
	all := slices.Concat(redisFaults, redisRefusals, redisData, redisTLS, sentinelFaults, clusterFaults, providerFaults, providerWays, replicaFaults, clientFaults, scantMeans)
	slices.SortStableFunc(all, func(a, b row) int { return number(a.id) - number(b.id) })
	return all
}

// number is that of a row without its letter.
func number(id string) (n int) {
	for _, digit := range strings.TrimPrefix(id, "F") {
		if digit < '0' || digit > '9' {
			break
		}
		n = 10*n + int(digit-'0')
	}
	return n
}

// is reports whether a row is asked for by its id, or by its number for all variants.
func (r row) is(wanted string) bool {
	return r.id == wanted || strings.TrimRight(r.id, "abcdefgh") == wanted
}

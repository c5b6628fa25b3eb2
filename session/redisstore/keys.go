package redisstore

import (
	"encoding/base64"
	"fmt"
	"regexp"

	"authsvc/session"
)

// Key names are made here and nowhere else. Braces are the hash tag by which Redis Cluster keeps the keys
// of one session, which one script touches, on one node.
//
//	<prefix>:session:{<ID>}    the identity part of a record; exactly one per session
//	<prefix>:tokens:{<ID>}     its tokens part, if it has one
//	<prefix>:<kind>:{<hash>}   a slot

const (
	kindSession = "session"
	kindTokens  = "tokens"
)

var (
	// A prefix has no braces, which would move the hash tag, nothing that a pattern of an ACL or of SCAN would take
	// for a wildcard, and no blanks.
	validPrefix = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)
	validKind   = regexp.MustCompile(`^[a-z]{1,32}$`)
)

// recordKeys returns the names of a record's two keys, identity first.
func (s *Store) recordKeys(id session.ID) []string {
	tag := ":{" + id.String() + "}"
	return []string{s.prefix + ":" + kindSession + tag, s.prefix + ":" + kindTokens + tag}
}

func (s *Store) slotKey(name session.SlotName) (string, error) {
	if !validKind.MatchString(name.Kind) || name.Kind == kindSession || name.Kind == kindTokens {
		return "", fmt.Errorf("a slot's kind is a short lower-case word other than %q and %q, not %q",
			kindSession, kindTokens, name.Kind)
	}
	return s.prefix + ":" + name.Kind + ":{" + base64.RawURLEncoding.EncodeToString(name.Hash[:]) + "}", nil
}

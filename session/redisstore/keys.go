package redisstore

import (
	"encoding/base64"
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

// A prefix has no braces, which would move the hash tag, nothing that a pattern of an ACL or of SCAN would take
// for a wildcard, and no blanks.
var validPrefix = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// recordKeys returns the names of a record's two keys, identity first.
func (s *Store) recordKeys(id session.ID) []string {
	tag := ":{" + id.String() + "}"
	return []string{s.prefix + ":" + kindSession + tag, s.prefix + ":" + kindTokens + tag}
}

// slotKeys returns the name of a slot's one key. SlotName.Check keeps it apart from those of records.
func (s *Store) slotKeys(name session.SlotName) []string {
	return []string{s.prefix + ":" + name.Kind + ":{" + base64.RawURLEncoding.EncodeToString(name.Hash[:]) + "}"}
}

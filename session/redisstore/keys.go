package redisstore

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"authsvc/session"
)

// Key names are made here and nowhere else. Braces are the hash tag by which Redis Cluster keeps the keys
// of one session, or of one list, which one script touches, on one node.
//
//	<prefix>:session:{<ID>}    the identity part of a record; exactly one per session
//	<prefix>:tokens:{<ID>}     its tokens part, if it has one
//	<prefix>:<kind>:{<hash>}   a slot
//	<prefix>:user:{<hash>}     the sessions of a user, a sorted set: the 32 bytes of each ID by the Unix ms of its end
//	<prefix>:sid:{<hash>}      the sessions of a provider's session, likewise
//	<prefix>:replica:{roster}  the roster, a hash by name
//	<prefix>:count:{sessions}:hours
//	                           how many sessions end in each hour since 1970, a hash: hour, and hour with a "b" for bytes
//	<prefix>:count:{sessions}:<hour>
//	                           how many of them end in each second of the hour, likewise
//	<prefix>:count:{sessions}:users:<n>
//	                           users who have a session, a sorted set: 8 bytes of the list's hash by the Unix ms of its longest life
//	<prefix>:count:{sessions}:by:<process>
//	                           the number of the last counts that a process has sent
//
// and one channel, <prefix>:changes, for messages about records where the server does not tell of changes by itself.

const (
	kindSession = "session"
	kindTokens  = "tokens"
)

// validPrefix reports whether a prefix has no braces, which would move the hash tag, nothing that a pattern of an ACL or of SCAN would take
// for a wildcard, and no blanks.
func validPrefix(prefix string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"
	return prefix != "" && len(prefix) <= 64 && strings.Trim(prefix, letters) == ""
}

// recordKeys returns the names of a record's two keys, identity first.
func (s *Store) recordKeys(id session.ID) []string {
	return []string{s.recordKey(kindSession, id), s.recordKey(kindTokens, id)}
}

func (s *Store) recordKey(kind string, id session.ID) string {
	return s.prefix + ":" + kind + ":{" + id.String() + "}"
}

// slotKeys returns the name of a slot's one key. SlotName.Check keeps it apart from those of records and lists.
func (s *Store) slotKeys(name session.SlotName) []string {
	return []string{s.prefix + ":" + name.Kind + ":{" + base64.RawURLEncoding.EncodeToString(name.Hash[:]) + "}"}
}

func (s *Store) countKey(name string) string { return s.prefix + ":count:{sessions}:" + name }

func (s *Store) hoursKey() string { return s.countKey("hours") }

func (s *Store) hourKey(hour int64) string { return s.countKey(strconv.FormatInt(hour, 10)) }

func (s *Store) userSetKey(n uint64) string { return s.countKey("users:" + strconv.FormatUint(n, 10)) }

func (s *Store) senderKey(process string) string { return s.countKey("by:" + process) }

// indexKeys returns the name of a list's one key.
func (s *Store) indexKeys(name session.IndexName) ([]string, error) {
	if name.Kind != session.KindUser && name.Kind != session.KindSID {
		return nil, fmt.Errorf("a list of sessions is of kind %s or %s, not %q", session.KindUser, session.KindSID, name.Kind)
	}
	return []string{s.prefix + ":" + name.Kind + ":{" + base64.RawURLEncoding.EncodeToString(name.Hash[:]) + "}"}, nil
}

// recordsPrefix is what the names of all identity parts start with, and of nothing else of ours.
func (s *Store) recordsPrefix() string { return s.prefix + ":" + kindSession + ":" }

// recordID returns the ID in the name of an identity part.
func (s *Store) recordID(key []byte) (session.ID, bool) {
	rest, found := bytes.CutPrefix(key, []byte(s.recordsPrefix()))
	if !found || len(rest) < 2 || rest[0] != '{' || rest[len(rest)-1] != '}' {
		return session.ID{}, false
	}
	id, err := session.ParseID(string(rest[1 : len(rest)-1]))
	return id, err == nil
}

// changesChannel is where writes are announced.
func (s *Store) changesChannel() string { return s.prefix + ":changes" }

// rosterKeys returns the name of the roster's one key.
func (s *Store) rosterKeys() []string {
	return []string{s.prefix + ":" + session.KindReplica + ":{roster}"}
}

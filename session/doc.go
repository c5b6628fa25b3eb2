// Package session is the heart of authsvc: what a session is, how it is sealed, and what a
// store must promise. It knows no HTTP, no OpenID Connect and no Redis.
//
// The life of a session:
//
//  1. A login ends and Manager.Begin makes a Token, which only the browser gets, and a Record,
//     which only the store gets. The record's name is a hash of the token and its contents are
//     sealed with a key derived from the token and the service's master key, so that neither a
//     dump of the store nor a stolen master key opens a session.
//  2. Every request brings the token. Its MAC is checked before anything is asked of the store;
//     then Manager.Load reads the record, checks that it is the one that was asked for, and opens it.
//  3. A session that is used lives on: Manager.Touch extends the record's life, rarely.
//  4. Tokens that fall due are renewed by a Renewer: one flight per process, one lease per cluster, and a write that only the
//     version that was read accepts.
//  5. Manager.End deletes the record. A record that was deleted never comes back.
//
// Sessions that have a user in common are on a list, noted before their records are stored: Manager.Group and Manager.All go through
// them, Manager.EndGroup ends them.
//
// Errors are of three kinds, and the difference is the point of this package: the session does not
// exist (ErrNotFound), it exists but cannot be read (ErrCorrupt), and everything else, which means
// "cannot tell". Whoever cannot tell must not treat the session as absent.
package session

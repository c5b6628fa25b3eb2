package authsvc

import "authsvc/session"

// asker is who a request comes from, as far as that is known; the zero asker is nobody. A session of the cache is decoded when something is first asked
// of it that most verdicts do not need.
type asker struct {
	session *session.Session // nil where it is not decoded yet
	packed  session.Packed
}

// signedIn reports whether it is anybody.
func (a *asker) signedIn() bool { return a.session != nil || !a.packed.IsZero() }

// open returns the session, nil for nobody. Nobody may change it.
func (a *asker) open() *session.Session {
	if a.session == nil && !a.packed.IsZero() {
		a.session = a.packed.Open()
	}
	return a.session
}

// id returns the session's ID, which is zero for who has no record.
func (a *asker) id() session.ID {
	if a.session == nil {
		return a.packed.ID()
	}
	return a.session.ID
}

// version returns the session's Version.
func (a *asker) version() uint64 {
	if a.session == nil {
		return a.packed.Version()
	}
	return a.session.Version
}

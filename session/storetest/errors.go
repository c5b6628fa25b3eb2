package storetest

import (
	"errors"

	"authsvc/session"
)

// sentinels are the errors that mean something else than "cannot tell". ErrLaterFormat and ErrForeign do mean it.
var sentinels = []error{session.ErrNotFound, session.ErrExists, session.ErrVersion, session.ErrCorrupt}

// is reports whether err is the sentinel want and no other one.
func is(err, want error) bool {
	for _, s := range sentinels {
		if s != want && errors.Is(err, s) {
			return false
		}
	}
	return errors.Is(err, want)
}

// CannotTell reports whether err says that the store could not be asked: an error, and none of the sentinels.
func CannotTell(err error) bool {
	for _, s := range sentinels {
		if errors.Is(err, s) {
			return false
		}
	}
	return err != nil
}

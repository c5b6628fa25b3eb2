//go:build authsvc_next_format

// With this tag the program stores what the release after this one might, so that tests can run the two side by side.

package session

import "fmt"

const RecordFormat = 2

// addition is a field that nobody can do without: a record of format 2 that lacks it is corrupt, and one of format 1 has none.
type addition struct {
	SubjectSize int `cbor:"100,keyasint,omitempty"` // and one, so that there always is some
}

func newAddition(s Session) addition { return addition{len(s.Subject) + 1} }

func (a addition) check(format byte) error {
	if format < RecordFormat && a.SubjectSize != 0 || format == RecordFormat && a.SubjectSize == 0 {
		return fmt.Errorf("%w: its contents are not those of format %d", ErrCorrupt, format)
	}
	return nil
}

//go:build !authsvc_next_format

package session

// RecordFormat is the latest format of records that this release reads. It is the one that it writes once every replica reads it.
const RecordFormat = 1

// addition is what an identity has in RecordFormat and had not in the format before: nothing yet.
type addition struct{}

func newAddition(Session) addition { return addition{} }

func (addition) check(format byte) error { return nil }

package session

import "cmp"

// OldestRecordFormat is the earliest format of records that this release reads: that of the release before. A format is written as long
// as somebody reads nothing later, so a release that raises RecordFormat keeps the one before it.
const OldestRecordFormat = max(1, RecordFormat-1)

// FormatToWrite returns the latest format that every replica reads, given the latest that each of the others does, 0 for one that does not
// say: it is of the first release. Where one reads nothing that this release can write, it is the oldest that this release can.
func FormatToWrite(others ...int) byte {
	format := RecordFormat
	for _, other := range others {
		format = min(format, cmp.Or(other, 1))
	}
	return byte(max(format, OldestRecordFormat))
}

package main

import (
	"strconv"

	"authsvc/session"
)

// recordFormats returns the formats of session records that this release reads and the one that it writes.
func recordFormats() (read, written string) {
	format := strconv.Itoa(session.RecordFormat)
	return format, format
}

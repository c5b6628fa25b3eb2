package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Bounds of a journal.
const (
	journalTime  = 30 * time.Second
	journalLines = 10_000
	journalBytes = 16 << 20
)

// replayPauses are how long after a failover the journal is replayed, again and again: clients of the store follow the new master one by one.
var replayPauses = []time.Duration{0, time.Second, 4 * time.Second, 10 * time.Second}

// Journal remembers what this replica has ended and rotated in the last half a minute. Redis replicates after it has acknowledged, so a failover can bring
// back a session that was ended, or tokens that are spent; Replay does what was lost once more. It is bounded, in memory, and safe for concurrent use; a nil Journal remembers nothing.
type Journal struct {
	Store Store

	mu      sync.Mutex
	lines   []journalLine // the oldest first
	bytes   int
	replays int // how often Replay was called: the last one counts
}

// journalLine is a rotation, or the end of a session if the record has no version.
type journalLine struct {
	written time.Time
	record  Record
}

func (l journalLine) bytes() int { return 200 + len(l.record.Identity) + len(l.record.Tokens) }

func (j *Journal) ended(id ID)      { j.write(Record{ID: id}) }
func (j *Journal) rotated(r Record) { j.write(r) }

func (j *Journal) write(r Record) {
	if j == nil {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	line := journalLine{time.Now(), r}
	j.lines = append(j.lines, line)
	j.bytes += line.bytes()
	j.drop()
}

// drop forgets what is too old or too much.
func (j *Journal) drop() {
	n := 0
	for n < len(j.lines) && (time.Since(j.lines[n].written) > journalTime || len(j.lines)-n > journalLines || j.bytes > journalBytes) {
		j.bytes -= j.lines[n].bytes()
		n++
	}
	clear(j.lines[:n]) // the array behind them lives on for a while
	j.lines = j.lines[n:]
}

// Replay asserts again what the journal holds now, several times within some seconds. It returns at once. Nothing that has happened since is
// undone: an ended session's ID is never used again, and a rotation is refused unless its record is as old as before it.
func (j *Journal) Replay() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop()
	j.replays++
	go j.replay(j.replays, slices.Clone(j.lines))
}

func (j *Journal) replay(number int, lines []journalLine) {
	for _, pause := range replayPauses {
		time.Sleep(pause)
		if !j.current(number) {
			return
		}
		for _, line := range lines {
			if !j.assert(line.record) {
				break // it does not answer: later
			}
		}
	}
}

func (j *Journal) current(number int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.replays == number
}

// assert writes a line again, and reports whether the store could tell.
func (j *Journal) assert(r Record) bool {
	ctx := context.Background()
	if r.Version == 0 {
		return j.Store.Delete(ctx, r.ID) == nil
	}
	err := j.Store.Swap(ctx, r)
	return err == nil || errors.Is(err, ErrVersion) || errors.Is(err, ErrNotFound)
}

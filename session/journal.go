package session

import (
	"cmp"
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

// replayFailing is for how long a replay may wait for what fails before it leaves the rest for later.
const replayFailing = 2 * time.Second

// Journal remembers what this replica has ended, marked as ended and rotated in the last half a minute. Redis replicates after it has acknowledged, so
// a failover can bring back a session that was ended, or tokens that are spent; Replay does what was lost once more. It is bounded, in memory, and safe
// for concurrent use; a nil Journal remembers nothing.
type Journal struct {
	Store Store
	// Panicked, unless nil, is told of a panic during a replay, which ends it.
	Panicked func(error)

	mu      sync.Mutex
	lines   []journalLine // the oldest first
	bytes   int
	replays int // how often Replay was called: the last one counts
}

// What a journal holds, in the order in which it is done again: a store that is full deletes but takes nothing new, and what it
// refuses then must not keep it from ending what was ended.
const (
	journalEnd = iota
	journalMark
	journalRotation
)

// journalLine is one thing that was done.
type journalLine struct {
	kind    int // journalEnd and the like
	written time.Time
	bytes   int                         // about what it takes of memory
	again   func(context.Context) error // does it once more, unless something later has been done since
}

// ended notes the end of a session, whose ID is never used again.
func (j *Journal) ended(id ID) {
	if j != nil {
		j.write(journalEnd, 0, func(ctx context.Context) error { return j.Store.Delete(ctx, id) })
	}
}

// rotated notes a rotation, which is refused unless the record is as old as before it.
func (j *Journal) rotated(r Record) {
	if j == nil {
		return
	}
	j.write(journalRotation, len(r.Identity)+len(r.Tokens), func(ctx context.Context) error {
		err := j.Store.Swap(ctx, r)
		if errors.Is(err, ErrVersion) || errors.Is(err, ErrNotFound) {
			return nil
		}
		return err
	})
}

// marked notes the mark of a group's end, which a later one outlasts.
func (j *Journal) marked(slots Slots, slot SlotName, value []byte, life time.Duration) {
	if j != nil {
		j.write(journalMark, len(value), func(ctx context.Context) error { return leaveMark(ctx, slots, slot, value, life) })
	}
}

func (j *Journal) write(kind, bytes int, again func(context.Context) error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	line := journalLine{kind, time.Now(), bytes + 300, again}
	j.lines = append(j.lines, line)
	j.bytes += line.bytes
	j.drop()
}

// drop forgets what is too old or too much.
func (j *Journal) drop() {
	n := 0
	for n < len(j.lines) && (time.Since(j.lines[n].written) > journalTime || len(j.lines)-n > journalLines || j.bytes > journalBytes) {
		j.bytes -= j.lines[n].bytes
		n++
	}
	clear(j.lines[:n]) // the array behind them lives on for a while
	j.lines = j.lines[n:]
}

// Replay does again what the journal holds now, several times within some seconds. It returns at once. The next call ends it.
func (j *Journal) Replay() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.drop()
	j.replays++
	if len(j.lines) > 0 {
		lines := slices.Clone(j.lines)
		slices.SortStableFunc(lines, func(a, b journalLine) int { return cmp.Compare(a.kind, b.kind) })
		go j.replay(j.replays, lines)
	}
}

func (j *Journal) replay(number int, lines []journalLine) {
	err := Catch(func() error { j.replayAll(number, lines); return nil })
	if err != nil && j.Panicked != nil {
		j.Panicked(err)
	}
}

func (j *Journal) replayAll(number int, lines []journalLine) {
	for _, pause := range replayPauses {
		time.Sleep(pause)
		var failing time.Duration
		for _, line := range lines {
			if !j.current(number) {
				return
			}
			if failing > replayFailing {
				break
			}
			begun := time.Now()
			if line.again(context.Background()) != nil {
				failing += time.Since(begun) // later; the part of a Cluster that has the next may answer
			}
		}
	}
}

func (j *Journal) current(number int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.replays == number
}

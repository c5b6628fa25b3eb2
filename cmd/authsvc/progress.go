package main

import (
	"fmt"
	"io"
	"time"
)

// How often progress is told: to somebody who looks, by rewriting one line; to others, by a new line.
const (
	progressRewritten = 200 * time.Millisecond
	progressRepeated  = 5 * time.Second
)

// progress tells on stderr how far long work is. What is done at once says nothing.
type progress struct {
	out      io.Writer
	what     string
	terminal bool
	last     time.Time
	shown    bool
}

// newProgress tells of work that begins now; a silent one tells nothing.
func newProgress(stderr io.Writer, what string, told bool) *progress {
	if !told {
		stderr = io.Discard
	}
	return &progress{out: stderr, what: what, terminal: isTerminal(stderr), last: time.Now()}
}

// tell says how much is done, from time to time.
func (p *progress) tell(done int) {
	pause := progressRepeated
	if p.terminal {
		pause = progressRewritten
	}
	if time.Since(p.last) < pause {
		return
	}
	p.last = time.Now()
	if !p.terminal {
		fmt.Fprintf(p.out, "%d %s\n", done, p.what)
		return
	}
	p.shown = true
	fmt.Fprintf(p.out, "\r%d %s", done, p.what)
}

// done takes the rewritten line away.
func (p *progress) done() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}

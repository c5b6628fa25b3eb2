package main

import (
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2/stream"
	"github.com/Shopify/toxiproxy/v2/toxics"
)

func init() {
	toxics.Register("cut", new(cutToxic))
	toxics.Register("late", new(lateToxic))
}

// cutToxic cuts one of so many answers after a few bytes, and ends the connection; toxiproxy's limit_data cuts each connection once, in the answers to its first
// commands.
type cutToxic struct {
	Every int64 `json:"every"` // of so many pieces, one is cut
	Most  int64 `json:"most"`  // after 1 to so many bytes, each in its turn
}

var pieces atomic.Int64

// Pipe passes pieces on, as toxiproxy wants it.
func (t *cutToxic) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case piece := <-stub.Input:
			if piece == nil {
				stub.Close()
				return
			}
			if n := pieces.Add(1); n%t.Every == 0 {
				cut := min(int(n/t.Every%t.Most)+1, len(piece.Data))
				stub.Output <- &stream.StreamChunk{Data: piece.Data[:cut], Timestamp: piece.Timestamp}
				stub.Close()
				return
			}
			stub.Output <- piece
		}
	}
}

// lateToxic holds one of so many answers back for longer than anybody waits, and gives it then: whoever uses the connection meanwhile gets somebody else's answer.
type lateToxic struct {
	Every int64 `json:"every"`
	Late  int64 `json:"late"` // ms
}

// Pipe passes pieces on, as toxiproxy wants it.
func (t *lateToxic) Pipe(stub *toxics.ToxicStub) {
	for {
		select {
		case <-stub.Interrupt:
			return
		case piece := <-stub.Input:
			if piece == nil {
				stub.Close()
				return
			}
			if pieces.Add(1)%t.Every == 0 {
				select {
				case <-time.After(time.Duration(t.Late) * time.Millisecond):
				case <-stub.Interrupt:
					stub.Output <- piece
					return
				}
			}
			stub.Output <- piece
		}
	}
}

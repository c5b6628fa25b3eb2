package main

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Bounds on the log's lines that nobody has read yet.
const (
	sinkLines = 4096
	sinkBytes = 4 << 20
	// Of both, lines below the level error take three quarters: a flood of refusals leaves room for what an operator has to know.
	ordinaryLines = sinkLines / 4 * 3
	ordinaryBytes = sinkBytes / 4 * 3
)

// sink takes the log's lines and writes them to a stream that may stall or fail, as a full pipe and a full disk do. Who logs never waits for it: a line
// for which there is no more room, or that cannot be written, is dropped and counted, and when the stream takes lines again it is told how many are missing.
// It is safe for concurrent use. (zerolog's diode bounds lines rather than memory, throws away all that it holds when it is full, counts what is lost only
// once the stream flows again, and its Close waits for ever.)
type sink struct {
	out io.Writer
	// notice makes the line that tells how many were lost.
	notice func(lost uint64) []byte

	lines   chan []byte
	held    atomic.Int64 // bytes of lines
	dropped atomic.Uint64
	told    uint64 // of dropped; run's own
	ending  chan struct{}
	done    chan struct{}
}

func newSink(out io.Writer, notice func(lost uint64) []byte) *sink {
	s := &sink{
		out: out, notice: notice,
		lines: make(chan []byte, sinkLines), ending: make(chan struct{}), done: make(chan struct{}),
	}
	go s.run()
	return s
}

// observe registers the metric that counts what is lost.
func (s *sink) observe(registry *prometheus.Registry) {
	registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "authsvc_log_dropped_total", Help: "Lines of the log that were lost since nobody read them in time, or since they could not be written.",
	}, func() float64 { return float64(s.dropped.Load()) }))
}

// Write takes one line of any level. It has no error, of which zerolog would tell on the very stream that may have stalled.
func (s *sink) Write(line []byte) (int, error) { return s.take(line, sinkLines, sinkBytes) }

// WriteLevel implements zerolog.LevelWriter. The console's format, which is for people, does not use it.
func (s *sink) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if level < zerolog.ErrorLevel {
		return s.take(line, ordinaryLines, ordinaryBytes)
	}
	return s.Write(line)
}

// take takes one line unless so many lines or bytes are held. Callers that meet may go beyond the lines by one each.
func (s *sink) take(line []byte, lines int, bound int64) (int, error) {
	size := int64(len(line))
	if s.held.Add(size) <= bound && len(s.lines) < lines {
		select {
		case s.lines <- bytes.Clone(line):
			return len(line), nil
		default:
		}
	}
	s.held.Add(-size)
	s.dropped.Add(1)
	return len(line), nil
}

// close writes what is left, in so much time at most, and reports whether that was done. What is logged afterwards is lost. It is called once.
func (s *sink) close(patience time.Duration) bool {
	close(s.ending)
	select {
	case <-s.done:
		return true
	case <-time.After(patience):
		return false
	}
}

func (s *sink) run() {
	defer close(s.done)
	for {
		select {
		case line := <-s.lines:
			s.write(line)
			continue
		default:
		}
		s.tell()
		select {
		case line := <-s.lines:
			s.write(line)
		case <-s.ending:
			if len(s.lines) == 0 {
				return
			}
		}
	}
}

func (s *sink) write(line []byte) {
	if _, err := s.out.Write(line); err != nil {
		s.dropped.Add(1)
	}
	s.held.Add(-int64(len(line)))
}

// tell says how many lines were lost since it last said so. Where that cannot be written either, it is for later.
func (s *sink) tell() {
	dropped := s.dropped.Load()
	if dropped == s.told {
		return
	}
	if _, err := s.out.Write(s.notice(dropped - s.told)); err == nil {
		s.told = dropped
	}
}

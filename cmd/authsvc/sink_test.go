package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"authsvc/authsvc"
)

// stream is one that can stall and fail.
type stream struct {
	flows chan struct{} // closed when it stalls no more; nil for never
	err   error
	taken bytes.Buffer
}

func (s *stream) Write(p []byte) (int, error) {
	if s.flows != nil {
		<-s.flows
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.taken.Write(p)
}

func lineOf(lost uint64) []byte { return fmt.Appendf(nil, "%d lost\n", lost) }

// TestSink: whoever logs never waits. What a stream does not take is counted, and told once it takes lines again; the rest comes in order.
func TestSink(t *testing.T) {
	t.Run("flows", func(t *testing.T) {
		out := &stream{}
		s := newSink(out, lineOf)
		want := ""
		for i := range 1000 {
			line := fmt.Sprintln("line", i)
			want += line
			s.Write([]byte(line))
		}
		if !s.close(time.Minute) || out.taken.String() != want || s.dropped.Load() != 0 {
			t.Errorf("%d dropped, and it wrote\n%s", s.dropped.Load(), out.taken.String())
		}
	})
	t.Run("stalls", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			out := &stream{flows: make(chan struct{})}
			s := newSink(out, lineOf)
			s.Write([]byte("the first\n"))
			synctest.Wait() // it stalls with this one
			for range sinkLines + 7 {
				s.Write([]byte("x\n"))
			}
			if got := s.dropped.Load(); got != 7 {
				t.Errorf("%d dropped while it stalls", got)
			}
			close(out.flows)
			synctest.Wait()
			s.Write([]byte("the last\n"))
			if want := "the first\n" + strings.Repeat("x\n", sinkLines) + "7 lost\nthe last\n"; !s.close(time.Minute) || out.taken.String() != want {
				t.Errorf("it wrote %d bytes, want %d, that end with %q", out.taken.Len(), len(want), out.taken.String()[max(0, out.taken.Len()-30):])
			}
		})
	})
	t.Run("is bounded in memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			out := &stream{flows: make(chan struct{})}
			s := newSink(out, lineOf)
			line := bytes.Repeat([]byte("x"), sinkBytes/4)
			for range 6 {
				s.Write(line)
			}
			if got := s.dropped.Load(); got != 2 || s.held.Load() > sinkBytes {
				t.Errorf("%d dropped, %d bytes held", got, s.held.Load())
			}
			if s.close(time.Second) {
				t.Error("it was closed while it stalls")
			}
			close(out.flows)
			synctest.Wait()
			if s.held.Load() != 0 {
				t.Errorf("%d bytes held at the end", s.held.Load())
			}
		})
	})
	t.Run("keeps room for errors", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			for name, flood := range map[string]struct {
				line string
				n    int
			}{"lines": {"x", 2 * sinkLines}, "bytes": {strings.Repeat("x", sinkBytes/16), 32}} {
				out := &stream{flows: make(chan struct{})}
				s := newSink(out, lineOf)
				log := zerolog.New(s)
				for range flood.n {
					log.Info().Msg(flood.line)
				}
				dropped := s.dropped.Load()
				if dropped == 0 {
					t.Errorf("%s: nothing was dropped while it stalls", name)
				}
				for range 10 {
					log.Error().Msg("!")
				}
				if got := s.dropped.Load(); got != dropped {
					t.Errorf("%s: %d errors were dropped", name, got-dropped)
				}
				close(out.flows)
				if !s.close(time.Minute) || strings.Count(out.taken.String(), `"message":"!"`) != 10 {
					t.Errorf("%s: it did not write all errors", name)
				}
			}
		})
	})
	t.Run("fails", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			out := &stream{err: errors.New("no space left on device")}
			s := newSink(out, lineOf)
			s.Write([]byte("one\n"))
			s.Write([]byte("two\n"))
			synctest.Wait()
			out.err = nil
			s.Write([]byte("three\n"))
			if want := "three\n2 lost\n"; !s.close(time.Minute) || out.taken.String() != want || s.dropped.Load() != 2 {
				t.Errorf("%d dropped, and it wrote %q", s.dropped.Load(), out.taken.String())
			}
		})
	})
}

// TestLogTellsWhatWasLost in the configured format, whatever the level is.
func TestLogTellsWhatWasLost(t *testing.T) {
	for format, want := range map[string]string{"json": `"level":"warn","lines":3,`, "console": "lines=3"} {
		config := &authsvc.Config{}
		config.Log.Format, config.Log.Level = format, "error"
		_, lines := newLogger(config, &bytes.Buffer{})
		if line := string(lines.notice(3)); !strings.Contains(line, want) || strings.Count(line, "\n") != 1 {
			t.Errorf("%s: %q", format, line)
		}
		lines.close(time.Minute)
	}
}

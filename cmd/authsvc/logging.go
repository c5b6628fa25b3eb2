package main

import (
	"bytes"
	"io"
	stdlog "log"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/redis/go-redis/v9/logging"
	"github.com/rs/zerolog"

	"authsvc/authsvc"
)

// newLogger returns the log of the configuration, and the sink that it writes to.
func newLogger(config *authsvc.Config, stderr io.Writer) (zerolog.Logger, *sink) {
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	level, err := zerolog.ParseLevel(config.Log.Level)
	if err != nil {
		level = zerolog.InfoLevel // Validate knows the levels
	}
	on := func(out io.Writer) zerolog.Logger {
		if config.Log.Format == "console" {
			out = zerolog.ConsoleWriter{Out: out, TimeFormat: time.RFC3339, TimeLocation: time.UTC, NoColor: !isTerminal(stderr)}
		}
		return zerolog.New(out).Level(level).With().Timestamp().Logger()
	}
	lines := newSink(stderr, func(lost uint64) []byte {
		var line bytes.Buffer
		log := on(&line).Level(zerolog.WarnLevel) // told whatever the level is
		log.Warn().Uint64("lines", lost).Msg("lines of the log were lost here: they could not be written, or nobody read them in time; authsvc_log_dropped_total counts them")
		return line.Bytes()
	})
	return on(lines), lines
}

// isTerminal reports whether somebody sits at the other end of stream, rather than a file or another program.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// silenceLibraries keeps libraries from writing to stderr past the log: they would wait for it, and quote what strangers sent. What they
// tell comes as an error, too.
func silenceLibraries() {
	stdlog.SetOutput(io.Discard)
	logging.Disable() // of go-redis
}

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// refusedError is what a server said to a new connection, for those whose own dial has to wait.
type refusedError struct{ code string }

func (e *refusedError) Error() string { return "the server refuses new connections: " + e.code }

// replyError is an error that Redis replied. Its text leaves out what Redis quotes of a command, which
// can be anything that was sent.
type replyError struct{ err redis.Error }

func (e *replyError) Error() string {
	text, _, _ := strings.Cut(e.err.Error(), ", with args beginning with")
	return text
}

func (e *replyError) Unwrap() error { return e.err }

// errorCode returns the first word of an error reply, in capitals by convention; "ERR" when there is none. Redis 6 wraps what a command says that
// a script runs: "ERR Error running script (call to f_…): @user_script:2: @user_script: 2: -READONLY You can't write …". Two
// refusals have no code of their own in any version, and get one here: NOAUTH, as others of their kind, and MAXCLIENTS.
func errorCode(reply string) string {
	switch {
	case strings.HasPrefix(reply, "ERR Protocol error: unauthenticated"): // of a command that is too long for who has not signed in
		return "NOAUTH"
	case strings.HasPrefix(reply, "ERR max number of clients"):
		return "MAXCLIENTS"
	}
	if strings.HasPrefix(reply, "ERR Error running script") {
		if _, within, found := strings.Cut(reply, ": -"); found {
			reply = within
		}
	}
	word, _, _ := strings.Cut(strings.TrimSpace(reply), " ")
	for _, c := range word {
		if c < 'A' || c > 'Z' {
			return "ERR"
		}
	}
	if word == "" || len(word) > 20 {
		return "ERR"
	}
	return word
}

// explain makes an operation's error one that callers of this package meet.
func explain(op string, err error) error {
	if dial, ok := errors.AsType[*dialError](err); ok {
		err = dial.reason
	}
	var reply redis.Error
	switch {
	case err == nil, isAnswer(err):
		return err
	case errors.As(err, &reply):
		if errorCode(reply.Error()) == "WRONGTYPE" {
			return fmt.Errorf("redis %s: %w: the key holds a value of another type", op, session.ErrCorrupt)
		}
		err = &replyError{reply}
	case isTimeout(err) && !errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	}
	return fmt.Errorf("redis %s: %w", op, err)
}

// isAnswer reports whether err is what the store had to say, rather than that it could not be asked.
func isAnswer(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrExists) || errors.Is(err, session.ErrVersion) ||
		errors.Is(err, session.ErrCorrupt) || errors.Is(err, session.ErrLaterFormat)
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// Cause names in one word why a store operation could not be answered, for metrics and logs: timeout, refused,
// connection (lost, or of no use), foreign (another session's record came back), loading, busy, readonly, memory, persistence, replicas,
// cluster, clients, auth, permission, tls, canceled, closed, or other. It is empty for nil and for an answer: ErrNotFound, ErrExists, ErrVersion, ErrCorrupt,
// ErrLaterFormat.
func Cause(err error) string {
	if err == nil || isAnswer(err) {
		return ""
	}
	var reply redis.Error
	if errors.As(err, &reply) {
		return replyCause(errorCode(reply.Error()))
	}
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return replyCause(refused.code)
	}
	switch {
	case errors.Is(err, session.ErrForeign):
		return "foreign"
	case isTimeout(err), errors.Is(err, errSilent):
		return "timeout"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, redis.ErrClosed):
		return "closed"
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return "refused"
	case isTLS(err):
		return "tls"
	case isNetwork(err):
		return "connection"
	}
	return "other"
}

func replyCause(code string) string {
	switch code {
	case "LOADING", "MASTERDOWN":
		return "loading"
	case "BUSY":
		return "busy"
	case "READONLY":
		return "readonly"
	case "OOM":
		return "memory"
	case "MISCONF":
		return "persistence"
	case "NOREPLICAS":
		return "replicas"
	case "CLUSTERDOWN", "TRYAGAIN", "MOVED", "ASK", "CROSSSLOT":
		return "cluster"
	case "NOAUTH", "WRONGPASS":
		return "auth"
	case "NOPERM":
		return "permission"
	case "MAXCLIENTS":
		return "clients"
	}
	return "other"
}

func isNetwork(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

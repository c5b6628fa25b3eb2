package main

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// complaintInterval is how often a listener that can take no connection says so.
const complaintInterval = time.Minute

// complainingListener tells the log when it can take no connection: net/http tries on in silence, and with no file left nobody can ask for
// metrics either. It is safe for concurrent use.
type complainingListener struct {
	net.Listener
	log zerolog.Logger

	mu   sync.Mutex
	told time.Time
}

func (l *complainingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		return newConnection(conn), nil
	}
	if !errors.Is(err, net.ErrClosed) {
		l.complain(err)
	}
	return nil, err
}

func (l *complainingListener) complain(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.told.IsZero() && time.Since(l.told) < complaintInterval {
		return
	}
	l.told = time.Now()
	message := "no connection can be taken; those that come wait"
	if outOfFiles(err) {
		message += "; " + raiseFiles
	}
	l.log.Error().Err(err).Stringer("listen", l.Addr()).Msg(message)
}

// outOfFiles reports whether this process, or the whole system, has as many files open as it may.
func outOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

const raiseFiles = "raise this process' limit of open files (LimitNOFILE= in systemd, ulimit -n; fs.file-max of the whole system), or look who holds so many connections open"

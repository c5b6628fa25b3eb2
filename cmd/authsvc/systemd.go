package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
)

// listenSystemd as listen means the sockets that systemd passes (socket activation, sd_listen_fds(3)).
const listenSystemd = "systemd"

// sockets are stream sockets that systemd listens on and passes to this process. It keeps them open whatever becomes of the
// process: while nobody accepts, connections wait in their queues.
type sockets []*os.File

// inheritedSockets returns what systemd passed to this process, nil if it passed nothing.
func inheritedSockets() sockets { return activation.Files(true) }

// check tells what keeps the sockets from being served.
func (s sockets) check() error {
	if len(s) == 0 {
		return errors.New("systemd passed no socket; start authsvc by a unit with a socket unit beside it, or write host:port")
	}
	for _, file := range s {
		// As sd_is_socket(3) looks: Accept=yes would pass a connection in place of what accepts them.
		accepts, err := syscall.GetsockoptInt(int(file.Fd()), syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN)
		if err != nil || accepts == 0 {
			return fmt.Errorf("%s, passed by systemd, is no socket that listens; the socket unit needs ListenStream=, and no Accept=yes", file.Name())
		}
	}
	return nil
}

// listeners returns a listener on each socket. Closing one leaves the socket listening, and a path in the file system where it is.
func (s sockets) listeners() ([]net.Listener, error) {
	var all []net.Listener
	for _, file := range s {
		l, err := net.FileListener(file) // on a copy
		if err != nil {
			closeAll(all)
			return nil, fmt.Errorf("%s, passed by systemd: %w", file.Name(), err)
		}
		all = append(all, l)
	}
	return all, nil
}

// turnAway closes every connection as soon as it comes, until stop is called: the nearest thing to a closed port, so that a gateway goes on
// to the next replica at once. Closing the port itself is systemd's: shutdown(2) on its socket would make the socket unit fail.
func (s sockets) turnAway() (stop func(), err error) {
	all, err := s.listeners()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, l := range all {
		running.Go(func() {
			for ctx.Err() == nil {
				conn, err := l.Accept()
				if err != nil {
					select { // it may be short of files, and have some again soon
					case <-ctx.Done():
					case <-time.After(10 * time.Millisecond):
					}
					continue
				}
				if tcp, ok := conn.(*net.TCPConn); ok {
					tcp.SetLinger(0) // a reset, as from a closed port
				}
				conn.Close()
			}
		})
	}
	return func() {
		cancel()
		closeAll(all)
		running.Wait()
	}, nil
}

func closeAll(listeners []net.Listener) {
	for _, l := range listeners {
		l.Close()
	}
}

// notify tells systemd how the service is, where the unit has Type=notify (sd_notify(3)).
func notify(log zerolog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn().Err(err).Msg("cannot tell systemd how the service is")
	}
}

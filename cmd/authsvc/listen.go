package main

import (
	"crypto/tls"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Bounds on clients. A gateway reuses its connections, so they may idle; a request must come at once.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second // longer than a callback may take
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 60 << 10 // net/http adds 4 KiB
)

// openAddress listens on address, host:port or unix:/path.
func openAddress(address string) ([]net.Listener, error) {
	network, address := networkOf(address)
	if network == "unix" {
		if err := removeStaleSocket(address); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return []net.Listener{l}, nil
}

// networkOf reads an address of the configuration, host:port or unix:/path, as package net has it.
func networkOf(address string) (network, place string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}

// newListener serves handler on what open returns, with TLS where there is a certificate. log is told what keeps connections out.
func newListener(open func() ([]net.Listener, error), certFile, keyFile string, handler http.Handler, log zerolog.Logger) (*listener, error) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What net/http says of clients that break off is nobody's news, and may quote them.
		ErrorLog: stdlog.New(io.Discard, "", 0),
	}
	serve := server.Serve
	if certFile != "" {
		certificates := &certificates{certFile: certFile, keyFile: keyFile}
		if _, err := certificates.get(nil); err != nil {
			return nil, err
		}
		server.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.get}
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	sources, err := open()
	if err != nil {
		return nil, err
	}
	return &listener{server, func() error {
		ended := make(chan error, len(sources))
		for _, l := range sources {
			go func() { ended <- serve(&complainingListener{Listener: l, log: log}) }()
		}
		return <-ended
	}}, nil
}

// removeStaleSocket removes a socket that a killed process left behind. One that somebody serves stays, and
// opening it will fail.
func removeStaleSocket(path string) error {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSocket == 0 {
		return nil
	}
	conn, err := net.Dial("unix", path)
	if err == nil {
		return conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return os.Remove(path)
	}
	return nil
}

// certificates reads the certificate again when its file changes.
type certificates struct {
	certFile, keyFile string

	mu      sync.Mutex
	loaded  *tls.Certificate
	changed time.Time // of the file when it was loaded
}

// get returns the certificate in use. A new one that cannot be read, or does not fit its key yet, changes nothing.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	info, err := os.Stat(c.certFile)
	if err == nil && c.loaded != nil && info.ModTime().Equal(c.changed) {
		return c.loaded, nil
	}
	var pair tls.Certificate
	if err == nil {
		pair, err = tls.LoadX509KeyPair(c.certFile, c.keyFile)
	}
	if err == nil {
		c.loaded, c.changed = &pair, info.ModTime()
	}
	if c.loaded != nil {
		return c.loaded, nil
	}
	return nil, err
}

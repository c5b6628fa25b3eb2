package redisstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
)

// tlsFiles are the files of a store URL. They are read at each dial, so that a rotated certificate works without a restart; what cannot be read,
// or does not fit together yet, changes nothing. It is safe for concurrent use.
type tlsFiles struct {
	caFile, certFile, keyFile, serverName string

	good atomic.Pointer[tls.Config] // what the files held when they were last good
}

func (f *tlsFiles) handshake(ctx context.Context, raw net.Conn, address string) (net.Conn, error) {
	config, err := f.current()
	if err != nil {
		return nil, err
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	secured := tls.Client(raw, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secured, nil
}

// isTLS reports whether the two sides did not come to trust each other.
func isTLS(err error) bool {
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "remote error" || op.Op == "local error") {
		return true // an alert (crypto/tls)
	}
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, garbled := errors.AsType[tls.RecordHeaderError](err)
	return unverified || garbled
}

// current returns what the files hold, or held when they were last good. An error means that they never were.
func (f *tlsFiles) current() (*tls.Config, error) {
	config, err := f.read()
	if err == nil {
		f.good.Store(config)
	} else if config = f.good.Load(); config == nil {
		return nil, err
	}
	return config.Clone(), nil
}

func (f *tlsFiles) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.serverName}
	if f.caFile != "" {
		pem, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("store ca_file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("store ca_file: %s holds no certificate in PEM", f.caFile)
		}
	}
	if f.certFile != "" {
		certificate, err := tls.LoadX509KeyPair(f.certFile, f.keyFile)
		if err != nil {
			return nil, fmt.Errorf("store cert_file and key_file: %w", err)
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
}

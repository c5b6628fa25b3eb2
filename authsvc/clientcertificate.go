package authsvc

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"sync"
)

// certifiedTransport shows the client's certificate to whoever asks for one (RFC 8705). A connection keeps the certificate that it began with, and one that
// is used may live for ever: so a new certificate gets connections of its own, and the former ones end when they have nothing to do.
type certifiedTransport struct {
	key  *clientKey
	base *http.Transport // never used itself

	mu      sync.Mutex
	loaded  *credential // that of current
	current *http.Transport
}

// newCertifiedTransport makes connections as base does. Errors: the key or its certificate cannot be used.
func newCertifiedTransport(key *clientKey, base *http.Transport) (*certifiedTransport, error) {
	t := &certifiedTransport{key: key, base: base}
	_, err := t.transport()
	return t, err
}

// RoundTrip sends a request over a connection that shows the certificate in use.
func (t *certifiedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	transport, err := t.transport()
	if err != nil {
		return nil, err
	}
	return transport.RoundTrip(r)
}

func (t *certifiedTransport) transport() (*http.Transport, error) {
	loaded, err := t.key.get()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errClientKey, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if loaded == t.loaded {
		return t.current, nil
	}
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
	t.loaded, t.current = loaded, t.base.Clone()
	shown := &tls.Certificate{Certificate: loaded.chain, PrivateKey: loaded.private}
	// Whatever authorities the server names: with a self-signed certificate there is none.
	t.current.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return shown, nil }
	return t.current, nil
}

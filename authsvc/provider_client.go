package authsvc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// Bounds on the provider. Nothing that it does can hold a login longer or make us read more.
const (
	providerDialTimeout = 4 * time.Second
	providerTimeout     = 8 * time.Second // one request, body included; each call's context carries it
	maxProviderBody     = 1 << 20         // after decompression
)

var errBodyTooLarge = errors.New("the provider's answer is too large")

// newProviderClient returns the client for all that is asked of the provider: it follows no redirect, since an endpoint
// that moves is not the one that discovery named, and bounds time and size. It goes through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY
// name, as net/http reads them. oidc.ca_file, if any, replaces the system's roots; with mtls it shows the client's certificate to whoever
// asks for one.
func newProviderClient(o OIDC) (*http.Client, error) {
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: providerDialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: providerDialTimeout,
		IdleConnTimeout:     60 * time.Second,
		MaxIdleConnsPerHost: 32,
		// Whoever waits for a connection loses the time that the provider may take: there is one for each refresh under way.
		MaxConnsPerHost: 1024,
		// The answers carry tokens of one user each; header blocks beyond this are not honest.
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	tlsConfig := &tls.Config{MinVersion: tls.VersionTLS12}
	transport.TLSClientConfig = tlsConfig
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("oidc.ca_file: %s has no certificate in PEM form", o.CAFile)
		}
		tlsConfig.RootCAs = roots
	}
	if o.ClientAuth == "mtls" {
		key := newClientKey(o)
		if _, err := key.get(); err != nil {
			return nil, fmt.Errorf("oidc.client_key_file: %w", err)
		}
		tlsConfig.GetClientCertificate = key.certificate
	}
	return &http.Client{
		Transport:     boundedTransport{transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// boundedTransport fails the reading of a body that is longer than maxProviderBody.
type boundedTransport struct{ http.RoundTripper }

func (t boundedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxProviderBody}
	}
	return response, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBodyTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

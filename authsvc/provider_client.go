package authsvc

import (
	"context"
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
// that moves is not the one that discovery named, and bounds time and size. caFile, if any, replaces the
// system's roots.
func newProviderClient(caFile string) (*http.Client, error) {
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
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("oidc.ca_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("oidc.ca_file: %s has no certificate in PEM form", caFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
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
		failure, _ := r.Context().Value(readFailureKey{}).(*readFailure)
		response.Body = &boundedBody{ReadCloser: response.Body, left: maxProviderBody, failure: failure}
	}
	return response, err
}

// readFailure is told when reading an answer fails, by those who need to know: x/oauth2 does not pass the error on.
type readFailure struct{ err error }

type readFailureKey struct{}

// watchReads returns a context for one request, and what is told of its answer.
func watchReads(ctx context.Context) (context.Context, *readFailure) {
	failure := new(readFailure)
	return context.WithValue(ctx, readFailureKey{}, failure), failure
}

type boundedBody struct {
	io.ReadCloser
	left    int
	failure *readFailure // may be nil
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := 0, errBodyTooLarge
	if b.left > 0 {
		n, err = b.ReadCloser.Read(p[:min(len(p), b.left)])
		b.left -= n
	}
	if err != nil && err != io.EOF && b.failure != nil {
		b.failure.err = err
	}
	return n, err
}

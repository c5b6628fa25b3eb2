package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// TB is what Start needs of a testing.TB; the package does without "testing", since the demo imports it.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Start serves a provider on a free port of 127.0.0.1 until the test ends. See Options.Issuer.
func Start(tb TB, options Options) *Provider {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("idptest: %v", err)
	}
	options.Issuer = "http://" + listener.Addr().String() + options.Issuer
	p, err := New(options)
	if err != nil {
		listener.Close()
		tb.Fatalf("%v", err)
	}
	p.serve(tb, listener)
	if options.TLS != nil {
		p.startTLS(tb, *options.TLS)
	}
	return p
}

func (p *Provider) serve(tb TB, listener net.Listener) {
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	var served sync.WaitGroup
	served.Go(func() { server.Serve(listener) })
	tb.Cleanup(func() {
		server.Close()
		served.Wait()
	})
}

// startTLS serves the same provider on another port, where each connection may show a certificate (RFC 8705 section 5).
func (p *Provider) startTLS(tb TB, certificate tls.Certificate) {
	tb.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		tb.Fatalf("idptest: %v", err)
	}
	p.serve(tb, listener)
	p.tlsBase = "https://" + listener.Addr().String() + p.prefix
}

// NewCertificate makes a self-signed certificate for 127.0.0.1, good for a server and a client for an hour around now.
func NewCertificate(name string) (tls.Certificate, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("idptest: a key: %w", err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, private.Public(), private)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("idptest: a certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}, nil
}

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestUnixSockets: replicas that listen on sockets serve as others do, and come back after a crash that left the socket behind.
func TestUnixSockets(t *testing.T) {
	dir, err := os.MkdirTemp("", "e2e") // a socket's path must be short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := newStack(t, options{noReplica: true})
	var replicas []*replica
	for i := range 2 {
		s.settings["listen"] = fmt.Sprintf("unix:%s/%d.sock", dir, i)
		replicas = append(replicas, newReplica(t, s.settings))
	}
	for _, r := range replicas {
		r.awaitReady()
	}
	s.replicas = replicas
	s.startNginx()
	s.replicas = nil // whom nobody can ask but nginx

	v := s.visitor("alice")
	v.signIn()
	for _, r := range replicas {
		r.kill()
		r.start()
		r.awaitReady()
		storetest.WaitFor(t, "nginx to ask both replicas again", func() error {
			answer, err := v.send(http.MethodGet, "/signed_out", nil)
			if by := answer.header.Get(answeredBy); err == nil && by != r.address {
				err = fmt.Errorf("%s answered", by)
			}
			return err
		})
		_, err := v.arrive("/page")
		check(t, err)
	}
	if n := s.records(); n != 1 {
		t.Errorf("%d session records", n)
	}
	_, err = v.logOut()
	check(t, err)
	if n := s.records(); n != 0 {
		t.Errorf("%d session records after the logout", n)
	}
}

// pair writes a fresh certificate with this serial number and its key, and returns them in PEM.
func pair(t *testing.T, serial int64) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	check(t, err)
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}))
}

// listenWithTLS gives replicas that are yet to start a certificate with the serial number 1, and returns where it and its key are.
func (s *stack) listenWithTLS() (certFile, keyFile string) {
	s.t.Helper()
	dir := s.t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate, key := pair(s.t, 1)
	replace(s.t, certFile, certificate)
	replace(s.t, keyFile, key)
	s.settings["tls.cert_file"], s.settings["tls.key_file"] = certFile, keyFile
	return certFile, keyFile
}

// TestTLS: a replica listens with TLS and HTTP/2, and takes a new certificate as soon as certificate and key are both there.
func TestTLS(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	certFile, keyFile := s.listenWithTLS()
	r := newReplica(t, s.settings)
	r.awaitReady()

	served := func() int64 {
		t.Helper()
		serial, status, err := r.overTLS()
		check(t, err)
		if status != http.StatusUnauthorized {
			t.Errorf("over TLS: %d; want 401", status)
		}
		return serial
	}
	if got := served(); got != 1 {
		t.Errorf("the certificate has the number %d", got)
	}
	for serial := int64(2); serial <= 3; serial++ {
		certificate, key := pair(t, serial)
		first := func() { replace(t, certFile, certificate) }
		second := func() { replace(t, keyFile, key) }
		if serial == 3 {
			first, second = second, first
		}
		first()
		if got := served(); got != serial-1 {
			t.Errorf("with half of a new pair, the certificate has the number %d", got)
		}
		second()
		if got := served(); got != serial {
			t.Errorf("with a new pair, the certificate has the number %d, want %d", got, serial)
		}
	}
}

// overTLS asks for a verdict on nonsense over a new connection, and tells whose certificate it is: nobody signed it, and its serial number is its name.
func (r *replica) overTLS() (serial int64, status int, err error) {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: patience}
	request, err := http.NewRequest(http.MethodGet, "https://"+r.address+"/auth", nil)
	if err != nil {
		return 0, 0, err
	}
	request.Header.Set("Cookie", sessionCookie+"=nonsense")
	answer, err := client.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		err = fmt.Errorf("over TLS: %s; want HTTP/2", answer.Proto)
	}
	return answer.TLS.PeerCertificates[0].SerialNumber.Int64(), answer.StatusCode, err
}

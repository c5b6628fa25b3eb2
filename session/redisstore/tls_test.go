package redisstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// authority signs certificates into files.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{dir: t.TempDir(), key: key}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.write(t, "ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

func (a *authority) write(t *testing.T, name, kind string, der []byte) {
	t.Helper()
	// Written beside and moved, as whoever rotates certificates does: a reader finds the old or the new one.
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(a.path(name+".new"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(a.path(name+".new"), a.path(name)); err != nil {
		t.Fatal(err)
	}
}

// issue writes name.pem and name.key, valid for the names and loopback if asked.
func (a *authority) issue(t *testing.T, name string, loopback bool, dnsNames ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: dnsNames,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	if loopback {
		template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	a.write(t, name+".pem", "CERTIFICATE", der)
	a.write(t, name+".key", "PRIVATE KEY", keyDER)
}

// tlsServer is a server that speaks TLS on a port besides its plain one.
type tlsServer struct {
	*storetest.Server
	url string
}

// startTLS returns a server with a certificate for loopback, and the authority's file.
func startTLS(t *testing.T, args ...string) (tlsServer, string) {
	t.Helper()
	a := newAuthority(t)
	a.issue(t, "server", true)
	return startTLSBy(t, a, args...), a.path("ca.pem")
}

func startTLSBy(t *testing.T, a *authority, args ...string) tlsServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(address)
	server := storetest.StartRedis(t, append([]string{
		"--tls-port", port, "--tls-cert-file", a.path("server.pem"), "--tls-key-file", a.path("server.key"),
		"--tls-ca-cert-file", a.path("ca.pem"), "--tls-auth-clients", "no",
	}, args...)...)
	return tlsServer{server, "rediss://" + address}
}

func TestTLS(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "server", false, "redis.example")
	a.issue(t, "client", false)
	stranger := newAuthority(t)
	stranger.issue(t, "client", false)
	server := startTLSBy(t, a, "--tls-auth-clients", "yes")
	good := "?server_name=redis.example&ca_file=" + a.path("ca.pem") + "&cert_file=" + a.path("client.pem") + "&key_file=" + a.path("client.key")

	s := open(t, Options{URL: server.url + good})
	healthy(t, s)
	intact(t, s, stored(t, s, 2))

	for name, query := range map[string]string{
		"the wrong name":       "?ca_file=" + a.path("ca.pem") + "&cert_file=" + a.path("client.pem") + "&key_file=" + a.path("client.key"),
		"an unknown authority": "?server_name=redis.example&ca_file=" + stranger.path("ca.pem") + "&cert_file=" + a.path("client.pem") + "&key_file=" + a.path("client.key"),
		"a stranger's client":  "?server_name=redis.example&ca_file=" + a.path("ca.pem") + "&cert_file=" + stranger.path("client.pem") + "&key_file=" + stranger.path("client.key"),
	} {
		err := open(t, Options{URL: server.url + query}).Ping(t.Context())
		// A server that refuses our certificate says so after the handshake (TLS 1.3), and may have closed
		// the connection before we read it.
		late := strings.HasPrefix(name, "a stranger") && Cause(err) == "connection"
		if !storetest.CannotTell(err) || Cause(err) != "tls" && !late {
			t.Errorf("%s: %v (%s), want an error of TLS", name, err, Cause(err))
		}
	}

	// Certificates that were rotated on disk work at the next connection.
	rotating := open(t, Options{URL: server.url + "?server_name=redis.example&ca_file=" + a.path("ca.pem") +
		"&cert_file=" + stranger.path("client.pem") + "&key_file=" + stranger.path("client.key")})
	if err := rotating.Ping(t.Context()); err == nil {
		t.Fatal("a stranger was let in")
	}
	stranger.key, stranger.cert = a.key, a.cert
	stranger.issue(t, "client", false)
	healthy(t, rotating)

	// Files that are bad change nothing, at the next connection either.
	for _, file := range []string{"client.pem", "client.key", "ca.pem"} {
		a.write(t, file, "NOTHING", nil)
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
		healthy(t, s)
	}
}

func TestTLSFilesAreReadByOpen(t *testing.T) {
	a := newAuthority(t)
	a.issue(t, "client", false)
	a.write(t, "garbage.pem", "NOTHING", nil)
	for _, query := range []string{
		"?ca_file=" + a.path("missing.pem"), "?ca_file=" + a.path("garbage.pem"),
		"?cert_file=" + a.path("client.pem") + "&key_file=" + a.path("missing.key"),
		"?cert_file=" + a.path("garbage.pem") + "&key_file=" + a.path("client.key"),
	} {
		if s, err := Open(Options{URL: "rediss://localhost" + query}); err == nil {
			s.Close()
			t.Errorf("%s was taken", query)
		}
	}
}

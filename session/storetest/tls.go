package storetest

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
	"testing"
	"time"
)

// Authority signs certificates into files of a folder of its own, its own certificate into ca.pem. A file that is there is replaced in one step, as
// those do who rotate certificates: a reader finds the old or the new one.
type Authority struct {
	tb   testing.TB
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewAuthority makes one, with a certificate for servers on 127.0.0.1, named "server".
func NewAuthority(tb testing.TB) *Authority {
	tb.Helper()
	a := &Authority{tb: tb, dir: tb.TempDir()}
	a.Renew()
	a.Issue("server", time.Hour, "127.0.0.1")
	return a
}

// Renew puts another key and certificate in the authority's place. What it signed before is not trusted by who trusts the new one.
func (a *Authority) Renew() {
	a.tb.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(2 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der := a.sign(template, template, key, key)
	cert, err := x509.ParseCertificate(der)
	a.check(err)
	a.cert, a.key = cert, key
	a.write("ca.pem", "CERTIFICATE", der)
}

// Issue writes name.pem and name.key, a certificate for hosts (names and addresses) that ends after life, or has ended if life is negative.
func (a *Authority) Issue(name string, life time.Duration, hosts ...string) {
	a.tb.Helper()
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(life),
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der := a.sign(template, a.cert, key, a.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	a.check(err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "PRIVATE KEY", keyDER)
}

// File returns the path of one of the files.
func (a *Authority) File(name string) string { return filepath.Join(a.dir, name) }

// Query returns what a store URL says of TLS that trusts the authority and shows the certificate of that name.
func (a *Authority) Query(name string) string {
	return "?ca_file=" + a.File("ca.pem") + "&cert_file=" + a.File(name+".pem") + "&key_file=" + a.File(name+".key")
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	a.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.check(err)
	return key
}

func (a *Authority) sign(template, parent *x509.Certificate, of, by *ecdsa.PrivateKey) []byte {
	a.tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, of.Public(), by)
	a.check(err)
	return der
}

func (a *Authority) write(name, kind string, der []byte) {
	a.tb.Helper()
	a.check(os.WriteFile(a.File(name)+".new", pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	a.check(os.Rename(a.File(name)+".new", a.File(name)))
}

func (a *Authority) check(err error) {
	a.tb.Helper()
	if err != nil {
		a.tb.Fatal(err)
	}
}

// args are those of a server that shows the certificate "server" on the port and wants one of the same authority, also from and to its like.
func (a *Authority) args(port string) []string {
	return []string{
		"--tls-port", port, "--tls-cert-file", a.File("server.pem"), "--tls-key-file", a.File("server.key"), "--tls-ca-cert-file", a.File("ca.pem"),
		"--tls-replication", "yes", "--tls-cluster", "yes",
	}
}

// StartRedisTLS is StartRedis, for a server that speaks TLS on a port of its own besides the plain one, shows the certificate "server" and wants
// one of the same authority.
func StartRedisTLS(tb testing.TB, a *Authority, args ...string) *Server {
	tb.Helper()
	port := freePort(tb)
	s := StartRedis(tb, append(a.args(port), args...)...)
	s.TLSAddr = "127.0.0.1:" + port
	s.TLSURL = "rediss://" + s.TLSAddr
	return s
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"authsvc/nginx/nginxtest"
)

// redisTLS is F18: the certificate that Redis shows is not the one that replicas trust.
var redisTLS = []row{
	{
		id: "F18", name: "Redis' certificate: expired, wrong name, unknown authority", on: []topology{standalone}, own: special{before: withTLS},
		bound: "503, the cause in the log; then 200, no restart", shows: []int{unavailable},
		fault: func(ctx context.Context, s *scene) error {
			good, err := newAuthority()
			if err != nil {
				return err
			}
			if err := good.trust(s.stage); err != nil { // replicas read the file at each new connection
				return err
			}
			stranger, err := newAuthority()
			if err != nil {
				return err
			}
			s.begin()
			for _, bad := range []struct {
				by     *authority
				name   string
				expiry time.Duration
			}{{good, "127.0.0.1", -time.Minute}, {good, "redis.example", time.Hour}, {stranger, "127.0.0.1", time.Hour}} {
				if err := bad.by.certify(s.stage, bad.name, bad.expiry); err != nil {
					return err
				}
				s.during(ctx, 1500*time.Millisecond)
			}
			if err := good.certify(s.stage, "127.0.0.1", time.Hour); err != nil {
				return err
			}
			s.end()
			for _, one := range s.Replicas {
				text, err := os.ReadFile(one.Log)
				if err != nil {
					return err
				}
				for _, cause := range []string{"certificate has expired", "doesn't contain any IP SANs", "unknown authority"} {
					if !strings.Contains(string(text), cause) {
						s.fail("the log of %s does not tell that the %s", one.Name, cause)
					}
				}
			}
			return nil
		},
	},
}

// withTLS lets Redis speak TLS on a port of its own, to which replicas are sent.
func withTLS(_ context.Context, s *stage) error {
	a, err := newAuthority()
	if err != nil {
		return err
	}
	if err := a.trust(s); err != nil {
		return err
	}
	if err := a.certify(s, "127.0.0.1", time.Hour); err != nil {
		return err
	}
	s.upstream = nginxtest.FreeAddress(s.store.tb)
	_, port, err := net.SplitHostPort(s.upstream)
	if err != nil {
		return err
	}
	s.store.master().Do("CONFIG", "SET", "tls-port", port)
	s.StoreURL = "rediss://" + s.upstream + "?ca_file=" + caFile(s)
	return nil
}

func caFile(s *stage) string { return filepath.Join(s.Dir, "ca.pem") }

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: rand.Text()}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return &authority{key, cert}, err
}

// trust makes replicas trust the authority, and no other.
func (a *authority) trust(s *stage) error {
	return replaceFile(caFile(s), "CERTIFICATE", a.cert.Raw)
}

// issue returns a certificate of the authority, for a name or address.
func (a *authority) issue(name string, expiry time.Duration) (der []byte, key *ecdsa.PrivateKey, err error) {
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(expiry),
	}
	if address := net.ParseIP(name); address != nil {
		template.IPAddresses = []net.IP{address}
	} else {
		template.DNSNames = []string{name}
	}
	der, err = x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	return der, key, err
}

// certify makes Redis show a certificate of the authority, for a name or address, from the next connection on, and ends those that there are.
func (a *authority) certify(s *stage, name string, expiry time.Duration) error {
	der, key, err := a.issue(name, expiry)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(s.Dir, "redis-certificate-")
	if err != nil {
		return err
	}
	certFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	if err := replaceFile(certFile, "CERTIFICATE", der); err != nil {
		return err
	}
	if err := replaceFile(keyFile, "PRIVATE KEY", keyDER); err != nil {
		return err
	}
	redis := s.store.master()
	redis.Do("CONFIG", "SET", "tls-cert-file", certFile, "tls-key-file", keyFile, "tls-ca-cert-file", caFile(s), "tls-auth-clients", "no")
	redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	redis.Client().Do(context.Background(), "CLIENT", "KILL", "TYPE", "pubsub") // there may be none
	return nil
}

// replaceFile writes a file beside and moves it, as whoever rotates certificates does: a reader finds the old or the new one.
func replaceFile(path, kind string, der []byte) error {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("a certificate: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("a certificate: %w", err)
	}
	return nil
}

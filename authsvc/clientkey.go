package authsvc

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"sync"
)

// clientKey is the private key by which the client shows who it is, with its certificate where there is one. Its files are read at each use,
// so that a new key counts from its next use on; one that cannot be read, or does not fit its certificate yet, changes nothing. Safe
// for concurrent use.
type clientKey struct {
	keyFile, certFile string // no certificate: ""

	mu                 sync.Mutex
	keyText, chainText []byte // what loaded was made of
	loaded             *credential
}

// credential is a key that was read.
type credential struct {
	private crypto.Signer
	chain   [][]byte // certificates in DER, the key's own first; nil without
}

// newClientKey returns the key of a configuration, or nil if its way to authenticate needs none.
func newClientKey(o OIDC) *clientKey {
	if o.ClientAuth != "private_key_jwt" && o.ClientAuth != "mtls" {
		return nil
	}
	return &clientKey{keyFile: o.ClientKeyFile, certFile: o.ClientCertFile}
}

// get returns the key in use. An error means that there never was a good one.
func (k *clientKey) get() (*credential, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	fresh, err := k.read()
	if err == nil {
		k.loaded = fresh
	}
	if k.loaded != nil {
		return k.loaded, nil
	}
	return nil, err
}

func (k *clientKey) read() (*credential, error) {
	key, err := readFile(k.keyFile, maxCertificateSize)
	if err != nil {
		return nil, unusable(k.keyFile, err)
	}
	var chain []byte
	if k.certFile != "" {
		if chain, err = readFile(k.certFile, maxCertificateSize); err != nil {
			return nil, unusable(k.certFile, err)
		}
	}
	if k.loaded != nil && bytes.Equal(key, k.keyText) && bytes.Equal(chain, k.chainText) {
		return k.loaded, nil
	}
	fresh, err := parseCredential(key, chain)
	if err != nil {
		return nil, unusable(k.keyFile, err)
	}
	k.keyText, k.chainText = key, chain
	return fresh, nil
}

// certificate is a tls.Config's GetClientCertificate: it is asked when a server wants to know who connects.
func (k *clientKey) certificate(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	loaded, err := k.get()
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: loaded.chain, PrivateKey: loaded.private}, nil
}

// parseCredential reads a private key in PEM (PKCS #8, PKCS #1 or SEC 1), and the certificate that belongs to it, if any.
func parseCredential(key, chain []byte) (*credential, error) {
	private, err := parsePrivateKey(key)
	if err != nil {
		return nil, err
	}
	if chain == nil {
		return &credential{private: private}, nil
	}
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	return &credential{private: private, chain: pair.Certificate}, nil
}

func parsePrivateKey(text []byte) (crypto.Signer, error) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		var key any
		var err error
		switch block.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(block.Bytes)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("the key is encrypted, and nobody is there to give the password")
		default:
			continue // EC PARAMETERS, certificates
		}
		if err != nil {
			return nil, errors.New("the private key cannot be read")
		}
		if rsaKey, ok := key.(*rsa.PrivateKey); ok && rsaKey.N.BitLen() < 2048 {
			return nil, errors.New("the RSA key has fewer than 2048 bits")
		}
		signer, ok := key.(crypto.Signer)
		if !ok {
			return nil, errors.New("the key cannot sign")
		}
		return signer, nil
	}
	return nil, errors.New("it holds no private key in PEM form")
}

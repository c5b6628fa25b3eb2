package authsvc

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// maxCertificateSize bounds a file with certificates or a key, in bytes.
const maxCertificateSize = 4 << 20

// validateFiles checks the certificates and keys that the configuration names.
func (c *Config) validateFiles(read fileReader) []Problem {
	var problems []Problem
	check := func(key string, err error, right string) {
		if err != nil {
			problems = append(problems, c.origins.place(Problem{Key: key, Wrong: strings.ReplaceAll(err.Error(), ";", ","), Right: right, cause: err}))
		}
	}
	const pair, roots = "name a certificate and its key, both PEM", "name a PEM file with certificates"
	if c.TLS.CertFile != "" && c.TLS.KeyFile != "" {
		check("tls.cert_file", checkKeyPair(c.TLS.CertFile, c.TLS.KeyFile, read), pair)
	}
	clients := c.clients()
	for _, at := range slices.Sorted(maps.Keys(clients)) {
		o := clients[at]
		if o.CAFile != "" {
			check(at+".ca_file", checkRoots(o.CAFile, read), roots)
		}
		if o.ClientKeyFile != "" && (o.ClientAuth == "private_key_jwt" || o.ClientAuth == "mtls") {
			check(at+".client_key_file", checkClientKey(o.ClientKeyFile, o.ClientCertFile, read), "name a private key in PEM form, not encrypted, and the certificate that belongs to it")
		}
	}
	_, query, _ := strings.Cut(c.Store.URL.Reveal(), "?")
	store, err := url.ParseQuery(query)
	if err != nil {
		return problems // Validate has told
	}
	if file := store.Get("ca_file"); file != "" {
		check("store.url", checkRoots(file, read), roots)
	}
	if cert, key := store.Get("cert_file"), store.Get("key_file"); cert != "" && key != "" {
		check("store.url", checkKeyPair(cert, key, read), pair)
	}
	return problems
}

// clients are those of all sites at their providers, by the keys of their settings. One whose files are the main site's is there once.
func (c *Config) clients() map[string]OIDC {
	clients := map[string]OIDC{"oidc": c.OIDC}
	for i, p := range c.Providers {
		clients[item("providers", i)] = p.OIDC
	}
	for i, site := range c.Sites {
		for at, o := range site.clients() {
			if main := clients[at]; o.CAFile != main.CAFile || o.ClientAuth != main.ClientAuth || o.ClientKeyFile != main.ClientKeyFile || o.ClientCertFile != main.ClientCertFile {
				clients[item("sites", i)+"."+at] = o
			}
		}
	}
	return clients
}

func checkKeyPair(certFile, keyFile string, read fileReader) error {
	cert, err := read(certFile, maxCertificateSize)
	if err != nil {
		return unusable(certFile, err)
	}
	key, err := read(keyFile, maxCertificateSize)
	if err != nil {
		return unusable(keyFile, err)
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		return unusable(certFile+" with "+keyFile, err)
	}
	return nil
}

// checkClientKey reads the client's key, and its certificate if certFile names one.
func checkClientKey(keyFile, certFile string, read fileReader) error {
	if certFile != "" {
		if err := checkKeyPair(certFile, keyFile, read); err != nil {
			return err
		}
	}
	key, err := read(keyFile, maxCertificateSize)
	if err == nil {
		_, err = parsePrivateKey(key)
	}
	if err != nil {
		return unusable(keyFile, err)
	}
	return nil
}

func checkRoots(file string, read fileReader) error {
	content, err := read(file, maxCertificateSize)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(content) {
		err = errors.New("it holds no certificate")
	}
	if err != nil {
		return unusable(file, err)
	}
	return nil
}

func unusable(file string, err error) error {
	return fmt.Errorf("%s cannot be used: %w", file, withoutPath(err))
}

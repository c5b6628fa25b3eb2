package authsvc

import (
	"net/http"
	"sync/atomic"
)

// knownProviders are the providers of a service, each known once for all sites that reach it alike. They outlive a reload. It is changed by whoever
// makes sites, and by one at a time.
type knownProviders map[providerPlace]*knownProvider

// providerPlace is a provider and how it is reached.
type providerPlace struct {
	issuer       string
	caFile       string
	insecureHTTP bool
	// Of a client that authenticates by a certificate: connections are its own, and endpoints may be others.
	certFile, keyFile string
}

// knownProvider is what is common to all clients of a provider: how to ask it, and what discovery has found.
type knownProvider struct {
	client     *http.Client
	discovered atomic.Pointer[metadata]
}

// of returns the provider of a client's settings. Errors: a file that they name cannot be used.
func (k knownProviders) of(o OIDC) (*knownProvider, error) {
	place := providerPlace{issuer: o.Issuer, caFile: o.CAFile, insecureHTTP: o.InsecureHTTP}
	if o.ClientAuth == "mtls" {
		place.certFile, place.keyFile = o.ClientCertFile, o.ClientKeyFile
	}
	if known := k[place]; known != nil {
		return known, nil
	}
	client, err := newProviderClient(o)
	if err != nil {
		return nil, err
	}
	k[place] = &knownProvider{client: client}
	return k[place], nil
}

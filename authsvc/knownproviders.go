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
	keysOnly          bool // nobody signs in there
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
	return k.at(place, o)
}

// ofBearer returns an issuer of bearer tokens, which is reached as the provider of a client's settings is, without a certificate of ours. Errors as of.
func (k knownProviders) ofBearer(issuer string, o OIDC) (*knownProvider, error) {
	o = OIDC{Issuer: issuer, CAFile: o.CAFile, InsecureHTTP: o.InsecureHTTP}
	return k.at(providerPlace{issuer: issuer, caFile: o.CAFile, insecureHTTP: o.InsecureHTTP, keysOnly: true}, o)
}

func (k knownProviders) at(place providerPlace, o OIDC) (*knownProvider, error) {
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

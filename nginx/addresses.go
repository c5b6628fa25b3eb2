package nginx

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

// overTLS tells whether replicas speak TLS; of a valid site all do, or none.
func (s Site) overTLS() bool { return len(s.tlsReplicas()) > 0 }

// tlsReplicas returns the addresses of the replicas that speak TLS, without their scheme.
func (s Site) tlsReplicas() (addresses []string) {
	for _, replica := range s.Replicas {
		if address, found := strings.CutPrefix(replica, "https://"); found {
			addresses = append(addresses, address)
		}
	}
	return addresses
}

// commonHost returns the host name that all addresses have in common, "" if there is none. An IP address is none: nginx
// compares names alone with a certificate.
func commonHost(addresses []string) (host string) {
	for i, address := range addresses {
		name, _, err := net.SplitHostPort(address)
		_, notName := netip.ParseAddr(name)
		if err != nil || notName == nil || strings.HasPrefix(address, "unix:") || i > 0 && name != host {
			return ""
		}
		host = name
	}
	return host
}

// securePort is what stands behind the host in an address of the site over TLS: nothing for the usual port.
func securePort(listen []string) string {
	for _, address := range listen {
		port := address[strings.LastIndex(address, ":")+1:]
		switch {
		case strings.HasPrefix(address, "unix:"):
		case port == "443":
			return ""
		default:
			return ":" + port
		}
	}
	return ""
}

// refuseAddresses refuses what is wrong with the addresses of the application and of the replicas.
func (s Site) refuseAddresses(refuse func(field, value, want string)) {
	if len(s.Upstreams) == 0 && !s.LoginOnly {
		refuse("Upstreams", "", "give at least one address of the application, host:port or unix:/path")
	}
	for i, address := range s.Upstreams {
		switch {
		case !validAddress(address):
			refuse("Upstreams", address, "give host:port or unix:/path, without scheme")
		case slices.Contains(s.Upstreams[:i], address):
			refuse("Upstreams", address, "name each address once")
		}
	}

	if len(s.Replicas) == 0 {
		refuse("Replicas", "", "give at least one address of authsvc: host:port or unix:/path, or https://host:port where it has tls.cert_file")
	}
	secure := s.tlsReplicas()
	for i, replica := range s.Replicas {
		address, overTLS := strings.CutPrefix(replica, "https://")
		switch {
		case !validAddress(address):
			refuse("Replicas", replica, "give host:port or unix:/path, behind https:// where it has tls.cert_file")
		case slices.Contains(s.Replicas[:i], replica):
			refuse("Replicas", replica, "name each address once")
		case !overTLS && len(secure) > 0:
			refuse("Replicas", replica, "put https:// before each address, or before none: nginx speaks to all of them in one way")
		}
	}
	switch {
	case s.ReplicaCA != "" && !filePath().MatchString(s.ReplicaCA):
		refuse("ReplicaCA", s.ReplicaCA, "give an absolute path of letters, digits and . _ @ + -")
	case s.ReplicaCA != "" && len(secure) == 0:
		refuse("ReplicaCA", s.ReplicaCA, "leave it out, or put https:// before the addresses of the replicas")
	case s.ReplicaCA == "" && len(secure) > 0:
		refuse("ReplicaCA", "", "give the PEM file with the roots of the replicas' certificates; one that is signed by itself is its own root")
	}
	switch {
	case s.ReplicaName != "" && (len(s.ReplicaName) > maxHostName || !hostName().MatchString(s.ReplicaName)):
		refuse("ReplicaName", s.ReplicaName, "give a host name that the replicas' certificates are for")
	case s.ReplicaName != "" && len(secure) == 0:
		refuse("ReplicaName", s.ReplicaName, "leave it out, or put https:// before the addresses of the replicas")
	case s.ReplicaName == "" && len(secure) > 0 && commonHost(secure) == "":
		refuse("ReplicaName", "", "give a host name that all the replicas' certificates are for: nginx compares no IP addresses")
	}
}

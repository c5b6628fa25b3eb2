package authsvc

import (
	"errors"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

func (v *validator) publicURL() {
	const key, right = "public_url", "write where browsers reach the service, such as https://app.example.com/oauth2"
	address := v.c.PublicURL
	if address == "" {
		v.wrong(key, "is missing", right)
		return
	}
	scheme, authority, rest, ok := splitURL(address)
	if !ok {
		v.wrong(key, quote(address)+" is no http or https address", right)
		return
	}
	if strings.ContainsAny(address, "?#") {
		v.wrong(key, "has a query or a fragment", "end it with the host, the port or the path")
		return
	}
	at, err := parsePublicHost(scheme, authority)
	if err != nil {
		v.wrong(key, err.Error(), right)
	}
	if rest == "/" || rest != "" && !isPlainPath(rest) {
		v.wrong(key, "its path is not plain", "use letters, digits and - . _ ~ between single slashes, such as /oauth2")
	}
	if err == nil && scheme == "http" && !isLoopbackHost(at.host) {
		v.warn(key, "is http: anyone on the way can read the session cookie", "use https wherever browsers are on another machine")
	}
}

// parsePublicHost reads the authority of an address that people wrote for browsers.
func parsePublicHost(scheme, authority string) (hostPort, error) {
	if strings.Contains(authority, "@") {
		return hostPort{}, errors.New("has a user or a password")
	}
	return parseHostPort(scheme, authority)
}

// isPlainPath tells whether every server in between reads the path alike, as it stands.
func isPlainPath(text string) bool {
	return path.Clean(text) == text && strings.HasPrefix(text, "/") && !strings.ContainsFunc(text, func(r rune) bool {
		return !strings.ContainsRune("/-._~", r) && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
	})
}

// isLoopbackHost tells whether a host in canonical form never leaves this machine (RFC 6761, section 6.3).
func isLoopbackHost(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.IsLoopback()
}

func (v *validator) listeners() {
	const right = "write host:port, such as 127.0.0.1:4180, or unix:/run/authsvc.sock"
	if err := checkListen(v.c.Listen); err != nil && v.c.Listen != "systemd" {
		v.wrong("listen", err.Error(), right+", or systemd for the socket of its unit")
	}
	if admin := v.c.AdminListen; admin != "" {
		if err := checkListen(admin); err != nil {
			v.wrong("admin_listen", err.Error(), right+`, or "" to turn it off`)
		} else if admin == v.c.Listen && !strings.HasSuffix(admin, ":0") {
			v.wrong("admin_listen", "is the same as listen", "give it an address of its own")
		}
	}
	switch {
	case v.c.TLS.CertFile != "" && v.c.TLS.KeyFile == "":
		v.wrong("tls.key_file", "is missing beside tls.cert_file", "give both files or neither")
	case v.c.TLS.KeyFile != "" && v.c.TLS.CertFile == "":
		v.wrong("tls.cert_file", "is missing beside tls.key_file", "give both files or neither")
	}
}

// isOpenToOthers tells whether other machines can reach what listens there. Of the sockets of a unit nothing is known.
func isOpenToOthers(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && !strings.HasPrefix(address, "unix:") && !isLoopbackHost(lowerASCII(host))
}

// maxSocketPath is how long the path of a unix socket may be on every system (sun_path, less its final zero).
const maxSocketPath = 103

func checkListen(address string) error {
	if socket, ok := strings.CutPrefix(address, "unix:"); ok {
		if !strings.HasPrefix(socket, "/") || len(socket) > maxSocketPath {
			return errors.New("is no absolute path of at most 103 bytes after the word unix and a colon")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New(quote(address) + " is no address to listen on")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("its port is no number up to 65535")
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "" {
		return checkHost(lowerASCII(host))
	}
	return nil
}

func (v *validator) trustedProxies() {
	for i, entry := range v.c.TrustedProxies {
		key := item("trusted_proxies", i)
		network, err := parseNetwork(entry)
		switch {
		case err != nil:
			v.wrong(key, quote(entry)+" is no network", "write an address such as 10.0.0.7 or a network such as 10.0.0.0/8")
		case network.Bits() == 0:
			v.warn(key, "trusts everybody: any client may say what was asked", "list your gateways' own networks")
		}
	}
}

// parseNetwork reads a network, or an address as the network of one.
func parseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(text)
	if err != nil {
		address, err := netip.ParseAddr(text)
		if err != nil {
			return netip.Prefix{}, err
		}
		if address.Zone() != "" {
			return netip.Prefix{}, errors.New("an address with a zone is no network")
		}
		network = netip.PrefixFrom(address, address.BitLen())
	}
	if network.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("a mapped address matches no peer")
	}
	return network.Masked(), nil
}

// item returns the path of a list's entry.
func item(key string, i int) string { return key + "[" + strconv.Itoa(i) + "]" }

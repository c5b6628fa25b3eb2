package lint

import (
	"net/netip"
	"strings"
)

// findCheckTransport finds checks that leave for another network without TLS, or without looking who answers.
func findCheckTransport(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		to := s.passed(l.directive)
		hosts := []string{to.hostname()}
		if upstream := s.upstream(to); upstream != nil {
			hosts = nil
			for _, d := range upstream.own("server") {
				hosts = append(hosts, passTarget{host: d.arg(0)}.hostname())
			}
		}
		for _, host := range hosts {
			switch {
			case nearby(host):
			case to.scheme == "http":
				found(by, Warning, "the check goes to "+host+" over plain http",
					"session cookies and verdicts can be read and changed on the way",
					"use https with proxy_ssl_verify on, or a private address")
			case to.scheme == "https" && !l.on("proxy_ssl_verify", false):
				found(by, Warning, "the check goes to "+host+" without proxy_ssl_verify",
					"nginx takes any certificate, so whoever is on the way can say 200",
					"add proxy_ssl_verify on; with proxy_ssl_trusted_certificate, proxy_ssl_name and proxy_ssl_server_name on")
			}
		}
	})
}

// nearby tells whether a host is on this machine or in a private network, as far as its name says. A variable may be
// anything.
func nearby(host string) bool {
	if strings.HasPrefix(host, "unix:") || strings.Contains(host, "$") || !strings.Contains(host, ".") && !strings.Contains(host, ":") {
		return true
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
	}
	for _, end := range []string{".local", ".localhost", ".internal", ".lan", ".svc", ".intranet", ".home.arpa"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}

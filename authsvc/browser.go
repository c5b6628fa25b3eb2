package authsvc

import (
	"cmp"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"authsvc/session"
)

// maxHops bounds how many proxies are followed back to the browser.
const maxHops = 20

// browserAddress is where the browser is, for people who look at a list of sessions and for the limit of logins; the zero Addr when nobody can be trusted to
// know. A peer that is no trusted proxy is the browser itself. Of a trusted one X-Forwarded-For counts, to which each proxy adds its peer at the
// end: the last address in it that is no trusted proxy's, or, where all are, the first. Without it X-Real-IP counts.
func browserAddress(networks []netip.Prefix, r *http.Request) netip.Addr {
	if !trustsPeer(networks, r) {
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return netip.Addr{}
		}
		return plainAddress(peer.Addr())
	}
	forwarded := r.Header.Values("X-Forwarded-For")
	if len(forwarded) == 0 {
		forwarded = r.Header.Values("X-Real-Ip")
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	var browser netip.Addr
	for i, hop := range slices.Backward(hops) {
		if strings.TrimSpace(hop) == "" {
			continue
		}
		address, ok := parseHop(hop)
		if !ok || len(hops)-i > maxHops {
			return netip.Addr{} // and what stands before it was written by whoever wrote this
		}
		browser = address
		if !slices.ContainsFunc(networks, func(network netip.Prefix) bool { return network.Contains(address) }) {
			break
		}
	}
	return browser
}

// parseHop reads one address of X-Forwarded-For, which some proxies write with the port.
func parseHop(text string) (netip.Addr, bool) {
	text = strings.TrimSpace(text)
	if address, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return plainAddress(address), true
	}
	withPort, err := netip.ParseAddrPort(text)
	return plainAddress(withPort.Addr()), err == nil
}

// plainAddress is the address without what only its own host understands.
func plainAddress(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// addressText is an address as a list of sessions shows it, empty for none.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// userLabel is what people call the user: a name that they chose, or else the e-mail address; may be empty.
func userLabel(claims map[string]any) string {
	for _, name := range []string{"preferred_username", "email"} {
		if label, ok := claims[name].(string); ok && label != "" {
			return label
		}
	}
	return ""
}

// newcomer is the session that a login begins, with the claims that it keeps and with what a list shows of it.
func (s *site) newcomer(r *http.Request, p *provider, id verifiedID, claims map[string]any) session.Session {
	return session.Session{
		Issuer: p.issuer, Subject: id.Subject, ProviderSession: id.ProviderSession,
		ACR: id.ACR, AuthTime: id.AuthTime, Claims: claims,
		Label: cmp.Or(userLabel(id.Claims), userLabel(claims)), Address: addressText(browserAddress(s.trusted, r)), UserAgent: r.UserAgent(),
	}
}

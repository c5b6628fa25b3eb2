package authsvc

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
)

// trustsPeer reports whether forwarded headers of this connection's peer count: it is in one of the networks, or
// came by a unix socket, whose access rights say who may.
func trustsPeer(networks []netip.Prefix, r *http.Request) bool {
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return true
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	addr := peer.Addr().Unmap().WithZone("")
	for _, network := range networks {
		if network.Contains(addr) {
			return true
		}
	}
	return false
}

// requestID returns the gateway's name for the request if the gateway is trusted and the name is harmless, or else a
// fresh one. It is the whole value of a header: the request's own where that can be.
func requestID(r *http.Request, trusted bool) []string {
	if ids := r.Header["X-Request-Id"]; trusted && len(ids) > 0 && isHarmlessID(ids[0]) {
		return ids[:1:1]
	}
	return []string{freshID()}
}

// freshID returns 26 characters of base32, 128 bits that no other request has. It is no secret, which is why it comes from the runtime's generator (ChaCha8,
// keyed by the operating system) and not from crypto/rand: that asks the kernel each time.
func freshID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var id [26]byte
	for half, bits := range [...]uint64{rand.Uint64(), rand.Uint64()} {
		for i := range len(id) / 2 {
			id[half*len(id)/2+i] = alphabet[bits>>(5*i)%32]
		}
	}
	return string(id[:])
}

func isHarmlessID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

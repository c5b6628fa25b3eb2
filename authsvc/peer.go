package authsvc

import (
	"crypto/rand"
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
// fresh one.
func requestID(r *http.Request, trusted bool) string {
	if id := r.Header.Get("X-Request-Id"); trusted && isHarmlessID(id) {
		return id
	}
	return rand.Text()
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

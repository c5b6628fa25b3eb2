package authsvc

import (
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
)

// trustsPeer reports whether forwarded headers of this connection's peer count: it is in one of the networks, or
// came by a unix socket, whose access rights say who may.
func trustsPeer(networks []netip.Prefix, r *http.Request) bool {
	if strings.Contains(r.RemoteAddr, ":") { // at a unix socket it says "@", and to read that as an address would take memory
		if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
			addr := peer.Addr().Unmap().WithZone("")
			for _, network := range networks {
				if network.Contains(addr) {
					return true
				}
			}
		}
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && local.Network() == "unix"
}

// requestID returns the gateway's name for the request if the gateway is trusted and the name is harmless, or else a
// fresh one. It is the whole value of a header: the request's own where that can be.
func requestID(r *http.Request, trusted bool) []string {
	if ids := r.Header["X-Request-Id"]; trusted && len(ids) > 0 && isHarmlessID(ids[0]) {
		return ids[:1:1]
	}
	ids, _ := stockedIDs.Get().(*idStock)
	if ids == nil || len(ids.rest) == 0 {
		ids = newIDStock()
	}
	id := ids.rest[:1:1]
	ids.rest = ids.rest[1:]
	stockedIDs.Put(ids)
	return id
}

// idStock is names for requests to come, made together: two allocations serve all of them.
type idStock struct{ rest []string }

var stockedIDs sync.Pool // of *idStock

const idLength = 26

// newIDStock makes names of 26 characters of base32, 128 bits that no other request has. They are no secret, which is why they come from the runtime's generator
// (ChaCha8, keyed by the operating system) and not from crypto/rand: that asks the kernel each time.
func newIDStock() *idStock {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	const many = 32
	var text [many * idLength]byte
	for at := 0; at < len(text); at += idLength / 2 {
		bits := rand.Uint64()
		for i := range idLength / 2 {
			text[at+i] = alphabet[bits>>(5*i)%32]
		}
	}
	all, ids := string(text[:]), make([]string, many)
	for i := range ids {
		ids[i] = all[i*idLength : (i+1)*idLength]
	}
	return &idStock{ids}
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

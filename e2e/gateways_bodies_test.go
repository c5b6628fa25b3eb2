package e2e

import (
	"fmt"
	"net/http"
	"strings"
)

// chunked says that a body of send stands there as it is on the wire.
const chunked = "Transfer-Encoding: chunked"

// bodies: what a visitor sends reaches the application whole or not at all, and the check never.
func (f *fleet) bodies(session string) {
	const pieces, size = 40, 10_000
	piece := fmt.Sprintf("%x\r\n%s\r\n", size, strings.Repeat("b", size))
	whole := strings.Repeat(piece, pieces) + "0\r\n\r\n"
	for _, header := range [][]string{{chunked}, {chunked, "Expect: 100-continue"}} {
		a := f.send(f.site, "POST", "/a", append([]string{session}, header...), whole)
		a.is(f.t, http.StatusOK, true)
		if saw := a.seen[0]; saw.Body != pieces*size {
			f.t.Errorf("%v: the application saw %d bytes, want %d", header, saw.Body, pieces*size)
		}
		f.send(f.site, "POST", "/a", header, whole).is(f.t, http.StatusUnauthorized, false)
	}
	a := f.send(f.site, "PUT", "/a", []string{session, "Expect: 100-continue"}, strings.Repeat("b", size))
	a.is(f.t, http.StatusOK, true)
	if saw := a.seen[0]; saw.Body != size {
		f.t.Errorf("the application saw %d bytes, want %d", saw.Body, size)
	}

	// Two lengths, of which the longer hides a second request: it is none.
	const hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
	for _, header := range [][]string{{chunked, fmt.Sprintf("Content-Length: %d", len(hidden))}, {"Transfer-Encoding: xchunked", chunked}, {"Transfer-Encoding : chunked"}} {
		a := f.send(f.site, "POST", "/a", append([]string{session}, header...), hidden)
		for _, saw := range a.seen {
			if saw.URI != "/a" {
				f.t.Errorf("%v: the application saw %+v", header, saw)
			}
		}
	}
}

package authsvc

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkRefusal is a whole answer of /auth to who is not signed in, and to who only pretends to be.
func BenchmarkRefusal(b *testing.B) {
	r := newRig(b, 1, nil)
	genuine := signedIn(r, "alice").Get("Cookie")
	const tampered = len("authsvc=") + 20
	forged := genuine[:tampered] + "AAAAAAAA" + genuine[tampered+8:] // of our key, with another secret
	handler := r.replicas[0].Handler()
	for _, bench := range []struct{ name, cookie string }{{"no cookie", ""}, {"forged", forged}} {
		b.Run(bench.name, func(b *testing.B) {
			request := httptest.NewRequest(http.MethodGet, "/auth", nil)
			request.RemoteAddr, request.Header = trustedPeer, askedFor(http.Header{"Cookie": {bench.cookie}}, "https://app.example.com/page")
			b.ReportAllocs()
			for b.Loop() {
				answer := httptest.NewRecorder()
				handler.ServeHTTP(answer, request)
				if answer.Code != http.StatusUnauthorized {
					b.Fatal(answer.Code)
				}
			}
		})
	}
}

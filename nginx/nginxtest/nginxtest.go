package nginxtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
)

// TB is what this package needs of testing.TB.
type TB interface {
	Helper()
	Fatalf(format string, args ...any)
	Cleanup(func())
	TempDir() string
	Context() context.Context
}

// Start runs nginx with the given lines inside http{} for as long as the test runs. It fails the test
// where nginx is missing, refuses the configuration, or does not leave cleanly.
func Start(tb TB, httpBlock string) *Server {
	tb.Helper()
	// Not the test's context: that ends before the test's own Cleanup functions run, which may still ask.
	s, err := Run(context.WithoutCancel(tb.Context()), tb.TempDir(), httpBlock)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	tb.Cleanup(func() {
		if err := s.Stop(); err != nil {
			tb.Fatalf("%v", err)
		}
	})
	return s
}

// Check fails the test unless nginx -t accepts the given lines inside http{} without a warning. nginx opens
// the addresses that they listen on, so take free ones, above 1023.
func Check(tb TB, httpBlock string) {
	tb.Helper()
	if err := Test(tb.Context(), tb.TempDir(), httpBlock); err != nil {
		tb.Fatalf("%v", err)
	}
}

// FreeAddress returns "127.0.0.1:port" with a port that is free now. Use it soon: nobody holds it. It is below the
// ports that systems give to outgoing connections and to listeners that leave the choice to them, so that
// only another caller could take it.
func FreeAddress(tb TB) string {
	tb.Helper()
	const lowest, highest, tries = 10_240, 32_767, 100
	var err error
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", lowest+rand.IntN(highest-lowest+1))
		var listener net.Listener
		if listener, err = net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	tb.Fatalf("find a free port: %v", err)
	return ""
}

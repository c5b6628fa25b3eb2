package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"authsvc/authsvc"
)

// readyTimeout bounds the answer of a service on the same host.
const readyTimeout = 5 * time.Second

// checkReady asks the service that runs on this host with this configuration whether it takes requests.
func checkReady(ctx context.Context, w io.Writer, config *authsvc.Config) error {
	if config.AdminListen == "" {
		return usageError(`--ready asks at admin_listen, and that is turned off; give it an address`)
	}
	network, address := networkOf(reachable(config.AdminListen))
	client := &http.Client{Timeout: readyTimeout, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://authsvc/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		fmt.Fprintln(w, "not ready: nobody answers at admin_listen:", err)
		return exitStatus(exitFailure)
	}
	defer answer.Body.Close()
	why, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil || answer.StatusCode != http.StatusOK {
		fmt.Fprintf(w, "not ready: %s\n", why)
		return exitStatus(exitFailure)
	}
	_, err = fmt.Fprintln(w, "ready")
	return err
}

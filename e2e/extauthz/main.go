// Extauthz is a model of Envoy's contract with an authorization service over HTTP (the ext_authz filter with http_service), for tests
// where Envoy is not at hand. It is not Envoy. It reads an Envoy bootstrap file with Envoy's own types, refuses what it does not play, and
// does with requests what the documentation of those types says Envoy does:
//
//   - headers_with_underscores_action, headers that Connection lists, upgrades that are not configured (h2c is taken out, any other is 403),
//   - the first route that matches, by prefix or by a regular expression of the whole path,
//   - header_mutation, then ext_authz unless the route turns it off, then the route's cluster, endpoints in turn,
//   - ext_authz: method, host, the path behind path_prefix, Content-Length 0, Authorization and allowed_headers are sent, nothing else; 200
//     lets pass, with allowed_upstream_headers over the request's own; 5xx, no answer and an answer after the timeout are errors, which are
//     status_on_error without the service's headers and body; every other status goes to the client with the body and, unless
//     allowed_client_headers narrows them, all headers,
//   - local_reply_config for what it answers itself.
//
// Usage: extauthz FILE
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: extauthz FILE")
		os.Exit(2)
	}
	if err := serve(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve plays the file until a listener fails.
func serve(file string) error {
	r, err := readRecipe(file)
	if err != nil {
		return err
	}
	failed := make(chan error)
	// The last listener first: whoever finds the site's finds those behind it, too.
	for _, l := range slices.Backward(r.listeners) {
		p, err := newPlayer(l.config, r.clusters)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		at, err := net.Listen("tcp", l.address)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
		go func() { failed <- server.Serve(at) }()
	}
	return <-failed
}

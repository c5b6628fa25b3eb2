package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
	"authsvc/nginx"
)

func newNginxCommand(s *settings) *cobra.Command {
	command := &cobra.Command{
		Use:     "nginx",
		Short:   "Print nginx configuration for a site, or find faults in one",
		Example: "  authsvc nginx render --server-name app.example.com --upstream 127.0.0.1:3000 --replica 127.0.0.1:4180",
		Args:    cobra.ArbitraryArgs,
		RunE:    refuseUnknown,
	}
	command.AddCommand(newRenderCommand(s), newLintCommand())
	return command
}

func newRenderCommand(s *settings) *cobra.Command {
	var site nginx.Site
	command := &cobra.Command{
		Use:   "render",
		Short: "Print the nginx configuration of a protected site",
		Long: `Prints the configuration of one site for inclusion in nginx' http block: the check with auth_request,
identity headers to the application, the way to the login and back, and a page for when nobody can tell.

With a configuration (--config, AUTHSVC_CONFIG, or the environment with AUTHSVC_PUBLIC_URL) everything
that it knows and no flag says comes from there: host, port and path of public_url, the cookie's name, the
identity headers, and this replica's address. Without one the defaults count.

An https public_url without --certificate renders plain HTTP on port 80, which is right where TLS ends in
front of nginx.`,
		Example: `  authsvc nginx render --server-name app.example.com --upstream 127.0.0.1:3000 \
    --replica 127.0.0.1:4180 --replica 10.0.0.2:4180 > /etc/nginx/conf.d/app.conf

  authsvc nginx render --config /etc/authsvc.yaml --upstream unix:/run/app.sock \
    --certificate /etc/ssl/app.pem --certificate-key /etc/ssl/app.key`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if s.configFile != "" || lookup(s.environ, "AUTHSVC_PUBLIC_URL") != "" {
				config, err := s.load()
				if err != nil {
					return err
				}
				if err := fillSite(&site, config); err != nil {
					return err
				}
			}
			if err := site.Validate(); err != nil {
				writeSiteProblems(c.ErrOrStderr(), err)
				return exitStatus(exitUsage)
			}
			return nginx.Render(c.OutOrStdout(), site)
		},
	}
	flags := command.Flags()
	flags.StringVar(&site.ServerName, "server-name", "", "host that browsers ask for")
	flags.StringSliceVar(&site.Listen, "listen", nil, "address that nginx listens on (default the port of public_url, else 80, with a certificate 443)")
	flags.StringSliceVar(&site.Upstreams, "upstream", nil, "address of the application, host:port or unix:/path; may be repeated")
	flags.StringSliceVar(&site.Replicas, "replica", nil, "address of an authsvc replica; may be repeated")
	flags.StringVar(&site.Prefix, "prefix", "", "path of public_url, such as /oauth2")
	flags.StringVar(&site.CookieName, "cookie-name", "", "cookie.name (default: the names that authsvc uses by default)")
	flags.StringSliceVar(&site.Headers, "header", nil, "identity header that the application gets; may be repeated")
	flags.StringVar(&site.Certificate, "certificate", "", "PEM file with the certificate; turns TLS on")
	flags.StringVar(&site.CertificateKey, "certificate-key", "", "PEM file with its key")
	flags.DurationVar(&site.CheckTimeout, "check-timeout", 0, "how long nginx waits for a verdict (default 3s)")
	return command
}

// fillSite takes from the configuration what no flag has said. A [usageError] tells what it cannot take.
func fillSite(site *nginx.Site, config *authsvc.Config) error {
	public, err := url.Parse(config.PublicURL)
	if err != nil {
		return fmt.Errorf("public_url: %w", err)
	}
	if site.ServerName == "" {
		site.ServerName = public.Hostname()
	}
	// Where TLS ends in front of nginx, the port is one of what stands there.
	endsHere := public.Scheme == "http" || site.Certificate != ""
	if port := public.Port(); site.Listen == nil && port != "" && endsHere {
		site.Listen = []string{port}
	}
	if site.Prefix == "" {
		site.Prefix = public.EscapedPath()
	}
	if site.CookieName == "" {
		site.CookieName = config.Cookie.Name
	}
	if site.Headers == nil {
		site.Headers = slices.Sorted(maps.Keys(config.Headers))
	}
	if site.Replicas == nil {
		if config.TLS.CertFile != "" {
			return usageError("tls.cert_file: replicas over TLS cannot be rendered yet; remove it " +
				"(on one machine, listen on unix:/run/authsvc.sock), or give --replica with the address of a plain listener")
		}
		site.Replicas = []string{reachable(config.Listen)}
	}
	return nil
}

// reachable returns an address at which nginx on the same machine reaches a listener.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	address, _ := netip.ParseAddr(host) // of a name, or unix:/path, it is none of the two below
	switch {
	case host == "" || address.Unmap() == netip.IPv4Unspecified():
		return net.JoinHostPort("127.0.0.1", port)
	case address == netip.IPv6Unspecified():
		return net.JoinHostPort("::1", port)
	}
	return listen
}

// siteFlags names the flag of each field of a site.
var siteFlags = map[string]string{
	"ServerName": "--server-name", "Listen": "--listen", "Upstreams": "--upstream", "Replicas": "--replica",
	"Prefix": "--prefix", "CookieName": "--cookie-name", "Headers": "--header", "CheckTimeout": "--check-timeout",
	"Certificate": "--certificate", "CertificateKey": "--certificate-key",
}

// writeSiteProblems tells what is wrong with a site, one line each, by the flags that say it.
func writeSiteProblems(w io.Writer, err error) {
	problems := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		problems = joined.Unwrap()
	}
	for _, problem := range problems {
		if field, ok := errors.AsType[*nginx.FieldError](problem); ok {
			named := *field
			named.Field = siteFlags[field.Field]
			problem = &named
		}
		fmt.Fprintln(w, problem)
	}
}

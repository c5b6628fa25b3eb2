package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"authsvc/nginx"
)

func newRenderCommand(s *settings) *cobra.Command {
	var site nginx.Site
	var output string
	command := &cobra.Command{
		Use:   "render",
		Short: "Print the nginx configuration of a protected site",
		Long: `Prints the configuration of one site for inclusion in nginx' http block: the check with auth_request,
identity headers to the application, the way to the login and back, and a page for when nobody can tell.

With a configuration (--config, AUTHSVC_CONFIG, or the environment with AUTHSVC_PUBLIC_URL) everything
that it knows and no flag says comes from there: host, port and path of public_url, the cookie's name, the
identity headers, and this replica's address. Without one the defaults count.

Several applications below one parent domain can share one login: set cookie.domain, render the login host
with --login-only, and each application with its own --server-name. It asks the same replicas, and sends
people to public_url, or to --login-url.

--micro-cache lets nginx keep each verdict that lets someone in for 1 to 5 seconds. A session that is ended
elsewhere passes for as long, and up to a second more; refusals are never kept.

--cors-preflight lets a browser's OPTIONS request that asks whether a page of another site may send one pass
to the application, without a verdict and without identity headers. The file says what that risks.

--allowed-group, --allowed-email and --allowed-email-domain narrow who may pass at this site, each further;
whoever else is signed in gets 403.

WebSocket works in every form. An https public_url without --certificate renders plain HTTP on port 80, and takes
it that TLS ends in front of nginx: visitors came by https, whatever nginx sees (--behind-tls).

Replicas with tls.cert_file are --replica https://host:port, with --replica-ca: nginx then makes sure that it
is they who answer. On one machine unix:/run/authsvc/authsvc.sock needs no TLS.`,
		Example: `  # an application, and the login at the same host
  authsvc nginx render --server-name app.example.com --upstream 127.0.0.1:3000 \
    --replica 127.0.0.1:4180 --replica 10.0.0.2:4180 > /etc/nginx/conf.d/app.conf

  # the same from the configuration, with TLS
  authsvc nginx render --config /etc/authsvc.yaml --upstream unix:/run/app.sock \
    --certificate /etc/ssl/app.pem --certificate-key /etc/ssl/app.key

  # replicas on other machines, over TLS, and a way from port 80
  authsvc nginx render --config /etc/authsvc.yaml --upstream 127.0.0.1:3000 \
    --replica https://auth1.internal:4180 --replica https://auth2.internal:4180 \
    --replica-ca /etc/ssl/internal.pem --replica-name auth.internal \
    --certificate /etc/ssl/app.pem --certificate-key /etc/ssl/app.key --redirect-http 80

  # a login host, and one of the applications that share it
  authsvc nginx render --config /etc/authsvc.yaml --login-only > /etc/nginx/conf.d/login.conf
  authsvc nginx render --config /etc/authsvc.yaml --server-name wiki.example.com \
    --upstream 127.0.0.1:3000 --allowed-group staff > /etc/nginx/conf.d/wiki.conf

  # the last one without a configuration
  authsvc nginx render --server-name wiki.example.com --upstream 127.0.0.1:3000 \
    --login-url https://login.example.com --replica 127.0.0.1:4180

  # many requests of the same people, and an API for pages of other sites
  authsvc nginx render --config /etc/authsvc.yaml --upstream 127.0.0.1:3000 --micro-cache 1s --cors-preflight`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var text bytes.Buffer
			if err := renderSite(&text, c.ErrOrStderr(), s, site); err != nil {
				return err
			}
			if output != "" {
				return replaceFile(output, text.Bytes())
			}
			_, err := c.OutOrStdout().Write(text.Bytes())
			return err
		},
	}
	flags := command.Flags()
	flags.StringVar(&site.ServerName, "server-name", "", "host that browsers ask for")
	flags.StringSliceVar(&site.Listen, "listen", nil, "address that nginx listens on (default the port of public_url, else 80, with a certificate 443)")
	flags.StringSliceVar(&site.Upstreams, "upstream", nil, "address of the application, host:port or unix:/path; may be repeated")
	flags.StringSliceVar(&site.Replicas, "replica", nil, "address of an authsvc replica, host:port, unix:/path or https://host:port; may be repeated")
	flags.StringVar(&site.ReplicaCA, "replica-ca", "", "PEM file with the roots of the replicas' certificates, where they speak TLS")
	flags.StringVar(&site.ReplicaName, "replica-name", "", "host name in the replicas' certificates (default the one that their addresses have in common)")
	flags.StringVar(&site.Prefix, "prefix", "", "path of public_url, such as /oauth2")
	flags.StringVar(&site.LoginURL, "login-url", "", "public_url, where the login is at another host than the application")
	flags.BoolVar(&site.LoginOnly, "login-only", false, "the host of the login alone, for applications at other hosts")
	flags.StringVar(&site.CookieName, "cookie-name", "", "cookie.name (default: the names that authsvc uses by default)")
	flags.StringSliceVar(&site.Headers, "header", nil, "identity header that the application gets; may be repeated")
	flags.StringSliceVar(&site.AllowedGroups, "allowed-group", nil, "let in only people of this group; may be repeated")
	flags.StringSliceVar(&site.AllowedEmails, "allowed-email", nil, "let in only whoever has this verified address; may be repeated")
	flags.StringSliceVar(&site.AllowedEmailDomains, "allowed-email-domain", nil, "let in only verified addresses of this domain, or with .example.com of those below it; may be repeated")
	flags.StringVar(&site.Certificate, "certificate", "", "PEM file with the certificate; turns TLS on")
	flags.StringVar(&site.CertificateKey, "certificate-key", "", "PEM file with its key")
	flags.BoolVar(&site.BehindTLS, "behind-tls", false, "TLS ends in front of nginx (default with an https public_url and no --certificate)")
	flags.StringVar(&output, "output", "", "file to write, all at once or not at all; standard output without it")
	flags.StringSliceVar(&site.RedirectHTTP, "redirect-http", nil, "address or port on which plain HTTP is sent on to TLS, such as 80; may be repeated")
	flags.DurationVar(&site.CheckTimeout, "check-timeout", 0, "how long nginx waits for a verdict (default 3s)")
	flags.DurationVar(&site.MicroCache, "micro-cache", 0, "how long nginx keeps a verdict that lets someone in: 1s to 5s; a logout elsewhere is late by it")
	flags.StringVar(&site.MicroCachePath, "micro-cache-path", "", "folder for these verdicts, best in memory (default one in /run)")
	flags.BoolVar(&site.CORSPreflight, "cors-preflight", false, "let CORS preflights pass to the application without a verdict")
	return command
}

// renderSite prints the site of the flags and, where there is one, the configuration; or all that is wrong with it.
func renderSite(stdout, stderr io.Writer, s *settings, site nginx.Site) error {
	var problems, warnings []error
	if s.configFile != "" || lookup(s.environ, "AUTHSVC_PUBLIC_URL") != "" {
		config, err := s.load()
		if err != nil {
			writeSiteProblems(stderr, said(parts(site.Validate())))
			return err
		}
		if problems, warnings, err = fillSite(&site, config); err != nil {
			return err
		}
	}
	problems = append(problems, parts(site.Validate())...)
	if len(problems) > 0 {
		writeSiteProblems(stderr, problems)
		return exitStatus(exitUsage)
	}
	for _, warning := range warnings {
		fmt.Fprintln(stderr, "warning:", warning)
	}
	return nginx.Render(stdout, site)
}

// replaceFile writes a file that others read, who find the old text or the new one. nginx may be another user.
func replaceFile(name string, text []byte) error {
	file, err := os.CreateTemp(filepath.Dir(name), ".render-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // there is none where it has become name
	_, err = file.Write(text)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// siteFlags names the flag of each field of a site.
var siteFlags = map[string]string{
	"ServerName": "--server-name", "Listen": "--listen", "Upstreams": "--upstream", "Replicas": "--replica",
	"Prefix": "--prefix", "LoginURL": "--login-url", "CookieName": "--cookie-name", "Headers": "--header",
	"CheckTimeout": "--check-timeout", "Certificate": "--certificate", "CertificateKey": "--certificate-key",
	"BehindTLS":     "--behind-tls",
	"AllowedGroups": "--allowed-group", "AllowedEmails": "--allowed-email", "AllowedEmailDomains": "--allowed-email-domain",
	"ReplicaCA": "--replica-ca", "ReplicaName": "--replica-name", "RedirectHTTP": "--redirect-http",
	"MicroCache": "--micro-cache", "MicroCachePath": "--micro-cache-path", "CORSPreflight": "--cors-preflight",
}

// parts returns the errors that one joins.
func parts(err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		return joined.Unwrap()
	}
	return nil
}

// said returns the problems with what is given; what is missing, a configuration that cannot be read might have had.
func said(problems []error) (about []error) {
	for _, problem := range problems {
		if field, ok := errors.AsType[*nginx.FieldError](problem); ok && field.Value != "" {
			about = append(about, problem)
		}
	}
	return about
}

// writeSiteProblems tells what is wrong with a site, one line each, by the flags that say it.
func writeSiteProblems(w io.Writer, problems []error) {
	for _, problem := range problems {
		if field, ok := errors.AsType[*nginx.FieldError](problem); ok {
			named := *field
			named.Field = siteFlags[field.Field]
			problem = &named
		}
		fmt.Fprintln(w, problem)
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newCheckCommand(s *settings) *cobra.Command {
	var online, ready bool
	var via, explain, claims string
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, and with --online all that it names",
		Long: `Reads the configuration and tells every problem at once, one line each, with its place and what
would be right. It opens the files that the configuration names and touches no network.

With --online it goes on and asks everything that the configuration names, one line for each look, which
begins with ok, note, warning, problem, or skipped where it could not look:

  redis      answers, and how soon; version and topology; every right that is used, each tried by itself on
             keys of its own; a session stored, changed, found and ended; eviction policy and memory
  replicas   who runs, and who differs in what, from the others and from this configuration
  provider   metadata, keys, clock; scopes, ways to authenticate and endpoints that do not go with the configuration
  bearer     keys of each issuer whose bearer tokens count, and that it tells of opaque ones
  gateway    with --via, an address that shall be protected, the whole way: a visitor who is not signed in is
             refused, also one who brings identity headers, and is led through /start to the provider

With --ready it asks the service that runs on this host with this configuration, at admin_listen, whether it takes
requests: a health check where there is no curl.

With --explain it tells which rule decides about a request, and why each rule before does not, without asking
anybody. Who makes the request has the claims of --claims, a file with what an ID token says in JSON; without
it they are signed out.

Exit code 0: good; what the configuration alone is warned about does not count. 1: --online found a warning or a
problem, or the service is not ready. 2: bad configuration.`,
		Example: `  authsvc check --config /etc/authsvc.yaml
  AUTHSVC_LISTEN=127.0.0.1:4182 authsvc check --config /etc/authsvc.yaml

  # before a rollout, from a host where the service will run
  authsvc check --config /etc/authsvc.yaml --online

  # who may pass, and by which rule
  authsvc check --config /etc/authsvc.yaml --explain 'GET https://app.example.com/reports' --claims jane.json

  # afterwards, through the gateway
  authsvc check --config /etc/authsvc.yaml --online --via https://app.example.com/reports

  # in the service's own container
  authsvc check --ready`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if claims != "" && explain == "" || explain != "" && (online || via != "") {
				return usageError("--claims goes with --explain, and --explain asks nobody: not with --online or --via")
			}
			var target *url.URL
			if via != "" {
				var err error
				target, err = url.Parse(via)
				if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
					return usageError("--via takes the address of a protected page, such as https://app.example.com/")
				}
				online = true
			}
			config, err := s.load()
			if err != nil {
				return err
			}
			writeWarnings(c.ErrOrStderr(), config)
			if explain != "" {
				return explainVerdict(c.OutOrStdout(), config, explain, claims)
			}
			if _, err = fmt.Fprintln(c.OutOrStdout(), "configuration is good"); err != nil {
				return err
			}
			if ready {
				if err := checkReady(c.Context(), c.OutOrStdout(), config); err != nil {
					return err
				}
			}
			if !online {
				return nil
			}
			return checkOnline(c.Context(), c.OutOrStdout(), config, target)
		},
	}
	c.Flags().BoolVar(&online, "online", false, "also ask Redis, the replicas and the provider")
	c.Flags().BoolVar(&ready, "ready", false, "also ask the service that runs on this host whether it takes requests")
	c.Flags().StringVar(&via, "via", "", "address of a protected page, to be asked through the gateway; implies --online")
	c.Flags().StringVar(&explain, "explain", "", "a request, such as 'GET https://app.example.com/reports', whose verdict is to be explained")
	c.Flags().StringVar(&claims, "claims", "", "with --explain, a file with the claims of who makes it; without it they are signed out")
	return c
}

// explainVerdict tells which rule decides about a request, and why.
func explainVerdict(w io.Writer, config *authsvc.Config, request, claimsFile string) error {
	var claims []byte
	if claimsFile != "" {
		file, err := os.Open(claimsFile)
		if err != nil {
			return usageError("--claims: " + err.Error())
		}
		defer file.Close()
		if claims, err = io.ReadAll(io.LimitReader(file, maxClaims)); err != nil {
			return fmt.Errorf("--claims: %w", err)
		}
	}
	err := authsvc.Explain(w, config, request, claims, time.Now())
	if errors.Is(err, authsvc.ErrExplain) {
		return usageError("--explain: " + err.Error())
	}
	return err
}

// maxClaims bounds a file with claims, in bytes.
const maxClaims = 1 << 20

// writeWarnings tells what is worth knowing about a configuration that is good, one line each.
func writeWarnings(w io.Writer, config *authsvc.Config) {
	_, warnings := config.Validate()
	for _, warning := range warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

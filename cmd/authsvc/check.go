package main

import (
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newCheckCommand(s *settings) *cobra.Command {
	var online, ready bool
	var via string
	c := &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, and with --online all that it names",
		Long: `Reads the configuration and tells every problem at once, one line each, with its place and what
would be right. It opens the files that the configuration names and touches no network.

With --online it goes on and asks everything that the configuration names, one line for each look, which
begins with ok, warning, problem, or skipped where it could not look:

  redis      answers, and how soon; version and topology; every right that is used, each tried by itself on
             keys of its own; a session stored, changed, found and ended; eviction policy and memory
  replicas   who runs, and who differs in what, from the others and from this configuration
  provider   metadata, keys, clock
  gateway    with --via, an address that shall be protected, the whole way: a visitor who is not signed in is
             refused, also one who brings identity headers, and is led through /start to the provider

With --ready it asks the service that runs on this host with this configuration, at admin_listen, whether it takes
requests: a health check where there is no curl.

Exit code 0: good; what the configuration alone is warned about does not count. 1: --online found a warning or a
problem, or the service is not ready. 2: bad configuration.`,
		Example: `  authsvc check --config /etc/authsvc.yaml
  AUTHSVC_PUBLIC_URL=https://app.example.com authsvc check

  # before a rollout, from a host where the service will run
  authsvc check --config /etc/authsvc.yaml --online

  # afterwards, through the gateway
  authsvc check --config /etc/authsvc.yaml --online --via https://app.example.com/reports

  # in the service's own container
  authsvc check --ready`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
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
	return c
}

// writeWarnings tells what is worth knowing about a configuration that is good, one line each.
func writeWarnings(w io.Writer, config *authsvc.Config) {
	_, warnings := config.Validate()
	for _, warning := range warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

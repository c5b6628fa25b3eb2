package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newCheckCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration, without network",
		Long: `Reads the configuration and tells every problem at once, one line each, with its place and what
would be right. It opens the files that the configuration names and touches no network.

Exit code 0: good, perhaps with warnings. 2: bad.`,
		Example: `  authsvc check --config /etc/authsvc.yaml
  AUTHSVC_PUBLIC_URL=https://app.example.com authsvc check`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := s.load()
			if err != nil {
				return err
			}
			writeWarnings(c.ErrOrStderr(), config)
			_, err = fmt.Fprintln(c.OutOrStdout(), "configuration is good")
			return err
		},
	}
}

// writeWarnings tells what is worth knowing about a configuration that is good, one line each.
func writeWarnings(w io.Writer, config *authsvc.Config) {
	_, warnings := config.Validate()
	for _, warning := range warnings {
		fmt.Fprintln(w, "warning:", warning)
	}
}

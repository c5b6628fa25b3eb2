package main

import "github.com/spf13/cobra"

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

package main

import (
	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newConfigCommand(s *settings) *cobra.Command {
	var schema bool
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the effective configuration, secrets masked",
		Long: `Prints every key with the value that the service would use and where it came from: the default, a
line of the file, or a variable. Secrets are masked.`,
		Example: `  authsvc config --config /etc/authsvc.yaml
  authsvc config --schema > authsvc.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if schema {
				return authsvc.WriteSchema(c.OutOrStdout())
			}
			config, err := s.load()
			if err != nil {
				return err
			}
			return config.WriteYAML(c.OutOrStdout())
		},
	}
	c.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of the YAML file")
	return c
}

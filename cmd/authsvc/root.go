package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

// settings is what every command may need: where the configuration is.
type settings struct {
	configFile string
	environ    []string
}

// load reads and validates the configuration; a *authsvc.ConfigError tells every problem.
func (s *settings) load() (*authsvc.Config, error) {
	return authsvc.Load(s.configFile, s.environ)
}

func newRootCommand(environ []string) *cobra.Command {
	s := &settings{configFile: lookup(environ, "AUTHSVC_CONFIG"), environ: environ}
	root := &cobra.Command{
		Use:   "authsvc",
		Short: "Sign-in for web applications behind nginx, Traefik, Caddy and Envoy",
		Long: `authsvc stands beside a gateway, signs people in with OpenID Connect, and answers one question
per request: may this browser pass, and who is it? Sessions live in Redis, so any number of replicas
can answer.

It is configured by a YAML file, by AUTHSVC_ variables, or by both; variables win.`,
		Example: `  authsvc serve --config /etc/authsvc.yaml
  AUTHSVC_CONFIG=/etc/authsvc.yaml authsvc check`,
		Version:           readBuild().String(),
		Args:              cobra.ArbitraryArgs,
		RunE:              refuseUnknown,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},

		SuggestionsMinimumDistance: 2,
	}
	root.SetVersionTemplate("{{.Version}}")
	root.PersistentFlags().StringVar(&s.configFile, "config", s.configFile, "YAML file with the configuration (AUTHSVC_CONFIG)")

	root.AddCommand(
		newServeCommand(s),
		newCheckCommand(s),
		newConfigCommand(s),
		newNginxCommand(s),
		newReplicasCommand(s),
		newSecretCommand(),
		newSessionsCommand(s),
		newVersionCommand(),
	)
	markErrors(root)
	return root
}

// refuseUnknown is what a command does that has only commands below it, when it is called with none of them.
func refuseUnknown(parent *cobra.Command, args []string) error {
	var names []string
	for _, c := range parent.Commands() {
		if c.IsAvailableCommand() {
			names = append(names, c.Name())
		}
	}
	known := fmt.Sprintf("%s has %s; %[1]s --help tells more", parent.CommandPath(), strings.Join(names, ", "))
	if len(args) == 0 {
		return usageError("a command is missing: " + known)
	}
	wrong := fmt.Sprintf("%q is not a command", args[0])
	if meant := parent.SuggestionsFor(args[0]); len(meant) > 0 {
		wrong += ", did you mean " + strings.Join(meant, " or ") + "?"
	}
	return usageError(wrong + ": " + known)
}

// lookup returns the value of a variable, "" if it is not set.
func lookup(environ []string, name string) (value string) {
	for _, entry := range environ {
		if text, found := strings.CutPrefix(entry, name+"="); found {
			value = text
		}
	}
	return value
}

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"authsvc/nginx/lint"
)

func newLintCommand() *cobra.Command {
	var options lint.Options
	var prefix string
	var asJSON bool
	var about strings.Builder
	for _, rule := range lint.Rules() {
		fmt.Fprintf(&about, "  %-22s %s\n", rule.Name, rule.About)
	}
	command := &cobra.Command{
		Use:   "lint FILE...",
		Short: "Find what lets strangers in or breaks logins in an nginx configuration",
		Long: `Reads nginx configuration, with all that it includes, and tells what lets strangers past auth_request,
breaks logins or makes either slow, one line each: FILE:LINE: SEVERITY: WHAT; WHY; FIX [RULE]. A file
may be a whole nginx.conf or a part of one; - is standard input. It asks nothing over the network.

A comment on the line of a finding, or on the line above it, silences it; those are counted:

  # authsvc-lint: ignore RULE the reason

Exit code 0: no findings. 1: findings. 2: a file that nginx could not read either.

The rules:

` + about.String(),
		Example: `  authsvc nginx lint /etc/nginx/nginx.conf
  authsvc nginx lint --prefix /oauth2 --header Remote-User /etc/nginx/conf.d/*.conf
  authsvc nginx render --config /etc/authsvc.yaml --upstream 127.0.0.1:3000 | authsvc nginx lint -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			if c.Flags().Changed("prefix") {
				options.Prefix = &prefix
			}
			options.Stdin = c.InOrStdin()
			report, err := lint.Files(files, options)
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr(), err)
				return exitStatus(exitUsage)
			}
			write := writeFindings
			if asJSON {
				write = writeFindingsJSON
			}
			if err := write(c.OutOrStdout(), report); err != nil {
				return err
			}
			if len(report.Findings) > 0 {
				return exitStatus(exitFailure)
			}
			return nil
		},
	}
	flags := command.Flags()
	flags.StringVar(&prefix, "prefix", "", "path of public_url, such as /oauth2 (default: what the check's address has before /auth)")
	flags.StringSliceVar(&options.Headers, "header", nil, "identity header that the application reads; may be repeated (default: those that authsvc sends by default)")
	flags.StringVar(&options.ConfDir, "conf-dir", "", "folder of nginx.conf, for relative includes (default: the nearest one above FILE)")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object: findings, and ignored with their reasons")
	return command
}

// writeFindings writes a report for people: findings, then a line that counts.
func writeFindings(w io.Writer, report *lint.Report) error {
	counts := map[lint.Severity]int{}
	for _, finding := range report.Findings {
		counts[finding.Severity]++
		if _, err := fmt.Fprintln(w, finding); err != nil {
			return err
		}
	}
	total := "no findings"
	if len(report.Findings) > 0 {
		total = fmt.Sprintf("%s, %s, %d info", plural(counts[lint.Error], "error"), plural(counts[lint.Warning], "warning"), counts[lint.Info])
	}
	if n := len(report.Ignored); n > 0 {
		total += fmt.Sprintf("; %d ignored by comments", n)
	}
	if report.Servers == 0 {
		total += "; no server here has an auth_request"
	}
	_, err := fmt.Fprintln(w, total)
	return err
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func writeFindingsJSON(w io.Writer, report *lint.Report) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(report)
}

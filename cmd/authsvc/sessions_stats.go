package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newStatsCommand(s *settings, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Count sessions, users and bytes",
		Long: `Tells how many sessions live, how many users have one, and how large the sessions' values are, as the replicas have counted
them: within a hundredth, and as of a second ago. What Redis evicted, somebody deleted by hand, or a replica had not told when it was
killed, is wrong in it for as long as those sessions would have lived.`,
		Example: "  authsvc sessions stats --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.atDesk(c.Context(), func(d desk) error {
				warnOfDifferences(c.ErrOrStderr(), d.replicas)
				totals, err := d.store.Count(c.Context())
				if err != nil {
					return err
				}
				if *asJSON {
					return writeJSON(c.OutOrStdout(), authsvc.Stats{Sessions: totals.Sessions, Users: totals.Users, Bytes: totals.Bytes})
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "sessions  %d\nusers     %d\nbytes     %d\n", totals.Sessions, totals.Users, totals.Bytes)
				return err
			})
		},
	}
}

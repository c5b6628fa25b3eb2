package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newReplicasCommand(s *settings) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "replicas",
		Short: "Show who runs, which version, and who differs in what",
		Long: `Reads from the store which replicas run, and in which settings each differs from most of them. A replica
that ends by itself is gone at once; one that was killed, within ten seconds.

"not ready" is one that has just started, or is held back since it differs where all must agree. "elsewhere" is
one that uses another Redis, database or prefix; it was met by a login that began there.

Exit code 0: all agree. 1: there is drift, or the store does not answer.`,
		Example: `  authsvc replicas --config /etc/authsvc.yaml
  authsvc replicas --json | jq -r '.[] | select(.drift != []) | .id'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := s.load()
			if err != nil {
				return err
			}
			if config.Store.URL == "memory:" {
				return errors.New("store.url is memory:, which a replica shares with nobody; name the Redis that the replicas use")
			}
			store, err := openStoreForCommand(config)
			if err != nil {
				return err
			}
			defer store.Close()
			replicas, err := authsvc.Replicas(c.Context(), store)
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(replicas)
			} else {
				err = writeReplicas(c.OutOrStdout(), replicas)
			}
			for _, r := range replicas {
				if err == nil && len(r.Drift) > 0 {
					err = exitStatus(exitFailure)
				}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// writeReplicas writes a table for people.
func writeReplicas(w io.Writer, replicas []authsvc.Replica) error {
	if len(replicas) == 0 {
		_, err := fmt.Fprintln(w, "no replica runs on this Redis, database and prefix (they announce themselves every two seconds)")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "REPLICA\tVERSION\tSTARTED\tSTATE\tDIFFERS IN")
	for _, r := range replicas {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", r.ID, cmp.Or(r.Version, "-"), r.StartedAt.Format(time.RFC3339), r.State,
			cmp.Or(strings.Join(r.Drift, ", "), "-"))
	}
	return table.Flush()
}

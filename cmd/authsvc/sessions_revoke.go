package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"authsvc/session"
)

func newRevokeCommand(s *settings, asJSON *bool) *cobra.Command {
	var subject string
	var all, yes bool
	command := &cobra.Command{
		Use:   "revoke (ID | --user SUB | --all)",
		Short: "End one session, all of a user, or all there are",
		Long: `Ends sessions, on every replica at once: one by its ID; all of a user at every site, those included whose login is under way; or all that the store
holds, of every user. On a terminal --all asks first.

Whoever is signed in at the provider may sign in again: end that session there, too.`,
		Example: `  authsvc sessions revoke 3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA
  authsvc sessions revoke --user 248289761001
  authsvc sessions revoke --all --yes`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			byUser := c.Flags().Changed("user")
			switch {
			case len(args) == 1 && !byUser && !all:
				id, err := parseID(args[0])
				if err != nil {
					return err
				}
				return s.atDesk(c.Context(), func(d desk) error { return revokeOne(c, d, id, *asJSON) })
			case len(args) == 0 && byUser && !all && subject != "":
				return s.atDesk(c.Context(), func(d desk) error { return revokeUser(c, d, subject, *asJSON) })
			case len(args) == 0 && all && !byUser:
				return s.atDesk(c.Context(), func(d desk) error { return revokeAll(c, d, yes, *asJSON) })
			}
			return usageError("revoke takes one of an ID, --user SUB and --all")
		},
	}
	command.Flags().StringVar(&subject, "user", "", `end all sessions of this user, the claim "sub"`)
	command.Flags().BoolVar(&all, "all", false, "end all sessions")
	command.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return command
}

func revokeOne(c *cobra.Command, d desk, id session.ID, asJSON bool) error {
	warnOfDifferences(c.ErrOrStderr(), d.replicas)
	if _, err := d.store.Load(c.Context(), id); errors.Is(err, session.ErrNotFound) {
		return unknownSession(id)
	}
	// Whatever else it is, it shall not be there.
	if err := d.sites[0].End(c.Context(), id); err != nil {
		return unconfirmed(err)
	}
	return writeEnded(c.OutOrStdout(), 1, asJSON)
}

func revokeUser(c *cobra.Command, d desk, subject string, asJSON bool) error {
	if err := missesSessions(d.replicas); err != nil {
		return err
	}
	warnOfDifferences(c.ErrOrStderr(), d.replicas)
	for range d.all(c.Context(), subject, true) { // takes off the lists what is gone, so that nothing of it is counted; an error keeps nobody signed in
	}
	ended, err := d.endUser(c.Context(), subject)
	if err != nil {
		return unconfirmed(fmt.Errorf("after %s: %w", counted(ended), err))
	}
	return writeEnded(c.OutOrStdout(), ended, asJSON)
}

// endUser ends the sessions of a user at all sites, and returns how many were found. What cannot be ended at one keeps no other from being ended.
func (d desk) endUser(ctx context.Context, subject string) (ended int, failed error) {
	for _, site := range d.sites {
		for _, group := range site.groups(subject) {
			n, err := site.EndGroup(ctx, group)
			ended, failed = ended+n, errors.Join(failed, err)
		}
	}
	return ended, failed
}

func revokeAll(c *cobra.Command, d desk, yes, asJSON bool) error {
	warnOfDifferences(c.ErrOrStderr(), d.replicas)
	if !yes && isTerminal(c.InOrStdin()) {
		fmt.Fprint(c.ErrOrStderr(), "This ends all sessions, of every user. Type yes to go on: ")
		answer, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
		if strings.TrimSpace(answer) != "yes" {
			return errors.Join(errors.New("nothing was ended"), ignoreEOF(err))
		}
	}
	told := newProgress(c.ErrOrStderr(), "sessions ended", true)
	defer told.done()
	ended, err := d.sites[0].EndAll(c.Context(), told.tell)
	if err != nil {
		return unconfirmed(fmt.Errorf("after %s: %w", counted(ended), err))
	}
	told.done()
	return writeEnded(c.OutOrStdout(), ended, asJSON)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func unconfirmed(err error) error {
	return fmt.Errorf("sessions may live on, run it again: %w", err)
}

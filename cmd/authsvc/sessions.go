package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
	"authsvc/session"
	"authsvc/session/redisstore"
)

func newSessionsCommand(s *settings) *cobra.Command {
	var asJSON bool
	command := &cobra.Command{
		Use:   "sessions",
		Short: "Look at sessions and end them",
		Long: `Looks at the sessions in the store of the configuration, and ends them, on every replica at once. No replica has to run.
Where the configuration is not that of the replicas that run, a warning says so; revoke --user then refuses if it could miss sessions.

What goes through all sessions (list without --user, revoke --all) needs the right +scan in Redis.

Exit code 0: done. 1: it could not be done, or nobody can tell whether it was.`,
		Example: `  authsvc sessions list --user 248289761001
  authsvc sessions revoke --user 248289761001`,
		Args: cobra.ArbitraryArgs,
		RunE: refuseUnknown,
	}
	command.PersistentFlags().BoolVar(&asJSON, "json", false, "write JSON")
	command.AddCommand(newStatsCommand(s, &asJSON), newListCommand(s, &asJSON), newShowCommand(s, &asJSON), newRevokeCommand(s, &asJSON))
	return command
}

// desk is what a command about sessions works with.
type desk struct {
	sites    []site // the main one first
	store    backend
	replicas authsvc.Comparison // how the configuration stands to those that run
}

// site is one of the sites whose sessions are looked at.
type site struct {
	*session.Manager
	address string // its public_url
	issuers []string
}

// listed is a session, and which site it is of; "" where there is but one.
type listed struct {
	session.Listed
	site string
}

// atDesk runs a command with the store of the configuration.
func (s *settings) atDesk(ctx context.Context, work func(desk) error) error {
	config, err := s.load()
	if err != nil {
		return err
	}
	if config.Store.URL == "memory:" {
		return errors.New("store.url is memory:, and only the process that serves knows what is in it; use Redis")
	}
	store, err := openStoreForCommand(config)
	if err != nil {
		return err
	}
	defer store.Close()
	managers, err := authsvc.NewManagers(config, store)
	if err != nil {
		return err
	}
	// Everything is measured by the store's clock: a mark by this host's could be minutes off, and let a login pass.
	err = store.ReadClock(ctx)
	var replicas authsvc.Comparison
	if err == nil {
		replicas, err = authsvc.Compare(ctx, config, store)
	}
	if err == nil {
		err = work(desk{sitesOf(config, managers), store, replicas})
	}
	switch cause := redisstore.Cause(err); {
	case cause == "permission":
		return fmt.Errorf("the session store does not allow it: %w; what goes through all sessions needs +scan besides the service's own rights", err)
	case cause != "" && cause != "other":
		return fmt.Errorf("the session store does not answer: %w", err)
	}
	return err
}

func sitesOf(config *authsvc.Config, managers []*session.Manager) []site {
	sites := []site{{managers[0], config.PublicURL, issuersOf(config)}}
	for i, other := range config.Sites {
		sites = append(sites, site{managers[i+1], other.PublicURL, issuersOf(other.Config)})
	}
	return sites
}

func issuersOf(config *authsvc.Config) (issuers []string) {
	for _, p := range config.ProviderList() {
		issuers = append(issuers, p.Issuer)
	}
	return issuers
}

// groups are those of a user's sessions: one for each provider of the site, whose subjects are people of its own.
func (s site) groups(subject string) (groups []session.Group) {
	for _, issuer := range s.issuers {
		groups = append(groups, session.Group{Kind: session.KindUser, Issuer: issuer, Value: subject})
	}
	return groups
}

// all goes through the sessions of all sites, or those of one user.
func (d desk) all(ctx context.Context, subject string, byUser bool) iter.Seq2[listed, error] {
	return func(yield func(listed, error) bool) {
		for _, site := range d.sites {
			lists := []iter.Seq2[session.Listed, error]{site.All(ctx)}
			if byUser {
				lists = nil
				for _, group := range site.groups(subject) {
					lists = append(lists, site.Group(ctx, group))
				}
			}
			for _, list := range lists {
				for found, err := range list {
					if !yield(d.named(found, site), err) || err != nil {
						return
					}
				}
			}
		}
	}
}

func (d desk) named(found session.Listed, site site) listed {
	if len(d.sites) == 1 {
		return listed{found, ""}
	}
	return listed{found, site.address}
}

// find returns the session of an ID, of whatever site. Errors: session.ErrNotFound; any other means that nobody can tell.
func (d desk) find(ctx context.Context, id session.ID) (listed, error) {
	for _, site := range d.sites {
		found, err := site.Find(ctx, id)
		if !errors.Is(err, session.ErrNotFound) {
			return d.named(found, site), err
		}
	}
	return listed{}, session.ErrNotFound
}

func newListCommand(s *settings, asJSON *bool) *cobra.Command {
	var subject string
	command := &cobra.Command{
		Use:   "list",
		Short: "List sessions",
		Long: `Lists the sessions that live: all in no order, or with --user those of one user, the newest first. What the login told is shown: who,
when, from where, and where there are several sites, at which. "Last seen" is at most a tenth of session.idle_timeout too early.

With --json it writes an array, one session a line. An array that is not closed was broken off.`,
		Example: `  authsvc sessions list
  authsvc sessions list --user 248289761001
  authsvc sessions list --json | jq -r '.[] | select(.label == "jane") | .id'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return s.atDesk(c.Context(), func(d desk) error {
				warnOfDifferences(c.ErrOrStderr(), d.replicas)
				// Lines that people read as they come need nothing else to tell that work goes on.
				told := newProgress(c.ErrOrStderr(), "sessions listed", !isTerminal(c.OutOrStdout()))
				defer told.done()
				out := bufio.NewWriter(c.OutOrStdout())
				write := newTable(out, isTerminal(c.OutOrStdout()), d.store.Now(), len(d.sites) > 1)
				if *asJSON {
					write = newArray(out)
				}
				count := 0
				for listed, err := range d.all(c.Context(), subject, c.Flags().Changed("user")) {
					if err != nil {
						return errors.Join(out.Flush(), err)
					}
					if err := write.row(listed); err != nil {
						return err
					}
					count++
					told.tell(count)
				}
				return errors.Join(write.end(), out.Flush())
			})
		},
	}
	command.Flags().StringVar(&subject, "user", "", `only the sessions of this user, the claim "sub"`)
	return command
}

func newShowCommand(s *settings, asJSON *bool) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one session",
		Long: `Shows a session by its ID, as list and the log have it. Whose it is stands on lists by user only, so all of them are
searched.`,
		Example: "  authsvc sessions show 3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError("show takes the ID of one session, as sessions list shows it: authsvc sessions show 3q2-7wAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
			}
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return s.atDesk(c.Context(), func(d desk) error {
				warnOfDifferences(c.ErrOrStderr(), d.replicas)
				listed, err := d.find(c.Context(), id)
				if errors.Is(err, session.ErrNotFound) {
					return unknownSession(id)
				}
				if err != nil {
					return err
				}
				if *asJSON {
					return writeJSON(c.OutOrStdout(), describe(listed))
				}
				return writeSession(c.OutOrStdout(), listed, d.store.Now())
			})
		},
	}
}

func unknownSession(id session.ID) error {
	return fmt.Errorf("there is no session %s; it may have ended", id)
}

func parseID(text string) (session.ID, error) {
	id, err := session.ParseID(text)
	if err != nil {
		return session.ID{}, fmt.Errorf("%q is no ID of a session: it has 43 letters, digits, - and _, as sessions list shows it", text)
	}
	return id, nil
}

// shieldIDs moves IDs that begin with a dash, as one in 64 does, to where no argument is taken for a flag.
func shieldIDs(args []string) []string {
	if !slices.Contains(args, "sessions") || slices.Contains(args, "--") {
		return args
	}
	var others, ids []string
	for _, arg := range args {
		if _, err := session.ParseID(arg); err == nil && strings.HasPrefix(arg, "-") {
			ids = append(ids, arg)
		} else {
			others = append(others, arg)
		}
	}
	if ids == nil {
		return args
	}
	return append(append(others, "--"), ids...)
}

package authsvc

import (
	"fmt"

	"authsvc/session"
)

// NewManager makes the manager of the sessions that a service of the same configuration and store serves, for commands that look at
// them from outside. The configuration has been loaded, and so validated.
func NewManager(c *Config, store Backend) (*session.Manager, error) {
	keyring, err := session.NewKeyring(c.CookieKeys())
	if err != nil {
		return nil, fmt.Errorf("cookie.secret: %w", err)
	}
	return newManager(mainSite, c, store, keyring), nil
}

func newManager(site string, c *Config, store Backend, keyring *session.Keyring) *session.Manager {
	return &session.Manager{
		Store: store, Slots: store, Index: store, Counter: store,
		MaxPerUser: c.Session.MaxPerUser, Keyring: keyring, Site: site, Now: store.Now,
		IdleTimeout: c.Session.IdleTimeout, AbsoluteTimeout: c.Session.AbsoluteTimeout,
	}
}

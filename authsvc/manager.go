package authsvc

import (
	"authsvc/session"
)

// NewManagers makes the managers of the sessions that a service of the same configuration and store serves, one for each site, the main one first, for
// commands that look at them from outside. The configuration has been loaded, and so validated.
func NewManagers(c *Config, store Backend) ([]*session.Manager, error) {
	keyring, err := newKeyring(c)
	if err != nil {
		return nil, err
	}
	return newManagers(c, store, keyring), nil
}

func newManagers(c *Config, store Backend, keyring *session.Keyring) (list []*session.Manager) {
	for name, config := range c.eachSite() {
		list = append(list, newManager(name, config, store, keyring))
	}
	return list
}

func newManager(site string, c *Config, store Backend, keyring *session.Keyring) *session.Manager {
	return &session.Manager{
		Store: store, Slots: store, Index: store, Counter: store,
		MaxPerUser: c.Session.MaxPerUser, Keyring: keyring, Site: site, Now: store.Now,
		IdleTimeout: c.Session.IdleTimeout, AbsoluteTimeout: c.Session.AbsoluteTimeout,
	}
}

package idptest

import (
	"maps"
	"slices"
)

// SetPerson adds a person or replaces the one of the same subject; the next token or userinfo answer tells it.
func (p *Provider) SetPerson(person Person) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	person.Claims = maps.Clone(person.Claims)
	for i := range p.state.people {
		if p.state.people[i].Subject == person.Subject {
			p.state.people[i] = person
			return
		}
	}
	p.state.people = append(p.state.people, person)
}

// Revoke ends the person's provider sessions, grants and tokens, as an administrator would. It tells no
// relying party; SendBackchannelLogout does.
func (p *Provider) Revoke(subject string) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	maps.DeleteFunc(p.state.sessions, func(_ string, s *session) bool { return s.subject == subject })
	for _, g := range p.state.grants {
		if g.subject == subject {
			g.revoked = true
		}
	}
	for _, c := range p.state.codes {
		if c.session.subject == subject {
			c.used = true
		}
	}
}

// SessionIDs are the sid values of the person's provider sessions, in the order in which they began.
func (p *Provider) SessionIDs(subject string) []string {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	var found []*session
	for _, s := range p.state.sessions {
		if s.subject == subject {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *session) int { return a.began - b.began })
	ids := make([]string, len(found))
	for i, s := range found {
		ids[i] = s.sid
	}
	return ids
}

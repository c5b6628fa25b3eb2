package authsvc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

const (
	// sessionsTime bounds the store operations of one look at the person's sessions, and endOthersTime those that end them.
	sessionsTime  = 2 * time.Second
	endOthersTime = 10 * time.Second
	// maxSessionsForm bounds the form that ends one, in bytes.
	maxSessionsForm = 4 << 10
)

// sessions shows people where they are signed in on GET, and ends what they choose on POST. Whoever is not signed in goes to the login and comes
// back.
func (s *Service) sessions(w http.ResponseWriter, r *http.Request) error {
	site := infoOf(r).site
	here := site.prefix + "/sessions" // a path, see logout
	post := r.Method == http.MethodPost
	if post {
		if err := site.crossOrigin.Check(r); err != nil {
			return &pageError{http.StatusForbidden, pages.Page{Kind: pages.Forbidden, Action: here}, "cross_origin", err}
		}
	}
	within := &budget{parent: context.WithoutCancel(r.Context())}
	d, _ := s.identifyBrowser(within, site, r)
	switch {
	case d.Outcome == Login && post:
		redirect(w, http.StatusSeeOther, site.startURL(site.publicURL+"/sessions"))
		return nil
	case d.Outcome == Login:
		redirect(w, http.StatusFound, site.startURL(site.publicURL+"/sessions"))
		return nil
	case d.Outcome != Allow && post:
		return endUnconfirmed(d.Err, here)
	case d.Outcome != Allow:
		return storeError(d.Err, here)
	case post:
		return s.endSessionsOf(w, r, site, *d.open(), here)
	}
	return s.showSessionsOf(w, r, site, *d.open(), here)
}

func endUnconfirmed(err error, here string) error {
	return &pageError{http.StatusServiceUnavailable, pages.Page{Kind: pages.EndUnavailable, Action: here}, "store_unavailable", err}
}

// groupOf is the group of all sessions of a session's user.
func groupOf(current session.Session) session.Group {
	return session.Group{Kind: session.KindUser, Issuer: current.Issuer, Value: current.Subject}
}

// showSessionsOf lists the sessions of a user, this one first and then the newest.
func (s *Service) showSessionsOf(w http.ResponseWriter, r *http.Request, site *site, current session.Session, here string) error {
	ctx, cancel := context.WithTimeout(r.Context(), sessionsTime)
	defer cancel()
	// On its list or not, it is here.
	own := session.Listed{ID: current.ID, Expires: current.Expires}
	own.Created, own.Address, own.UserAgent = current.Created, addressText(browserAddress(site.trusted, r)), r.UserAgent()
	page := pages.Page{Kind: pages.Sessions, End: here, Sessions: make([]pages.Session, 1)}
	for l, err := range site.sessions.Group(ctx, groupOf(current)) {
		if err != nil {
			return storeError(err, here)
		}
		if l.ID == current.ID {
			if !l.Created.IsZero() {
				own = l
			}
			continue
		}
		if page.More = len(page.Sessions) == pages.MaxSessions; page.More {
			break
		}
		page.Sessions = append(page.Sessions, sessionLine(l))
	}
	own.LastSeen = s.store.Now()
	page.Sessions[0] = sessionLine(own)
	page.Sessions[0].Current = true
	if len(page.Sessions) > 1 {
		page.Action = here
	}
	page.FormTargets = site.endSessionTargets() // where this session's button leads, as that of /logout
	s.writePage(w, r, http.StatusOK, page)
	return nil
}

func sessionLine(l session.Listed) pages.Session {
	browser, system := DescribeBrowser(l.UserAgent)
	return pages.Session{
		ID: l.ID.String(), Browser: browser, System: system, UserAgent: l.UserAgent, Address: l.Address,
		SignedIn: l.Created, LastSeen: l.LastSeen, Ends: l.Expires,
	}
}

// endSessionsOf ends one session of the user, or all others. What is not on the user's own list is left alone, and whoever asked
// for it sees the list.
func (s *Service) endSessionsOf(w http.ResponseWriter, r *http.Request, site *site, current session.Session, here string) error {
	r.Body = http.MaxBytesReader(w, r.Body, maxSessionsForm)
	others := r.ParseForm() == nil && r.PostForm.Get("others") != ""
	id, err := session.ParseID(r.PostForm.Get("session"))
	if !others && err == nil && id == current.ID {
		return s.logout(w, r)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), endOthersTime)
	defer cancel()
	ended, err := s.endNoted(ctx, site, groupOf(current), func(noted session.ID) bool { return noted != current.ID && (others || noted == id) })
	if err != nil {
		return endUnconfirmed(err, here)
	}
	s.log.Info().Str("request_id", infoOf(r).id).Int("ended", ended).Msg("signed out elsewhere")
	redirect(w, http.StatusSeeOther, here)
	return nil
}

// endNoted ends those on the lists of a group that are chosen, and returns how many were. One that cannot be ended keeps no other from being
// ended; the error tells of all. They stay on the list until somebody looks at it: a login may have put its session there that is not stored yet.
func (s *Service) endNoted(ctx context.Context, site *site, g session.Group, chosen func(session.ID) bool) (ended int, err error) {
	for _, name := range site.keyring.Names(g.Kind, site.name, g.Issuer, g.Value) {
		entries, listErr := s.store.Noted(ctx, session.IndexName{Kind: g.Kind, Hash: name})
		if listErr != nil {
			err = errors.Join(err, fmt.Errorf("sessions of %s: %w", g.Kind, listErr))
		}
		for _, entry := range entries {
			if !chosen(entry.ID) {
				continue
			}
			if _, gone := s.store.Load(ctx, entry.ID); errors.Is(gone, session.ErrNotFound) {
				continue
			}
			if endErr := site.sessions.End(ctx, entry.ID); endErr != nil {
				err = errors.Join(err, endErr)
				continue
			}
			ended++
		}
	}
	return ended, err
}

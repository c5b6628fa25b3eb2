package authsvc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

// logoutTime bounds the store operations of one logout together.
const logoutTime = 2 * time.Second

// logout asks on GET, since a picture or a prefetch must not sign anyone out, and ends the session on POST.
func (s *Service) logout(w http.ResponseWriter, r *http.Request) error {
	site := s.site.Load()
	meta, _ := site.provider.ready()
	// A path, since the page may be shown on another host than public_url's, and posts to its own origin only.
	question := pages.Page{Kind: pages.SignOut, Action: site.prefix + "/logout"}
	if meta != nil && meta.endSession != "" {
		question.FormTargets = []string{meta.endSession}
	}
	if r.Method != http.MethodPost {
		s.writePage(w, r, http.StatusOK, question)
		return nil
	}
	if err := site.crossOrigin.Check(r); err != nil {
		page := pages.Page{Kind: pages.Forbidden, Action: site.prefix + "/logout"}
		return &pageError{http.StatusForbidden, page, "cross_origin", err}
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), logoutTime)
	defer cancel()
	idToken, err := s.endSession(ctx, site, r)
	if err != nil {
		// Whoever asked to be signed out must not believe that they are.
		question.Kind = pages.LogoutUnavailable
		return &pageError{http.StatusServiceUnavailable, question, "store_unavailable", err}
	}
	site.sessionCookie.expire(w, r)
	target := site.publicURL + "/signed_out"
	if meta != nil && idToken != "" {
		if address := site.provider.endSessionURL(meta, idToken, target); address != "" {
			target = address
		}
	}
	s.log.Info().Str("request_id", infoOf(r).id).Bool("had_session", idToken != "").Msg("signed out")
	redirect(w, http.StatusSeeOther, target)
	return nil
}

// endSession deletes every session that the browser shows a genuine cookie of, and returns an ID token, by which the provider knows whom to
// sign out; "" when there is none. An error means that a session may still live.
func (s *Service) endSession(ctx context.Context, site *site, r *http.Request) (idToken string, err error) {
	shown, err := site.sessionCookie.readAll(site.keyring, site.name, r)
	if errors.Is(err, session.ErrLaterFormat) {
		return "", err
	}
	for _, token := range shown {
		// A record that cannot be read can still be deleted; only the hint is lost.
		if _, tokens, err := site.sessions.LoadWithTokens(ctx, token); err == nil && idToken == "" {
			idToken = tokens.IDToken
		}
		if err := site.sessions.End(ctx, token.ID()); err != nil {
			return "", err
		}
	}
	return idToken, nil
}

// signedOut is where a logout ends, also when it went through the provider.
func (s *Service) signedOut(w http.ResponseWriter, r *http.Request) error {
	s.writePage(w, r, http.StatusOK, pages.Page{Kind: pages.SignedOut, Action: s.site.Load().startURL("")})
	return nil
}

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
	site := infoOf(r).site
	meta, _ := site.provider.ready()
	// A path, since the page may be shown on another host than public_url's, and posts to its own origin only.
	question := pages.Page{Kind: pages.SignOut, Action: site.prefix + "/logout"}
	if meta != nil && meta.EndSession != "" {
		question.FormTargets = []string{meta.EndSession}
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
	ended, err := s.endSessions(ctx, site, r)
	if err != nil {
		// Whoever asked to be signed out must not believe that they are.
		question.Kind = pages.LogoutUnavailable
		return &pageError{http.StatusServiceUnavailable, question, "store_unavailable", err}
	}
	site.sessionCookie.expire(w, r)
	target := site.publicURL + "/signed_out"
	if meta != nil && len(ended) > 0 {
		for _, tokens := range ended {
			if err := site.provider.revoke(ctx, meta, tokens.RefreshToken); err != nil {
				s.log.Warn().Err(err).Str("request_id", infoOf(r).id).Msg("signed out, but the provider keeps the grant")
			}
		}
		if address := site.provider.endSessionURL(meta, ended[0].IDToken, target); address != "" {
			target = address
		}
	}
	s.log.Info().Str("request_id", infoOf(r).id).Bool("had_session", len(ended) > 0).Msg("signed out")
	redirect(w, http.StatusSeeOther, target)
	return nil
}

// endSessions deletes the session of each genuine cookie that the browser sent and returns the tokens of those that were there: by the ID
// token the provider knows whom to sign out. Of two cookies one may be planted, and nobody can tell which; neither must
// outlive a logout. An error means that a session may still live.
func (s *Service) endSessions(ctx context.Context, site *site, r *http.Request) ([]session.Tokens, error) {
	cookies, err := site.sessionCookie.readAll(site.keyring, site.name, r)
	switch {
	case errors.Is(err, session.ErrLaterFormat):
		return nil, err
	case err != nil:
		return nil, nil // no cookie that could open a session
	}
	var ended []session.Tokens
	var failed error
	for _, token := range cookies {
		found, tokens, err := site.sessions.LoadWithTokens(ctx, token)
		if err != nil {
			// There is none, or what it holds cannot be told: it is refused here and deleted all the same.
			failed = errors.Join(failed, site.sessions.End(ctx, token.ID()))
			continue
		}
		ended = append(ended, tokens)
		failed = errors.Join(failed, site.sessions.EndSession(ctx, found))
	}
	return ended, failed
}

// signedOut is where a logout ends, also when it went through the provider.
func (s *Service) signedOut(w http.ResponseWriter, r *http.Request) error {
	s.writePage(w, r, http.StatusOK, pages.Page{Kind: pages.SignedOut, Action: infoOf(r).site.startURL("")})
	return nil
}

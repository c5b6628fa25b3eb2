package authsvc

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"authsvc/session"
)

// refresh renews a session's tokens (RFC 6749, section 6; OpenID Connect Core 1.0, section 12) and derives its claims again: what the
// provider says now replaces what it said; see claims for what it leaves out. It is the site's session.RefreshFunc.
func (site *site) refresh(ctx context.Context, s session.Session, t session.Tokens) (session.Session, session.Tokens, error) {
	p := site.providerOf(s.Issuer)
	if p == nil {
		return s, t, fmt.Errorf("%w: the site does not have its provider any more", session.ErrRefused)
	}
	meta, err := p.ready()
	if err != nil {
		return s, t, err
	}
	renewed, token, err := p.renew(ctx, meta, s, t)
	if errors.Is(err, errKeysUnavailable) {
		// The former tokens are spent, so that these must be kept; the ID token counts as one that was not given.
		site.warn(err)
		renewed, err = nil, nil
	}
	if err != nil {
		return s, t, err
	}
	h := heard{subject: s.Subject, tokens: token, former: s.Claims}
	if renewed != nil {
		h.idToken = renewed.Claims
	} else {
		h.formerIDToken = idTokenClaims(t.IDToken)
	}
	s.Claims = site.claims(ctx, p, meta, h, site.warn)
	return s, site.kept(meta, token), nil
}

// revise asks userinfo for the claims as they are now, and returns them; those that the session has when the provider cannot tell. It is the site's
// session.ReviseFunc.
func (site *site) revise(ctx context.Context, s session.Session, t session.Tokens) map[string]any {
	p := site.providerOf(s.Issuer)
	if p == nil {
		return s.Claims
	}
	meta, err := p.ready()
	if err != nil || meta.Userinfo == "" || t.AccessToken == "" {
		return s.Claims
	}
	failed := false
	idToken := idTokenClaims(t.IDToken)
	claims := site.claims(ctx, p, meta, heard{subject: s.Subject, idToken: idToken, tokens: t, former: s.Claims, formerIDToken: idToken}, func(err error) {
		failed = true
		site.warn(err)
	})
	site.tellRevised(failed)
	if failed {
		return s.Claims
	}
	return claims
}

// renew asks the token endpoint. The ID token is nil when the provider gave no new one. Errors: session.ErrRefused when the provider
// will never renew these tokens; errKeysUnavailable when nobody can tell whether the new ID token is good, with tokens that are; then
// errProviderUnavailable and errProviderAnswer.
func (p *provider) renew(ctx context.Context, meta *metadata, s session.Session, t session.Tokens) (*verifiedID, session.Tokens, error) {
	tokens, err := p.requestTokens(ctx, meta, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.RefreshToken}})
	if isFinal(err) {
		return nil, t, fmt.Errorf("%w: %w", session.ErrRefused, err)
	}
	if err != nil {
		return nil, t, err
	}
	if tokens.RefreshToken == "" {
		tokens.RefreshToken = t.RefreshToken // section 6: the former one is good for more
	}
	renewed := tokens.IDToken
	if renewed == "" {
		tokens.IDToken = t.IDToken
		return nil, tokens, nil // section 12.2: it "might not contain an id_token"
	}
	id, err := idTokenCheck{
		keys: meta.keys, issuer: p.issuer, clientID: p.clientID, accessToken: tokens.AccessToken, now: p.now(),
		former: &s, formerIDToken: t.IDToken,
	}.verify(ctx, renewed)
	if errors.Is(err, errKeysUnavailable) {
		tokens.IDToken = t.IDToken
		return nil, tokens, err
	}
	if err != nil {
		return nil, t, err
	}
	return &id, tokens, nil
}

// isFinal reports whether the provider says that these tokens are over (RFC 6749, section 5.2): invalid_grant, or invalid_request, which Dex
// says. A client that is not accepted is the operator's mistake and ends no session, nor does what a server in trouble says.
func isFinal(err error) bool {
	answer, ok := errors.AsType[*refusal](err)
	return ok && errors.Is(err, errProviderAnswer) && (answer.code == "invalid_grant" || answer.code == "invalid_request")
}

// reportRefresh counts a refresh, and tells why one failed. A session that the provider has ended is no fault.
func (s *Service) reportRefresh(result string, err error) {
	s.metrics.refreshes.WithLabelValues(result).Inc()
	if panicked, ok := errors.AsType[*session.PanicError](err); ok {
		s.notePanic(panicked)
	}
	switch result {
	case session.RefreshFailed:
		s.log.Warn().Err(err).Msg("a session could not be refreshed; it passes on its claims, and the next try follows")
	case session.RefreshRevoked:
		s.log.Info().Err(err).Msg("the provider has ended a session")
	}
}

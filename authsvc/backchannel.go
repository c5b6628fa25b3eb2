package authsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session"
)

const (
	// maxLogoutBody bounds a back-channel request, in bytes.
	maxLogoutBody = 128 << 10
	// backchannelTime bounds the work of one back-channel logout: a user may have many sessions.
	backchannelTime = 10 * time.Second
	// strangerPause is how long the log says nothing again of what anybody may send here for the same reason, and of any beyond maxStrangerTold reasons.
	strangerPause   = time.Minute
	maxStrangerTold = 100
)

// What a logout token's jti is remembered as.
var (
	logoutPending = []byte("p")
	logoutDone    = []byte("d")
)

// How a back-channel logout ends, for the metrics.
const (
	logoutEnded       = "ended"
	logoutNothing     = "nothing" // the person had signed out already, or Redis has lost the list of their sessions
	logoutRefused     = "refused"
	logoutUnavailable = "unavailable" // the provider is asked to try again
)

// backchannelLogout ends the sessions that the provider says are over (OpenID Connect Back-Channel Logout 1.0, section 2.5). A store that does
// not answer makes the provider try again: nobody stays signed in because of it.
func (s *Service) backchannelLogout(w http.ResponseWriter, r *http.Request) {
	status, result, genuine, err := s.endByToken(w, r)
	s.metrics.backchannelLogouts.WithLabelValues(result).Inc()
	w.Header().Set("Cache-Control", "no-store")
	if err == nil {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return
	}
	level, code := zerolog.WarnLevel, "invalid_request"
	if result == logoutUnavailable {
		level, code = zerolog.ErrorLevel, "temporarily_unavailable"
		w.Header().Set("Retry-After", retryAfter)
		s.metrics.errors.WithLabelValues(infoOf(r).endpoint, result).Inc()
	}
	if genuine || s.strangersTold.due(err.Error(), time.Now()) { // the endpoint is open to everybody, and the log is not theirs to fill
		s.log.WithLevel(level).Err(err).Str("request_id", infoOf(r).id).Int("status", status).Msg("back-channel logout")
	}
	writeJSON(w, r, status, map[string]string{"error": code})
}

// endByToken also tells how it ended, and whether the token is genuine: the provider has made it, and nobody else.
func (s *Service) endByToken(w http.ResponseWriter, r *http.Request) (status int, result string, genuine bool, err error) {
	site := infoOf(r).site
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/x-www-form-urlencoded" {
		return http.StatusBadRequest, logoutRefused, false, errors.New("the content is no form")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxLogoutBody)
	if err := r.ParseForm(); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return http.StatusRequestEntityTooLarge, logoutRefused, false, err
		}
		return http.StatusBadRequest, logoutRefused, false, errors.New("the form is malformed")
	}
	if len(r.PostForm["logout_token"]) != 1 {
		return http.StatusBadRequest, logoutRefused, false, errors.New("there is not exactly one logout_token")
	}
	p := site.issuerOf(r.PostForm.Get("logout_token"))
	meta, err := p.ready()
	if err != nil {
		return http.StatusServiceUnavailable, logoutUnavailable, false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), backchannelTime)
	defer cancel()
	token, err := p.verifyLogoutToken(ctx, meta, r.PostForm.Get("logout_token"))
	if errors.Is(err, errKeysUnavailable) {
		return http.StatusServiceUnavailable, logoutUnavailable, false, err
	}
	if err != nil {
		return http.StatusBadRequest, logoutRefused, false, err
	}
	ended, err := s.endOnce(ctx, site, p, token)
	switch {
	case errors.Is(err, errLogoutToken):
		return http.StatusBadRequest, logoutRefused, true, err
	case err != nil:
		return http.StatusServiceUnavailable, logoutUnavailable, true, err
	}
	s.log.Info().Str("request_id", infoOf(r).id).Int("sessions", ended).Msg("the provider signed someone out")
	if ended == 0 {
		return http.StatusOK, logoutNothing, true, nil
	}
	return http.StatusOK, logoutEnded, true, nil
}

// issuerOf returns the provider that a token says it is of, which its verification has to confirm. One that says nothing, or names
// none of them, is for any of them to refuse.
func (site *site) issuerOf(token string) *provider {
	if looksLikeJWS(token) {
		if claims, err := payloadOf(token); err == nil {
			if issuer, _ := claims["iss"].(string); issuer != "" {
				return cmp.Or(site.providerOf(issuer), site.providers[0])
			}
		}
	}
	return site.providers[0]
}

// endOnce ends the sessions that a token names, unless it was seen before, by any replica. One whose work could not be finished may
// come again. A store that is full takes no claim, but deletes: then it is not known whether the token was seen before, and the sessions end all the same.
func (s *Service) endOnce(ctx context.Context, site *site, p *provider, token logoutToken) (ended int, err error) {
	name := session.SlotName{Kind: "jti", Hash: hashOf([]byte(site.name), []byte(p.issuer), []byte(token.id))}
	life := token.expires.Sub(s.store.Now())
	held, claimed, unclaimed := s.store.Claim(ctx, name, logoutPending, life)
	if unclaimed == nil && !claimed && string(held) == string(logoutDone) {
		return 0, fmt.Errorf("%w: it was used before", errLogoutToken)
	}
	failures := []error{unclaimed}
	for _, group := range token.groups {
		n, err := site.sessions.EndGroup(ctx, group)
		ended, failures = ended+n, append(failures, err)
	}
	if err := errors.Join(failures...); err != nil {
		return ended, err
	}
	finished, err := s.store.Replace(ctx, name, logoutPending, logoutDone, life)
	if err == nil && !finished {
		err = fmt.Errorf("%w: it was used at the same time", errLogoutToken)
	}
	return ended, err
}

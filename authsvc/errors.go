package authsvc

import (
	"errors"
	"net/http"

	"github.com/rs/zerolog"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

// pageError is how a handler refuses a person: the status and page that they see, and the word
// and the cause that the operator sees. Handlers return it; Service.page writes and logs it, once.
type pageError struct {
	Status int
	Page   pages.Page // its RequestID is filled in when it is written
	Reason string     // a word from a fixed list
	Err    error      // the cause; may be nil
}

func (e *pageError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

func (e *pageError) Unwrap() error { return e.Err }

// storeError is the refusal of a login or logout that the store could not serve.
func storeError(err error, again string) error {
	return &pageError{http.StatusServiceUnavailable, pages.Page{Kind: pages.StoreUnavailable, Action: again}, "store_unavailable", err}
}

// laterFormat is the refusal of a login whose cookie or state only a later release can read: another replica may.
func laterFormat(err error, again string) error {
	return &pageError{http.StatusServiceUnavailable, pages.Page{Kind: pages.StoreUnavailable, Action: again}, "later_format", err}
}

// providerError is the refusal of a login that the provider did not finish, by the class of the error.
func providerError(err error, again string) error {
	switch {
	case errors.Is(err, errProviderUnavailable), errors.Is(err, errKeysUnavailable):
		return &pageError{http.StatusServiceUnavailable, pages.Page{Kind: pages.ProviderUnavailable, Action: again}, "provider_unavailable", err}
	default:
		return &pageError{http.StatusBadGateway, pages.Page{Kind: pages.ProviderError, Action: again}, "provider_answer", err}
	}
}

// isGone reports whether a session's error says that there is no such session. Anything else that is an
// error says that nobody can tell.
func isGone(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrCorrupt)
}

// handler answers a request, or returns why it did not.
type handler func(w http.ResponseWriter, r *http.Request) error

// page makes an endpoint of a handler: it writes the page of the error, logs it, and counts it if it is no fault of who asked. What the person did or the
// provider decided is information; what keeps people out is a warning or an error.
func (s *Service) page(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		refusal, ok := errors.AsType[*pageError](err)
		if !ok {
			refusal = &pageError{http.StatusInternalServerError, pages.Page{Kind: pages.Internal}, "internal", err}
		}
		level := zerolog.InfoLevel
		switch {
		case refusal.Status == http.StatusBadGateway:
			level = zerolog.WarnLevel
		case refusal.Status >= 500:
			level = zerolog.ErrorLevel
		}
		info := infoOf(r)
		if refusal.Status >= 500 {
			s.metrics.errors.WithLabelValues(info.endpoint, refusal.Reason).Inc()
		}
		s.log.WithLevel(level).Err(refusal.Err).Str("request_id", info.id).
			Str("endpoint", info.endpoint).Int("status", refusal.Status).Str("reason", refusal.Reason).Msg("refused")
		s.writePage(w, r, refusal.Status, refusal.Page)
	}
}

func (s *Service) writePage(w http.ResponseWriter, r *http.Request, status int, p pages.Page) {
	p.RequestID = infoOf(r).id
	if err := pages.Write(w, r, status, p); err != nil {
		s.log.Error().Err(err).Str("request_id", p.RequestID).Msg("page")
	}
}

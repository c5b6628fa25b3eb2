package authsvc

import (
	"context"
	"net/http"
	"time"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

// panicPause is how long after a panic work in the background begins again.
const panicPause = 5 * time.Second

// answerPanic answers a panic with 503 where a gateway asks, and with a page elsewhere. Nobody passes by one.
func (s *Service) answerPanic(w http.ResponseWriter, r *http.Request, info requestInfo, cause any) {
	if cause == http.ErrAbortHandler {
		panic(cause) // net/http's own way to drop a connection
	}
	panicked := session.Panicked(cause)
	s.metrics.panics.Inc()
	s.log.Error().Err(panicked).Str("request_id", info.id).Str("endpoint", info.endpoint).Bytes("stack", panicked.Stack).Msg("panic")
	if dialect, ok := dialects[info.endpoint]; ok {
		s.metrics.decisions.total.WithLabelValues(Unavailable.String(), "panic").Inc()
		s.answer(w, r, info, dialect, s.sites.Load().main, decision{Reason: "panic"}, asked{})
		return
	}
	s.metrics.errors.WithLabelValues(info.endpoint, "panic").Inc()
	r = info.with(r)
	s.writePage(w, r, http.StatusInternalServerError, s.homePage(r, pages.Internal))
}

// guarded answers a panic of an endpoint of the admin listener.
func (s *Service) guarded(endpoint string, handle http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if cause := recover(); cause != nil {
				s.answerPanic(w, r, requestInfo{endpoint: endpoint}, cause)
			}
		}()
		handle(w, r)
	}
}

// notePanic counts and tells a panic in the background.
func (s *Service) notePanic(err error) {
	s.metrics.panics.Inc()
	s.log.Error().Err(err).Bytes("stack", session.Panicked(err).Stack).Msg("panic in the background")
}

// Keep does work that goes on beside requests, until it returns. It shall do so when ctx ends. A panic of it is counted and told, and it begins anew
// after a pause.
func (s *Service) Keep(ctx context.Context, work func(context.Context)) {
	for ctx.Err() == nil {
		err := session.Catch(func() error { work(ctx); return nil })
		if err == nil {
			return
		}
		s.notePanic(err)
		select {
		case <-ctx.Done():
		case <-time.After(panicPause):
		}
	}
}

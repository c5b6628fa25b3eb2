package idptest

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// Slow answers honestly after the delay, or not at all when the client has gone.
func Slow(delay time.Duration) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Hang never answers; the connection stays open until the client or the provider closes it.
func Hang() Interceptor {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// Hold stops each request before its endpoint until release is closed, then answers honestly.
func Hold(release <-chan struct{}) Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-release:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}
}

// Answer sends this status, media type and body.
func Answer(status int, contentType, body string) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

// Status sends an HTML page with this status, as a proxy in front of a broken provider does.
func Status(status int) Interceptor {
	return Answer(status, "text/html", "<html><body><h1>"+http.StatusText(status)+"</h1></body></html>")
}

// OAuthError sends an error answer of RFC 6749 section 5.2 with status 400.
func OAuthError(code string) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		writeJSON(w, http.StatusBadRequest, map[string]any{"error": code, "error_description": "as the test wanted"})
	}
}

// Garbage sends status 200 and JSON in name only.
func Garbage() Interceptor {
	return Answer(http.StatusOK, "application/json", "\x00\xff{]garbage")
}

// Endless sends JSON that never ends, until the client has had enough.
func Endless() Interceptor {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", "application/json")
		if _, err := fmt.Fprint(w, `{"padding":"`); err != nil {
			return
		}
		chunk := bytes.Repeat([]byte("x"), 64<<10)
		for r.Context().Err() == nil {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
}

// Truncated sends the first half of the honest answer as if it were all of it.
func Truncated() Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		status, header, body := capture(r, next)
		copyHeader(w.Header(), header)
		w.WriteHeader(status)
		w.Write(body[:len(body)/2])
	}
}

// CutOff announces the honest answer's length, sends half of it and closes the connection.
func CutOff() Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		status, header, body := capture(r, next)
		copyHeader(w.Header(), header)
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(status)
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Close closes the connection without an answer; the endpoint does not see the request.
func Close() Interceptor {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// LoseAnswer lets the endpoint do its work and closes the connection in place of the answer.
func LoseAnswer() Interceptor {
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		capture(r, next)
		panic(http.ErrAbortHandler)
	}
}

// Redirect sends the client elsewhere with status 307, which repeats method and body.
func Redirect(target string) Interceptor {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// Times misbehaves for the first n requests and is honest afterwards.
func Times(n int, interceptor Interceptor) Interceptor {
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		select {
		case <-left:
			interceptor(w, r, next)
		default:
			next.ServeHTTP(w, r)
		}
	}
}

// memoryWriter keeps an answer; net/http/httptest would bring its flag into the demo.
type memoryWriter struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (m *memoryWriter) Header() http.Header         { return m.header }
func (m *memoryWriter) Write(b []byte) (int, error) { return m.body.Write(b) }
func (m *memoryWriter) WriteHeader(status int)      { m.status = status }

func capture(r *http.Request, next http.Handler) (int, http.Header, []byte) {
	kept := &memoryWriter{status: http.StatusOK, header: http.Header{}}
	next.ServeHTTP(kept, r)
	return kept.status, kept.header, kept.body.Bytes()
}

func copyHeader(to, from http.Header) {
	for name, values := range from {
		to[name] = values
	}
	to.Del("Content-Length")
}

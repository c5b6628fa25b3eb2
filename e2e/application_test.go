package e2e

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// application is the protected site. It knows nothing of signing in: it reads headers and says what it read.
type application struct {
	*httptest.Server
}

// identity is what the application knows of a request.
type identity struct {
	User, Email, Groups string
	Path                string // with its query
	Cookie              string
}

func newApplication(t *testing.T) *application {
	a := &application{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

// ServeHTTP answers with JSON, and below /page/ with a page for people.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	who := identity{
		User: r.Header.Get("X-Auth-Request-User"), Email: r.Header.Get("X-Auth-Request-Email"),
		Groups: r.Header.Get("X-Auth-Request-Groups"), Path: r.RequestURI, Cookie: r.Header.Get("Cookie"),
	}
	if strings.HasPrefix(r.URL.Path, "/page/") {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<!doctype html><title>Application</title><p id="user">%s</p><p id="path">%s</p><a id="leave" href="/logout">Sign out</a>`,
			html.EscapeString(who.User), html.EscapeString(who.Path))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(who) // an error means that the client has gone
}

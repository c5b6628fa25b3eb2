package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// view is what the application knows about a request: what nginx told it, and what is in Redis.
type view struct {
	User     string   `json:"user"`
	Name     string   `json:"preferred_username"`
	Email    string   `json:"email"`
	Groups   []string `json:"groups"`
	Replica  int      `json:"replica"` // the number of the one that gave the verdict; 0: not one of ours
	Replicas []status `json:"replicas"`
	Records  int      `json:"records"` // of all browsers together
}

type status struct {
	Number  int  `json:"number"`
	PID     int  `json:"pid"`
	Running bool `json:"running"`
}

// application is the site behind nginx. It does nothing about sign-in: it reads headers.
func (c *chain) application() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.look(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "no-store")
		// No form-action: Chromium applies it to the redirects after a form too, and sign-out passes by
		// the provider.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'")
		page.Execute(w, v) // an error means that the browser has gone
	})
	mux.HandleFunc("GET /whoami.json", func(w http.ResponseWriter, r *http.Request) {
		v, err := c.look(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		json.NewEncoder(w).Encode(v) // as above
	})
	return mux
}

func (c *chain) look(r *http.Request) (view, error) {
	records, err := c.records(r.Context())
	if err != nil {
		return view{}, err
	}
	v := view{
		User:    r.Header.Get("X-Auth-Request-User"),
		Name:    r.Header.Get("X-Auth-Request-Preferred-Username"),
		Email:   r.Header.Get("X-Auth-Request-Email"),
		Records: records,
	}
	if groups := r.Header.Get("X-Auth-Request-Groups"); groups != "" {
		v.Groups = strings.Split(groups, ",")
	}
	// Where nginx asked more than one, the last gave the verdict.
	asked := strings.Split(r.Header.Get(answeredBy), ", ")
	for i, replica := range c.replicas {
		if replica.address == asked[len(asked)-1] {
			v.Replica = i + 1
		}
		v.Replicas = append(v.Replicas, status{i + 1, replica.pid(), replica.running()})
	}
	return v, nil
}

// Who is what the page calls the person.
func (v view) Who() string {
	if v.Name != "" {
		return v.Name
	}
	return v.User
}

// InGroups tells the groups in one line.
func (v view) InGroups() string {
	if len(v.Groups) == 0 {
		return "no group"
	}
	return strings.Join(v.Groups, ", ")
}

// HowMany counts the records as one says it.
func (v view) HowMany() string {
	if v.Records == 1 {
		return "1 session record"
	}
	return fmt.Sprintf("%d session records", v.Records)
}

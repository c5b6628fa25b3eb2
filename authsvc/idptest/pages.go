package idptest

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

const style = `
:root{color-scheme:light dark}
body{font:1.125rem/1.5 system-ui,sans-serif;max-width:26rem;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.5rem;margin:0 0 1rem}
form{display:grid;gap:.75rem}
button{font:inherit;text-align:left;padding:.75rem 1rem;border:2px solid #3b6fd4;border-radius:.5rem;background:transparent;color:inherit;cursor:pointer}
button:hover,button:focus-visible{outline:3px solid #3b6fd4;outline-offset:2px}
small{display:block;opacity:.8}
`

const submitScript = `document.forms[0].submit()`

// policy allows this page's own style and script and nothing else. There is no form-action: browsers
// apply it to the redirects that follow a form too, and those lead to the relying party and on from there.
func policy(script string) string {
	text := "default-src 'none'; style-src '" + hashOf(style) + "'; base-uri 'none'; frame-ancestors 'none'"
	if script != "" {
		text += "; script-src '" + hashOf(script) + "'"
	}
	return text
}

func hashOf(inline string) string {
	digest := sha256.Sum256([]byte(inline))
	return "sha256-" + base64.StdEncoding.EncodeToString(digest[:])
}

var pages = template.Must(template.New("").Parse(`
{{define "top"}}<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><style>` + style + `</style></head><body><main><h1>{{.Title}}</h1>{{end}}
{{define "signin"}}{{template "top" .}}
<form method="post" action="{{.Action}}">
<input type="hidden" name="request" value="{{.Request}}">
{{range $i, $person := .People}}<button name="subject" value="{{.Subject}}"{{if not $i}} autofocus{{end}}>{{.Shown}}<small>{{.Groups}}</small></button>
{{end}}</form>
<p><a href="{{.Action}}?cancel=yes&amp;request={{.Request}}">Cancel</a></p></main></body></html>{{end}}
{{define "formpost"}}{{template "top" .}}
<form method="post" action="{{.Action}}">
{{range $name, $all := .Values}}{{range $all}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button>Go on</button></form></main><script>` + submitScript + `</script></body></html>{{end}}
{{define "signout"}}{{template "top" .}}
<form method="post" action="{{.Action}}">
{{range $name, $all := .Values}}{{range $all}}<input type="hidden" name="{{$name}}" value="{{.}}">
{{end}}{{end}}<button name="confirm" value="yes" autofocus>Sign out</button></form></main></body></html>{{end}}
{{define "message"}}{{template "top" .}}<p>{{.Text}}</p></main></body></html>{{end}}
`))

func writePage(w http.ResponseWriter, status int, name, script string, data map[string]any) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", policy(script))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // no-referrer would make a form's Origin "null"
	w.WriteHeader(status)
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		panic(http.ErrAbortHandler) // the client is gone; the templates are tested
	}
}

func (p *Provider) signInPage(w http.ResponseWriter, a *authorization) {
	type choice struct{ Subject, Shown, Groups string }
	var choices []choice
	p.state.mu.Lock()
	for _, person := range p.state.people {
		shown := person.Subject
		for _, name := range []string{person.Name, person.PreferredUsername} {
			if name != "" {
				shown = name
			}
		}
		groups := "no group"
		if len(person.Groups) > 0 {
			groups = strings.Join(person.Groups, ", ")
		}
		choices = append(choices, choice{person.Subject, shown, groups})
	}
	p.state.mu.Unlock()
	writePage(w, http.StatusOK, "signin", "", map[string]any{
		"Title": "Sign in as", "Action": p.prefix + "/signin", "Request": a.parameters, "People": choices,
	})
}

func (p *Provider) formPostPage(w http.ResponseWriter, target string, values url.Values) {
	writePage(w, http.StatusOK, "formpost", submitScript, map[string]any{
		"Title": "One moment", "Action": target, "Values": values,
	})
}

func (p *Provider) signOutPage(w http.ResponseWriter, values url.Values) {
	writePage(w, http.StatusOK, "signout", "", map[string]any{
		"Title": "Sign out?", "Action": p.prefix + "/end_session", "Values": values,
	})
}

func (p *Provider) errorPage(w http.ResponseWriter, text string) {
	writePage(w, http.StatusBadRequest, "message", "", map[string]any{"Title": "That did not work", "Text": text})
}

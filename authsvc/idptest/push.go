package idptest

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"time"
)

// PushPolicy says whether authorization requests may or must be pushed (RFC 9126).
type PushPolicy int

const (
	PushNever    PushPolicy = iota // there is no endpoint for it
	PushOffered                    // they may
	PushRequired                   // no others are taken
)

// pushedLife is how long a pushed request waits for its browser.
const pushedLife = time.Minute

const requestURIPrefix = "urn:ietf:params:oauth:request_uri:"

// pushed is an authorization request that a client has handed in.
type pushed struct {
	client  *Client
	request url.Values
	expires time.Time
}

// servePush takes an authorization request from a client (RFC 9126 section 2).
func (p *Provider) servePush(w http.ResponseWriter, r *http.Request) {
	form, client, refusal := p.clientRequest(r)
	if refusal == nil && form.Has("request_uri") {
		refusal = refuse("invalid_request", "request_uri cannot be pushed")
	}
	if refusal == nil && form.Get("client_id") != client.ID {
		refusal = refuse("invalid_request", "client_id is missing")
	}
	if refusal == nil {
		for _, name := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
			form.Del(name)
		}
		_, refusal = p.parseAuthorization(form)
	}
	if refusal != nil {
		p.refuseClient(w, r, refusal)
		return
	}
	uri := requestURIPrefix + rand.Text()
	p.state.mu.Lock()
	p.state.pushed[uri] = pushed{client, form, p.options.Now().Add(pushedLife)}
	p.state.mu.Unlock()
	writeJSON(w, http.StatusCreated, map[string]any{"request_uri": uri, "expires_in": int(pushedLife.Seconds())})
}

// takePushed puts the request that was pushed in the place of one that names it, once (RFC 9126 section 4). A request that names none is
// left as it is, unless it has to be pushed.
func (p *Provider) takePushed(v url.Values) (url.Values, *oauthError) {
	if p.options.Push == PushNever {
		return v, nil
	}
	if !v.Has("request_uri") {
		if p.options.Push == PushRequired {
			return nil, refuse("invalid_request", "requests must be pushed here")
		}
		return v, nil
	}
	if len(v) != 2 || twice(v) != "" {
		return nil, refuse("invalid_request", "beside request_uri belongs client_id and nothing else")
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	found, known := p.state.pushed[v.Get("request_uri")]
	delete(p.state.pushed, v.Get("request_uri"))
	if !known || found.client.ID != v.Get("client_id") || p.options.Now().After(found.expires) {
		return nil, refuse("invalid_request_uri", "this request_uri is unknown, used or too old")
	}
	return found.request, nil
}

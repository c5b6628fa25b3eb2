package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"authsvc/authsvc/idptest"
)

// personHeader tells the provider who sits at the browser.
const personHeader = "X-Person"

const clientID = "app"

// longLife is the life of tokens that shall not fall due any more.
const longLife = time.Hour

// provider is the embedded OpenID Connect provider, which rotates refresh tokens and revokes the family when an old one comes again. A
// scenario says how long its tokens live, and what becomes of a refresh.
type provider struct {
	*idptest.Provider
	life atomic.Int64 // expires_in of the tokens that it gives from now on, in seconds
	held atomic.Int64 // refreshes whose answer is held back now

	mu   sync.Mutex
	lost map[string]bool // subjects whose tokens were rotated, and whose asker went away before the answer
}

// startProvider serves the provider in this process.
func (r *rig) startProvider(secret string, names []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("a port for the provider: %w", err)
	}
	o := idptest.Options{
		Issuer: "http://" + listener.Addr().String(),
		Clients: []idptest.Client{{
			ID: clientID, Secret: secret, RedirectURIs: []string{r.url + "/callback"},
			PostLogoutRedirectURIs: []string{r.url + "/signed_out"}, BackchannelLogoutURI: r.url + "/backchannel-logout",
		}},
		SignIn:    func(r *http.Request) string { return r.Header.Get(personHeader) },
		Algorithm: "ES256", // two signatures per grant; RSA would make them the most expensive part
	}
	for _, name := range names {
		o.People = append(o.People, idptest.Person{Subject: name, PreferredUsername: name, Email: name + "@example.com", EmailVerified: true, Groups: []string{"staff"}})
	}
	twin, err := idptest.New(o)
	if err != nil {
		listener.Close()
		return err
	}
	r.provider = &provider{Provider: twin}
	r.provider.honest()
	twin.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = r.provider.life.Load() })
	r.serve(listener, twin)
	return nil
}

// tokensLive says how long tokens live that are given from now on: whole seconds.
func (p *provider) tokensLive(d time.Duration) { p.life.Store(int64(d / time.Second)) }

// honest ends what a scenario asked for.
func (p *provider) honest() {
	p.Intercept(idptest.Token, nil)
	p.tokensLive(longLife)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = map[string]bool{}
}

// Kinds of grants.
const (
	loginGrant   = "authorization_code"
	refreshGrant = "refresh_token"
)

// onRefresh gives refreshes to the interceptor; logins go on as ever.
func (p *provider) onRefresh(intercept func(w http.ResponseWriter, r *http.Request, next http.Handler, refreshToken string)) {
	p.onGrant(refreshGrant, intercept)
}

// onGrant gives one kind of grant to the interceptor; the other goes on as ever.
func (p *provider) onGrant(kind string, intercept func(w http.ResponseWriter, r *http.Request, next http.Handler, refreshToken string)) {
	p.Intercept(idptest.Token, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the asker has gone
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, err := url.ParseQuery(string(body))
		if err != nil || form.Get("grant_type") != kind {
			next.ServeHTTP(w, r)
			return
		}
		intercept(w, r, next, form.Get("refresh_token"))
	})
}

// answersAfter makes refreshes take that long; the rotation comes first, so that an answer that nobody takes is a session that is lost.
func (p *provider) answersAfter(delay time.Duration) {
	p.onRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		ctx, cancel := context.WithTimeout(r.Context(), delay)
		defer cancel()
		p.rotateAndHold(w, r, next, ctx.Done())
	})
}

// rotateAndHold rotates at once and gives the answer when release is closed.
func (p *provider) rotateAndHold(w http.ResponseWriter, r *http.Request, next http.Handler, release <-chan struct{}) {
	p.rotateThen(w, r, next, release, func(answerOfToken) {})
}

// rotateThen is rotateAndHold, and tells of the answer as soon as there is one.
func (p *provider) rotateThen(w http.ResponseWriter, r *http.Request, next http.Handler, release <-chan struct{}, rotated func(answerOfToken)) {
	kept := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(kept, r)
	tokens := kept.tokens()
	rotated(tokens)
	p.hold(r, release)
	if r.Context().Err() != nil {
		if kept.status == http.StatusOK {
			p.mu.Lock()
			p.lost[tokens.subject()] = true
			p.mu.Unlock()
		}
		return
	}
	maps.Copy(w.Header(), kept.header)
	w.WriteHeader(kept.status)
	w.Write(kept.body.Bytes()) // an error means that the asker has gone; its session then shows it
}

// withRefreshToken is the request with another refresh token.
func withRefreshToken(r *http.Request, token string) *http.Request {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return r
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return r
	}
	form.Set("refresh_token", token)
	changed := r.Clone(r.Context())
	changed.Body = io.NopCloser(strings.NewReader(form.Encode()))
	return changed
}

// hold waits for release, or until the asker has gone.
func (p *provider) hold(r *http.Request, release <-chan struct{}) {
	p.held.Add(1)
	defer p.held.Add(-1)
	select {
	case <-release:
	case <-r.Context().Done():
	}
}

// whoLost returns the subjects whose answer nobody took.
func (p *provider) whoLost() map[string]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.lost)
}

// keptAnswer keeps an answer until it is time to give it.
type keptAnswer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) Write(b []byte) (int, error) { return k.body.Write(b) }
func (k *keptAnswer) WriteHeader(status int)      { k.status = status }

// answerOfToken is what the flagship reads of a token endpoint's answer; zero for an error.
type answerOfToken struct {
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

func (k *keptAnswer) tokens() (t answerOfToken) {
	if json.Unmarshal(k.body.Bytes(), &t) != nil {
		return answerOfToken{}
	}
	return t
}

// subject is whom the ID token is about.
func (t answerOfToken) subject() string {
	var claims struct {
		Subject string `json:"sub"`
	}
	parts := strings.Split(t.IDToken, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return ""
	}
	return claims.Subject
}

package rig

import (
	"bytes"
	"context"
	"crypto/tls"
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

// ClientID is the rig's name at the provider.
const ClientID = "app"

// LongLife is the life of tokens that shall not fall due any more.
const LongLife = time.Hour

// Provider is the embedded OpenID Connect provider, which rotates refresh tokens and revokes the family when an old one comes again. A
// scenario says how long its tokens live, and what becomes of a refresh.
type Provider struct {
	*idptest.Provider
	life atomic.Int64 // expires_in of the tokens that it gives from now on, in seconds
	Held atomic.Int64 // refreshes whose answer is held back now

	mu   sync.Mutex
	lost map[string]bool // subjects whose tokens were rotated, and whose asker went away before the answer
}

// StartProvider serves the provider in this process. names are its people, by subject.
func (r *Rig) StartProvider(names []string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("a port for the provider: %w", err)
	}
	address := listener.Addr().String()
	front := address
	if r.Front != nil {
		if front, err = r.Front(address); err != nil {
			listener.Close()
			return err
		}
		r.detours[front] = address
	}
	scheme := "http://"
	if r.ProviderTLS != nil {
		scheme, listener = "https://", tls.NewListener(listener, r.ProviderTLS)
	}
	o := idptest.Options{
		Issuer: scheme + front,
		Clients: []idptest.Client{{
			ID: ClientID, Secret: r.secret, RedirectURIs: []string{r.URL + "/callback"},
			PostLogoutRedirectURIs: []string{r.URL + "/signed_out"}, BackchannelLogoutURI: r.URL + "/backchannel-logout",
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
	r.Provider = &Provider{Provider: twin}
	r.Provider.Honest()
	r.Serve(listener, twin)
	return nil
}

// TokensLive says how long tokens live that are given from now on: whole seconds.
func (p *Provider) TokensLive(d time.Duration) { p.life.Store(int64(d / time.Second)) }

// Honest ends what a scenario asked for.
func (p *Provider) Honest() {
	p.BeHonest()
	p.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = p.life.Load() })
	p.TokensLive(LongLife)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = map[string]bool{}
}

// Kinds of grants.
const (
	LoginGrant   = "authorization_code"
	RefreshGrant = "refresh_token"
)

// OnRefresh gives refreshes to the interceptor; logins go on as ever.
func (p *Provider) OnRefresh(intercept func(w http.ResponseWriter, r *http.Request, next http.Handler, refreshToken string)) {
	p.OnGrant(RefreshGrant, intercept)
}

// OnGrant gives one kind of grant to the interceptor; the other goes on as ever.
func (p *Provider) OnGrant(kind string, intercept func(w http.ResponseWriter, r *http.Request, next http.Handler, refreshToken string)) {
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

// AnswersAfter makes refreshes take that long; the rotation comes first, so that an answer that nobody takes is a session that is lost.
func (p *Provider) AnswersAfter(delay time.Duration) {
	p.OnRefresh(func(w http.ResponseWriter, r *http.Request, next http.Handler, _ string) {
		ctx, cancel := context.WithTimeout(r.Context(), delay)
		defer cancel()
		p.RotateAndHold(w, r, next, ctx.Done())
	})
}

// RotateAndHold rotates at once and gives the answer when release is closed.
func (p *Provider) RotateAndHold(w http.ResponseWriter, r *http.Request, next http.Handler, release <-chan struct{}) {
	p.RotateThen(w, r, next, release, func(TokenAnswer) {})
}

// RotateThen is RotateAndHold, and tells of the answer as soon as there is one.
func (p *Provider) RotateThen(w http.ResponseWriter, r *http.Request, next http.Handler, release <-chan struct{}, rotated func(TokenAnswer)) {
	kept := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(kept, r)
	tokens := kept.tokens()
	rotated(tokens)
	p.Hold(r, release)
	if r.Context().Err() != nil {
		if kept.status == http.StatusOK {
			p.mu.Lock()
			p.lost[tokens.Subject()] = true
			p.mu.Unlock()
		}
		return
	}
	maps.Copy(w.Header(), kept.header)
	w.WriteHeader(kept.status)
	w.Write(kept.body.Bytes()) // an error means that the asker has gone; its session then shows it
}

// WithRefreshToken is the request with another refresh token.
func WithRefreshToken(r *http.Request, token string) *http.Request {
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

// Hold waits for release, or until the asker has gone.
func (p *Provider) Hold(r *http.Request, release <-chan struct{}) {
	p.Held.Add(1)
	defer p.Held.Add(-1)
	select {
	case <-release:
	case <-r.Context().Done():
	}
}

// WhoLost returns the subjects whose answer nobody took.
func (p *Provider) WhoLost() map[string]bool {
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

// TokenAnswer is what a scenario reads of a token endpoint's answer; zero for an error.
type TokenAnswer struct {
	RefreshToken string `json:"refresh_token"`
	IDToken      string `json:"id_token"`
}

func (k *keptAnswer) tokens() (t TokenAnswer) {
	if json.Unmarshal(k.body.Bytes(), &t) != nil {
		return TokenAnswer{}
	}
	return t
}

// Subject is whom the ID token is about.
func (t TokenAnswer) Subject() string {
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

// EndAll tells the replica, by a back-channel logout, that the provider has ended all sessions of the person.
func (r *Rig) EndAll(ctx context.Context, person string, at *Replica) (Answer, error) {
	form := url.Values{"logout_token": {r.Provider.LogoutToken(ClientID, person, "", nil)}}
	return r.Send(ctx, http.MethodPost, "http://"+at.Address+"/backchannel-logout", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form.Encode())
}

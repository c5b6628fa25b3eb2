package e2e

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// canaries are texts that must stay where they belong, by what they are.
type canaries struct {
	mu    sync.Mutex
	texts map[string]string
}

// add keeps a secret that a text carries, and what it looks like elsewhere.
func (c *canaries) add(kind, text string) {
	if len(text) < 8 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.texts[text] = kind
	c.texts[url.QueryEscape(text)] = kind
	c.texts[base64.StdEncoding.EncodeToString([]byte(text))] = kind
}

// found returns the kinds of canaries of which a text holds any part of 24 characters, or all of a shorter one.
func (c *canaries) found(text string, except ...string) map[string]string {
	const window = 24
	c.mu.Lock()
	defer c.mu.Unlock()
	hits := map[string]string{}
	for canary, kind := range c.texts {
		for from := 0; from < len(canary); from += window / 2 {
			part := canary[from:min(from+window, len(canary))]
			if len(part) < window && from > 0 {
				break
			}
			if strings.Contains(text, part) {
				hits[kind] = part
			}
		}
	}
	for _, kind := range except {
		delete(hits, kind)
	}
	return hits
}

// watcher is a transport that looks at everything that the service sends to browsers.
type watcher struct {
	http.RoundTripper
	s *stack
	c *canaries

	mu    sync.Mutex
	leaks []string
}

func (w *watcher) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := w.RoundTripper.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	// What the browser is given or sends is a secret from then on.
	for _, c := range response.Cookies() {
		w.c.add("cookie", c.Value)
	}
	location := (reply{header: response.Header}).next()
	if u, err := url.Parse(location); err == nil {
		w.c.add("state", u.Query().Get("state"))
		w.c.add("code", u.Query().Get("code"))
	}
	if strings.HasPrefix(request.URL.String(), w.s.provider.Issuer()) {
		return response, nil
	}
	var except []string
	switch {
	case strings.HasPrefix(location, w.s.provider.Issuer()+"/authorize?"):
		except = []string{"state"}
	case strings.HasPrefix(location, w.s.provider.Issuer()+"/end_session?"):
		except = []string{"ID token"}
	case strings.HasPrefix(location, w.s.url+"/start?"), strings.HasPrefix(strings.TrimPrefix(location, w.s.url), "/reset?"):
		except = []string{"return address"}
	}
	w.note(w.c.found(location, except...), "way on from "+request.URL.Path)
	header := response.Header.Clone()
	header.Del("Location")
	header.Del("Refresh")
	header.Del("Set-Cookie")
	header.Del("X-Auth-Login-Url")
	w.note(w.c.found(fmt.Sprint(header)), "headers of "+request.URL.Path)
	return response, nil
}

func (w *watcher) note(hits map[string]string, where string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for kind, part := range hits {
		w.leaks = append(w.leaks, fmt.Sprintf("%s in the %s: %s", kind, where, part))
	}
}

// signatureOf returns the part of a JWT that no other one shares, or all of another token.
func signatureOf(token string) string { return token[strings.LastIndex(token, ".")+1:] }

// nothingLeaks is Q43: it lives through everything that can happen with canaries for all that is secret or personal, and looks for them in all that
// the service writes.
func nothingLeaks(t *testing.T, _ *stack) {
	const password, mail, returnTo = "redis-password-canary-5kX", "canary.person@secret-mail.example", "/reset?token=return-canary-Zr81-and-more"
	c := &canaries{texts: map[string]string{}}
	people := person("alice")
	people.Email, people.Name = mail, "Canary Name-of-Alice"
	s := newStack(t, options{
		redis: []string{"--requirepass", password},
		storeURL: func(r *storetest.Server) string {
			return strings.Replace(r.URL, "redis://", "redis://:"+password+"@", 1)
		},
		settings: map[string]string{"log.level": "debug", "headers": `{"X-Auth-Request-Access-Token":"@access_token"}`},
		provider: func(o *idptest.Options) { o.People = []idptest.Person{people, person("bob")} },
	})
	// Nothing of an HTTP log of the test's own must be taken for a leak: canaries are added before they are used.
	c.add("client secret", clientSecret)
	c.add("cookie secret", s.settings["cookie.secret"])
	c.add("Redis password", password)
	c.add("e-mail address", mail)
	c.add("e-mail address", "bob@example.com")
	c.add("name", people.Name)
	c.add("return address", "return-canary-Zr81-and-more")
	s.provider.EditTokenResponse(func(answer map[string]any) {
		for name, kind := range map[string]string{"access_token": "access token", "refresh_token": "refresh token", "id_token": "ID token"} {
			text, _ := answer[name].(string)
			c.add(kind, signatureOf(text))
		}
	})
	w := &watcher{RoundTripper: transport, s: s, c: c}
	browse := func(person string) *visitor {
		v := s.visitor(person)
		v.client.Transport = w
		return v
	}
	bodies := &strings.Builder{}
	see := func(answer reply, err error) {
		t.Helper()
		check(t, err)
		if answer.status >= 300 || strings.HasPrefix(answer.url.Path, "/s") { // a page of ours, not of the application or /userinfo
			bodies.WriteString(answer.body)
		}
	}

	// A good life.
	alice, bob := browse("alice"), browse("bob")
	see(alice.open(returnTo))
	bob.signIn()
	if who, err := alice.arrive("/x"); err != nil || who.Email != mail {
		t.Fatalf("%+v, %v", who, err)
	}
	for _, path := range []string{"/session", "/userinfo", "/logout", "/signed_out"} {
		see(alice.send(http.MethodGet, path, nil))
	}
	// Refusals: by narrowing, forgery, return address, and another's state.
	for _, query := range []string{"?allowed_emails=" + mail, "?allowed_emails=" + url.QueryEscape("bob@example.com"), "?allowed_groups=none", "?allowed_nonsense=" + mail, "?rule=" + mail, "?%zz" + mail} {
		_, err := s.replicas[0].auth(query, http.Header{
			"Cookie": {"authsvc=" + bob.cookie(sessionCookie)}, "X-Original-Url": {s.url + returnTo}, "X-Original-Method": {"GET"},
		})
		check(t, err)
	}
	forged := strings.Repeat("forged-cookie-canary", 3)
	c.add("cookie", forged)
	for _, r := range s.replicas {
		for _, header := range []http.Header{
			{"Cookie": {"authsvc=" + forged}}, {"Authorization": {"Bearer " + forged}}, {"X-Original-Url": {"%zz" + mail}},
			{"X-Original-Url": {s.url + returnTo}, "X-Original-Uri": {"/other?" + mail}}, {"X-Request-Id": {mail}},
		} {
			_, err := r.auth("", header)
			check(t, err)
		}
	}
	see(alice.send(http.MethodGet, "/start?rd="+url.QueryEscape("https://evil.example/"+mail), nil))
	see(alice.send(http.MethodGet, "/callback?state="+forged+"&code="+forged, nil))
	theirs, err := browse("alice").toCallback(returnTo)
	check(t, err)
	see(bob.send(http.MethodGet, theirs, nil))
	stranger := browse("alice")
	_, err = stranger.toCallback("/")
	check(t, err)
	see(stranger.send(http.MethodGet, theirs, nil))
	see(stranger.at(s.replicas[0], http.MethodGet, "/nowhere/"+mail))
	see(stranger.send(http.MethodDelete, "/start?rd="+returnTo, nil))

	// A provider that fails in every way, and quotes what it should not.
	quoting := fmt.Sprintf(`{"error":"%s","error_description":"%s %s","access_token":"%s"}`, mail, clientSecret, mail, forged)
	for name, misbehave := range map[string]func(){
		"token: 400": func() { s.provider.Intercept(idptest.Token, idptest.Answer(400, "application/json", quoting)) },
		"token: 500": func() { s.provider.Intercept(idptest.Token, idptest.Answer(500, "text/html", quoting)) },
		"token: 200": func() { s.provider.Intercept(idptest.Token, idptest.Answer(200, "application/json", quoting)) },
		"token: no JSON": func() {
			s.provider.Intercept(idptest.Token, idptest.Answer(200, "application/json", mail+clientSecret))
		},
		"token: cut":    func() { s.provider.Intercept(idptest.Token, idptest.CutOff()) },
		"token: closed": func() { s.provider.Intercept(idptest.Token, idptest.LoseAnswer()) },
		"userinfo":      func() { s.provider.Intercept(idptest.Userinfo, idptest.Answer(500, "text/plain", mail)) },
		"nonce":         func() { s.provider.EditIDToken(func(_, claims map[string]any) { claims["nonce"] = mail }) },
		"issuer":        func() { s.provider.EditIDToken(func(_, claims map[string]any) { claims["iss"] = "https://" + mail }) },
		"audience":      func() { s.provider.EditIDToken(func(_, claims map[string]any) { claims["aud"] = mail }) },
		"subject":       func() { s.provider.EditIDToken(func(_, claims map[string]any) { claims["sub"] = "" }) },
		"expired":       func() { s.provider.EditIDToken(func(_, claims map[string]any) { claims["exp"] = 1 }) },
		"header": func() {
			s.provider.EditIDToken(func(header, _ map[string]any) { header["kid"] = mail; header["crit"] = []string{mail} })
		},
		"signature": func() {
			s.provider.ReplaceIDToken(func(signed string, _ map[string]any) string { return signed[:len(signed)-8] + "AAAAAAAA" })
		},
		"no token": func() { s.provider.ReplaceIDToken(func(string, map[string]any) string { return mail + "." + forged }) },
		"an error": func() {
			s.provider.EditCallback(func(v url.Values) { v.Set("error", mail); v.Set("error_description", mail+forged) })
		},
		"no access": func() {
			s.provider.EditCallback(func(v url.Values) { v.Set("error", "access_denied"); v.Set("error_description", mail) })
		},
		"other iss": func() { s.provider.EditCallback(func(v url.Values) { v.Set("iss", "https://"+mail) }) },
		"no code":   func() { s.provider.EditCallback(func(v url.Values) { v.Del("code") }) },
	} {
		misbehave()
		s.provider.EditTokenResponse(func(answer map[string]any) {
			for _, name := range []string{"access_token", "refresh_token", "id_token"} {
				text, _ := answer[name].(string)
				c.add("token of a refused login", signatureOf(text))
			}
		})
		victim := browse("alice")
		answer, err := victim.open("/start?rd=" + url.QueryEscape(returnTo))
		see(answer, err)
		if victim.cookie(sessionCookie) != "" && name != "userinfo" && name != "no token" {
			t.Errorf("%s: the login ended with %v", name, answer)
		}
		s.provider.BeHonest()
	}

	// A store that fails, at a verdict, a login and a logout; and that wants another password.
	late, err := browse("alice").toCallback(returnTo)
	check(t, err)
	leaving := browse("alice")
	leaving.signIn()
	failing := func() {
		for _, r := range s.replicas {
			_, err := r.authCookie(alice.cookie(sessionCookie))
			check(t, err)
		}
		see(alice.send(http.MethodGet, "/x", nil))
		see(stranger.send(http.MethodGet, late, nil))
		answer, err := leaving.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
		see(answer, err)
		if answer.status != http.StatusServiceUnavailable {
			t.Errorf("a logout without a store: %v", answer)
		}
		see(alice.send(http.MethodGet, "/session", nil))
	}
	s.redis.Pause()
	failing()
	s.redis.Resume()
	s.redis.Do("CONFIG", "SET", "requirepass", "another-canary-password")
	c.add("Redis password", "another-canary-password")
	s.redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	failing()
	s.redis.Do("CONFIG", "SET", "requirepass", password)
	storetest.WaitFor(t, "the store to be back", func() error { return s.signedInAs("alice", alice.cookie(sessionCookie)) })
	storetest.WaitFor(t, "the logout to be made good", func() error { return s.refused(leaving.cookie(sessionCookie)) })
	for _, v := range []*visitor{alice, bob} {
		answer, err := v.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
		see(answer, err)
		if !strings.HasPrefix(answer.header.Get("Location"), s.provider.URL(idptest.EndSession)) {
			t.Errorf("logout: %v", answer)
		}
	}
	see(bob.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"cross-site"}}))

	written := ""
	for _, r := range s.replicas {
		for _, path := range []string{"/metrics", "/readyz", "/livez", "/nowhere"} {
			text, _, err := r.adminPage(path)
			check(t, err)
			w.note(c.found(text), path)
		}
		written += r.log.String()
	}
	w.note(c.found(written), "logs")
	for _, wanted := range []string{`"decision"`, `"refused"`, `"signed in"`, `"signed out"`, `"level":"error"`} {
		if !strings.Contains(written, wanted) {
			t.Errorf("the logs hold no %s", wanted)
		}
	}
	for _, subject := range []string{`"alice"`, `"bob"`} {
		if strings.Contains(written, subject) {
			t.Errorf("the logs name %s", subject)
		}
	}
	w.note(c.found(bodies.String(), "return address"), "pages")
	kinds := map[string]bool{}
	for _, kind := range c.texts {
		kinds[kind] = true
	}
	for _, kind := range []string{"state", "code", "cookie", "access token", "refresh token", "ID token"} {
		if !kinds[kind] {
			t.Errorf("the test met no %s", kind)
		}
	}
	for i, leak := range w.leaks {
		if i > 20 {
			t.Errorf("and %d more", len(w.leaks)-i)
			break
		}
		t.Error(leak)
	}
	t.Logf("%d canaries", len(c.texts))
}

package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/authsvc/pages"
	"authsvc/session"
)

// press posts a form of the page of sessions and follows nothing.
func (b *browser) press(form url.Values, header http.Header) reply {
	b.t.Helper()
	b.stop = func(*url.URL) bool { return true }
	defer func() { b.stop = nil }()
	request, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.rig.url+"/sessions", strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.send(request, header)
}

var sessionButton = regexp.MustCompile(`name="session" value="([^"]+)"`)

// listed returns the IDs on the page of sessions, in order, and its answer.
func (b *browser) listed() (ids []string, page reply) {
	b.t.Helper()
	page = b.open("/sessions")
	if page.StatusCode != http.StatusOK {
		b.t.Fatalf("GET /sessions: %s to %s", page.Status, page.Header.Get("Location"))
	}
	for _, found := range sessionButton.FindAllStringSubmatch(page.body, -1) {
		ids = append(ids, found[1])
	}
	return ids, page
}

func (b *browser) sessionID() string {
	b.t.Helper()
	token, err := b.rig.replicas[0].sites.Load().main.keyring.ParseToken(session.PurposeSession, mainSite, b.sessionCookie())
	if err != nil {
		b.t.Fatal(err)
	}
	return token.ID().String()
}

// TestSessions has one user in several browsers look at all of them and end some.
func TestSessions(t *testing.T) {
	r := newRig(t, 3, nil)
	signIn := func(person string) *browser {
		t.Helper()
		r.visitor.Store(person)
		r.advance(time.Second)
		b := r.browser()
		b.signIn()
		return b
	}
	bob := signIn("bob")
	first, second, third := signIn("alice"), signIn("alice"), signIn("alice")
	ids, page := second.listed()
	if want := []string{second.sessionID(), third.sessionID(), first.sessionID()}; !slices.Equal(ids, want) {
		t.Errorf("listed %v, want this one and then the newest first: %v", ids, want)
	}
	if strings.Count(page.body, "This browser") != 1 || !strings.Contains(page.body, "Go-http-client") || !strings.Contains(page.body, "Sign out everywhere else") {
		t.Errorf("the page is %s", page.body)
	}
	for _, text := range []string{second.sessionCookie(), "alice@"} {
		if strings.Contains(page.body, text) {
			t.Errorf("the page tells %s", text)
		}
	}
	if h := page.Header; h.Get("Cache-Control") != "no-store" || len(h["Set-Cookie"]) > 0 ||
		!strings.Contains(h.Get("Content-Security-Policy"), "form-action 'self' "+r.provider.Issuer()+";") {
		t.Errorf("headers %v", h)
	}

	// One of them.
	answer := second.press(url.Values{"session": {first.sessionID()}}, nil)
	if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/sessions" || len(answer.Header["Set-Cookie"]) > 0 {
		t.Errorf("POST: %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	r.everywhere(first.sessionCookie(), http.StatusUnauthorized)
	r.everywhere(third.sessionCookie(), http.StatusOK)

	// What is not on the own list stays.
	for _, id := range []string{bob.sessionID(), session.ID{7}.String(), first.sessionID(), "", "nonsense"} {
		if answer := second.press(url.Values{"session": {id}}, nil); answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != "/sessions" {
			t.Errorf("POST %s: %s", id, answer.Status)
		}
	}
	r.everywhere(bob.sessionCookie(), http.StatusOK)
	r.everywhere(third.sessionCookie(), http.StatusOK)

	// Another site's page presses no button here.
	for _, form := range []url.Values{{"session": {third.sessionID()}}, {"others": {"1"}}, {"session": {second.sessionID()}}} {
		if answer := second.press(form, http.Header{"Sec-Fetch-Site": {"cross-site"}}); answer.StatusCode != http.StatusForbidden {
			t.Errorf("cross-site POST: %s", answer.Status)
		}
	}
	r.everywhere(second.sessionCookie(), http.StatusOK)
	r.everywhere(third.sessionCookie(), http.StatusOK)

	// All others.
	fourth := signIn("alice")
	second.press(url.Values{"others": {"1"}}, nil)
	r.everywhere(third.sessionCookie(), http.StatusUnauthorized)
	r.everywhere(fourth.sessionCookie(), http.StatusUnauthorized)
	r.everywhere(second.sessionCookie(), http.StatusOK)
	r.everywhere(bob.sessionCookie(), http.StatusOK)
	if ids, page := second.listed(); len(ids) != 1 || strings.Contains(page.body, "everywhere else") {
		t.Errorf("left are %v", ids)
	}

	// This one, which is a logout.
	cookie := second.sessionCookie()
	answer = second.press(url.Values{"session": {second.sessionID()}}, nil)
	if answer.StatusCode != http.StatusSeeOther || !strings.HasPrefix(answer.Header.Get("Location"), r.provider.URL(idptest.EndSession)+"?") {
		t.Errorf("POST of this one: %s to %s", answer.Status, answer.Header.Get("Location"))
	}
	r.everywhere(cookie, http.StatusUnauthorized)
	if slices.Contains(second.cookies(), "authsvc") {
		t.Error("the cookie is kept")
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
	r.keepsSecrets(cookie)
}

// TestSessionsSignedOut: who is not signed in signs in and comes back.
func TestSessionsSignedOut(t *testing.T) {
	r := newRig(t, 2, func(c *Config) { c.PublicURL += "/oauth2" })
	b := r.browser()
	start := r.url + "/start?rd=" + url.QueryEscape(r.url+"/sessions")
	if reply := b.open("/sessions"); reply.StatusCode != http.StatusFound || reply.Header.Get("Location") != start {
		t.Errorf("%s to %s", reply.Status, reply.Header.Get("Location"))
	}
	if reply := b.press(url.Values{"others": {"1"}}, nil); reply.StatusCode != http.StatusSeeOther || reply.Header.Get("Location") != start {
		t.Errorf("POST: %s to %s", reply.Status, reply.Header.Get("Location"))
	}
	if reply := b.get("/sessions"); reply.StatusCode != http.StatusOK || reply.Request.URL.Path != "/oauth2/sessions" || !strings.Contains(reply.body, `action="/oauth2/sessions"`) {
		t.Errorf("the login ended with %s at %s", reply.Status, reply.Request.URL)
	}
	if reply := b.do(http.MethodHead, "/sessions", nil); reply.StatusCode != http.StatusOK || reply.body != "" {
		t.Errorf("HEAD: %s", reply.Status)
	}
	if reply := b.do(http.MethodDelete, "/sessions", nil); reply.StatusCode != http.StatusMethodNotAllowed || reply.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE: %s, %s", reply.Status, reply.Header.Get("Allow"))
	}
}

// TestSessionsCannotTell: nobody is told that a session has ended that may live, and nobody is signed out.
func TestSessionsCannotTell(t *testing.T) {
	r := newRig(t, 2, nil)
	b, other := r.browser(), r.browser()
	b.signIn()
	other.signIn()
	for _, operations := range [][]string{{"load"}, {"noted"}, {"delete"}} {
		r.store.refuse(operations...)
		if operations[0] != "delete" {
			if reply := b.open("/sessions"); reply.StatusCode != http.StatusServiceUnavailable || reply.Header.Get("Retry-After") == "" {
				t.Errorf("%v: GET %s", operations, reply.Status)
			}
		}
		for _, form := range []url.Values{{"others": {"1"}}, {"session": {other.sessionID()}}} {
			reply := b.press(form, nil)
			if reply.StatusCode != http.StatusServiceUnavailable || !strings.Contains(reply.body, "It may still be signed in") || len(reply.Header["Set-Cookie"]) > 0 {
				t.Errorf("%v: POST %s\n%s", operations, reply.Status, reply.body)
			}
		}
		r.store.refuse()
	}
	r.everywhere(b.sessionCookie(), http.StatusOK)
}

// TestSessionsEndsWhatItCan: of all others, one that cannot be ended keeps none from being ended.
func TestSessionsEndsWhatItCan(t *testing.T) {
	r := newRig(t, 2, nil)
	signIn := func() *browser {
		b := r.browser()
		b.signIn()
		return b
	}
	others := []*browser{signIn(), signIn(), signIn(), signIn(), signIn()}
	b := signIn()
	stuck := others[2]
	r.store.refuse("load "+stuck.sessionID(), "delete "+stuck.sessionID())
	if reply := b.press(url.Values{"others": {"1"}}, nil); reply.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("with one that cannot be ended: %s", reply.Status)
	}
	r.store.refuse()
	for _, other := range others {
		if other != stuck {
			r.everywhere(other.sessionCookie(), http.StatusUnauthorized)
		}
	}
	r.everywhere(b.sessionCookie(), http.StatusOK)
	if reply := b.press(url.Values{"others": {"1"}}, nil); reply.StatusCode != http.StatusSeeOther {
		t.Errorf("again: %s", reply.Status)
	}
	r.everywhere(stuck.sessionCookie(), http.StatusUnauthorized)
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
}

// TestSessionsOffTheList: a session that no list knows, as an earlier release made them, is on its own page all the same. The form is
// bounded, and so is the page.
func TestSessionsOffTheList(t *testing.T) {
	r := newRig(t, 1, nil)
	b := r.browser()
	b.signIn()
	site := r.replicas[0].sites.Load().main
	list := session.IndexName{Kind: session.KindUser, Hash: site.keyring.Names(session.KindUser, mainSite, site.provider.issuer, "alice")[0]}
	id, err := session.ParseID(b.sessionID())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.store.Forget(t.Context(), list, id); err != nil {
		t.Fatal(err)
	}
	if ids, _ := b.listed(); !slices.Equal(ids, []string{b.sessionID()}) {
		t.Errorf("listed %v", ids)
	}
	for n := range pages.MaxSessions + 20 {
		if _, _, err := site.sessions.Begin(context.Background(), session.Session{Issuer: site.provider.issuer, Subject: "alice", UserAgent: fmt.Sprint("x", n)}, session.Tokens{}); err != nil {
			t.Fatal(err)
		}
	}
	if ids, page := b.listed(); len(ids) != pages.MaxSessions || ids[0] != b.sessionID() || !strings.Contains(page.body, "There are more") {
		t.Errorf("%d are listed", len(ids))
	}
	if reply := b.press(url.Values{"others": {strings.Repeat("x", maxSessionsForm)}}, nil); reply.StatusCode != http.StatusSeeOther {
		t.Errorf("a form that is too long: %s", reply.Status)
	}
	if ids, _ := b.listed(); len(ids) != pages.MaxSessions {
		t.Errorf("afterwards %d are listed", len(ids))
	}
}

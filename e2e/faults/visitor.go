package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// visitor is somebody with a browser, who has a session or not. One operation changes that at a time; anybody may look at it.
type visitor struct {
	rig.Person
	busy sync.Mutex // held while the session begins or ends

	mu      sync.Mutex
	session string // its name in the history; "": signed out
	cookie  string
	logins  int
}

// shown is a session with its cookie, as a browser shows it.
type shown struct {
	person, session, cookie string
}

// shown returns the visitor's session, if there is one.
func (v *visitor) shown() (shown, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return shown{v.Name, v.session, v.cookie}, v.session != ""
}

// forget makes the visitor signed out: the browser's session is over, or was lost.
func (v *visitor) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.session, v.cookie = "", ""
}

// signIn begins a session, at one replica and back at another, and records it unless there is no history.
func (v *visitor) signIn(ctx context.Context, first, second *rig.Replica, h *history.History) (rig.Answer, error) {
	v.busy.Lock()
	defer v.busy.Unlock()
	sent := time.Now()
	a, err := v.SignInAt(ctx, first, second)
	v.mu.Lock()
	defer v.mu.Unlock()
	o := history.Operation{Kind: history.Login, Person: v.Name, Replica: second.Name, Due: sent, Sent: sent, Answered: time.Now(), Status: a.Status}
	if err != nil {
		o.Status, o.Failure = 0, err.Error()
	}
	v.logins++
	o.Session = fmt.Sprintf("%s#%d", v.Name, v.logins)
	if v.Cookie != "" {
		v.session, v.cookie = o.Session, v.Cookie
	} else if o.Status < 400 {
		o.Status, o.Failure = 0, fmt.Sprintf("the callback answered %d without a cookie", o.Status)
	}
	if h != nil {
		h.Add(o)
	}
	return a, err
}

// signOut ends the visitor's session, by the button or through the provider, and records it. It returns what the browser still has: the cookie of a session that is over,
// or that may be.
func (v *visitor) signOut(ctx context.Context, at *rig.Replica, byProvider bool, h *history.History) (shown, bool) {
	v.busy.Lock()
	defer v.busy.Unlock()
	had, in := v.shown()
	if !in {
		return had, false
	}
	sent := time.Now()
	var a rig.Answer
	var err error
	if byProvider {
		a, err = v.Rig.EndAll(ctx, v.Name, at)
	} else {
		browser := rig.Person{Rig: v.Rig, Name: v.Name, Cookie: had.cookie}
		a, err = browser.PressSignOut(ctx, "http://"+at.Address)
	}
	kind := history.Logout
	if byProvider {
		kind = history.ProviderLogout
	}
	o := history.Operation{Kind: kind, Session: had.session, Person: v.Name, Replica: at.Name, Due: sent, Sent: sent, Answered: time.Now(), Status: a.Status}
	if err != nil {
		o.Status, o.Failure = 0, err.Error()
	}
	h.Add(o)
	v.forget()
	return had, true
}

// ask asks a replica, or the site where there is none, for a verdict about a session, and records it.
func (s *stage) ask(ctx context.Context, show shown, at *rig.Replica, due time.Time, h *history.History) (status int) {
	const patience = 10 * time.Second // far beyond every bound
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	browser := rig.Person{Rig: s.Rig, Name: show.person, Cookie: show.cookie}
	o := history.Operation{Session: show.session, Person: show.person, Replica: "nginx", Due: due, Sent: time.Now()}
	var a rig.Answer
	var err error
	if at != nil {
		o.Replica = at.Name
		a, err = browser.AskAt(ctx, at)
	} else {
		a, err = browser.Ask(ctx)
		if a.Status == http.StatusFound { // the page load's way to sign in
			a.Status = http.StatusUnauthorized
		}
	}
	o.Answered, o.Status, o.Identity = time.Now(), a.Status, a.User
	if err != nil {
		o.Status, o.Failure = 0, err.Error()
	}
	h.Add(o)
	return o.Status
}

// replica is any of them.
func (s *stage) replica() *rig.Replica { return s.Replicas[rand.IntN(len(s.Replicas))] }

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// peerBehaviours are what peers do, by their code, that no advisory names.
var peerBehaviours = []advisory{
	{"B1", "a store in trouble and a browser that hangs up sign nobody out", (*lab).troubleKeepsSessions},
	{"B2", "no code is spent where state does not fit", (*lab).codesAreKept},
	{"B3", "one refresh however slow and no session comes back by it", (*lab).slowRefresh},
	{"B4", "a login takes no token over", (*lab).tokensAreNew},
	{"B5", "the second tab leaves the first one be", (*lab).twoTabs},
	{"B6", "deep links with two slashes", (*lab).doubleSlashes},
	{"B7", "a session is stored with its end in one command", (*lab).storedWithEnd},
	{"B8", "keys are asked for rarely and tokens are looked at whole", (*lab).unknownKeys},
}

func TestSecurityPeerBehaviours(t *testing.T) { runAdvisories(t) }

func (l *lab) troubleKeepsSessions() {
	f := l.anyone()
	v, _ := f.signedInLine("alice")
	cookie, records := v.cookie(sessionCookie), f.records()
	f.redis.Pause()
	for i := range 20 { // browsers that do not wait
		ctx, cancel := context.WithTimeout(l.Context(), time.Duration(i)*3*time.Millisecond)
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.replicas[i%2].address+"/auth", nil)
		check(l.T, err)
		request.Header.Set("Cookie", sessionCookie+"="+cookie)
		if answer, err := exchange(direct, request); err == nil && (answer.status == http.StatusUnauthorized || len(answer.header["Set-Cookie"]) > 0) {
			l.Errorf("while the store hangs: %s", answer)
		}
		cancel()
	}
	for _, path := range []string{"/page", "/session", "/userinfo", "/sessions"} {
		answer, err := v.send(http.MethodGet, path, nil)
		check(l.T, err)
		if answer.status == http.StatusUnauthorized || answer.status == http.StatusFound || len(answer.header["Set-Cookie"]) > 0 {
			l.Errorf("while the store hangs: %s", answer)
		}
	}
	f.redis.Resume()
	storetest.WaitFor(l.T, "the store to be back", func() error { return f.signedInAs("alice", cookie) })
	f.redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") // idle connections that are gone
	for _, r := range f.replicas {
		for range 10 {
			answer, err := r.authCookie(cookie)
			check(l.T, err)
			if answer.status != http.StatusOK && answer.status != http.StatusServiceUnavailable {
				l.Errorf("after the connections were cut: %s", answer)
			}
		}
	}
	storetest.WaitFor(l.T, "new connections", func() error { return f.signedInAs("alice", cookie) })
	if n := f.records(); n != records || v.cookie(sessionCookie) != cookie {
		l.Errorf("%d records, before %d; the cookie is the same: %t", n, records, v.cookie(sessionCookie) == cookie)
	}
}

func (l *lab) codesAreKept() {
	f := l.anyone()
	alice, bob := f.visitor("alice"), f.visitor("bob")
	callback, err := alice.toCallback("/page")
	check(l.T, err)
	others, err := bob.toCallback("/page")
	check(l.T, err)
	before := f.tokenRequests()
	good, other := queryOf(l.T, callback), queryOf(l.T, others)
	for what, state := range map[string]string{"another's": other.Get("state"), "none": "", "nonsense": "nonsense", "a part": good.Get("state")[:100]} {
		query := url.Values{"code": good["code"], "iss": good["iss"], "state": {state}}
		answer, err := alice.send(http.MethodGet, "/callback?"+query.Encode(), nil)
		check(l.T, err)
		f.refusedLogin(alice, "state: "+what, answer, before)
	}
	answer, err := alice.open(callback)
	if err == nil {
		_, err = alice.arrived(answer, "/page")
	}
	check(l.T, err)
}

// slowRefresh holds the provider's answer to a refresh for longer than peers hold their lock, with both replicas asked all the time; then the person signs out
// while another is under way.
func (l *lab) slowRefresh() {
	f := l.briefly()
	v, _ := f.signedInLine("bob")
	cookie := v.cookie(sessionCookie)
	hold := func() (release func()) {
		gate := make(chan struct{})
		f.provider.Intercept(idptest.Token, idptest.Hold(gate))
		return func() { close(gate); f.provider.Intercept(idptest.Token, nil) }
	}
	ask := func() { f.knows("bob", cookie) }
	release := hold()
	before := f.tokenRequests()
	storetest.WaitFor(l.T, "a refresh to begin", func() error {
		if ask(); f.tokenRequests() == before {
			return fmt.Errorf("none")
		}
		return nil
	})
	for begun := time.Now(); time.Since(begun) < 2500*time.Millisecond; { // which is the case itself: peers hold a lock for two seconds
		ask()
	}
	if n := f.tokenRequests() - before; n != 1 {
		l.Errorf("%d refreshes are under way", n)
	}
	release()
	storetest.WaitFor(l.T, "the refresh to end", func() error {
		if n := f.provider.Counts("bob").Refreshes; n == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	ask()

	renewed, letGo := f.holdTokenAnswer()
	defer letGo()
	ended := f.refreshes()
	storetest.WaitFor(l.T, "another refresh to be answered", func() error {
		if ask(); !renewed() {
			return fmt.Errorf("none")
		}
		return nil
	})
	_, err := v.logOut()
	check(l.T, err)
	letGo()
	storetest.WaitFor(l.T, "the end of that refresh", func() error {
		if f.refreshes() == ended {
			return fmt.Errorf("it is under way")
		}
		return nil
	})
	for range 50 {
		f.refuses(cookie)
	}
	for _, key := range f.keys() {
		if strings.Contains(key, ":session:") {
			l.Errorf("%s has come back", key)
		}
	}
	if n := f.provider.Counts("bob").RefreshReuses; n != 0 {
		l.Errorf("%d tokens were used twice", n)
	}
}

func (l *lab) tokensAreNew() {
	f := l.anyone()
	seen := map[string]bool{}
	v := f.visitor("alice")
	for range 5 {
		check(l.T, v.signInAgain("/page"))
		if cookie := v.cookie(sessionCookie); seen[cookie] {
			l.Error("a login has given an old token")
		} else {
			seen[cookie] = true
		}
	}
	for what, planted := range map[string]string{"a good one of another": v.cookie(sessionCookie), "an ended one": func() string {
		for cookie := range seen {
			if cookie != v.cookie(sessionCookie) {
				return cookie
			}
		}
		return ""
	}(), "nonsense": "nonsense"} {
		victim := f.visitor("bob")
		victim.client.Jar.SetCookies(f.address(), []*http.Cookie{{Name: sessionCookie, Value: planted, Path: "/"}})
		check(l.T, victim.signInAgain("/page"))
		if got := victim.cookie(sessionCookie); got == planted || seen[got] {
			l.Errorf("%s: the login goes on with it", what)
		}
	}
}

func (l *lab) twoTabs() {
	f := l.anyone()
	v := f.visitor("alice")
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		var callbacks [2]string
		for i := range callbacks {
			var err error
			callbacks[i], err = v.toCallback(fmt.Sprintf("/tab-%d", i))
			check(l.T, err)
		}
		for _, i := range order {
			answer := surely(l.T, func() (reply, error) { return v.send(http.MethodGet, callbacks[i], nil) })
			if got, want := answer.header.Get("Location"), fmt.Sprintf("/tab-%d", i); got != want { // not to a login that begins again
				l.Errorf("a tab's login ends at %q, want %q: %s", got, want, answer)
			}
		}
	}
}

func (l *lab) doubleSlashes() {
	f := l.anyone()
	for _, path := range []string{"/a//b", "/a//b//c?x=//y", "/a?x=http://b//c", "/a/https://b.example/c", "/a///b", "/a//"} {
		v := f.visitor("alice")
		_, err := v.arrive(path)
		check(l.T, err)
		check(l.T, v.signInAgain(path))
	}
}

func (l *lab) storedWithEnd() {
	f := l.anyone()
	m := f.redis.Monitor(l.T)
	m.Commands(l.T)
	v, _ := f.signedInLine("alice")
	stored := 0
	for _, command := range m.Commands(l.T) {
		name := strings.ToUpper(command.Args[0])
		all := strings.Join(command.Args, " ")
		if !strings.Contains(all, ":session:{") && !strings.Contains(all, ":tokens:{") || strings.HasPrefix(name, "EVAL") {
			continue
		}
		switch name {
		case "SET":
			stored++
			if upper := strings.ToUpper(all); !strings.Contains(upper, " PX") && !strings.Contains(upper, " EX") && !strings.Contains(upper, " KEEPTTL") {
				l.Errorf("stored without an end: %.120q", all)
			}
		case "HSET", "HMSET", "APPEND", "SETRANGE", "PERSIST":
			l.Errorf("stored in pieces: %.120q", all)
		}
	}
	if stored < 2 {
		l.Errorf("the monitor saw %d writes", stored)
	}
	f.everyKeyEnds()
	for _, r := range f.replicas { // at debug, which is this stack's level
		for what, secret := range map[string]string{"the cookie": v.cookie(sessionCookie), "the client secret": clientSecret, "the cookie secret": f.settings["cookie.secret"], "a JWT": "eyJ"} {
			if strings.Contains(r.log.String(), secret) {
				l.Errorf("the log tells %s", what)
			}
		}
	}
}

// unknownKeys: each Q row of the ID token is its own test; here is what a library leaves to who uses it.
func (l *lab) unknownKeys() {
	f := l.anyone()
	defer f.provider.BeHonest()
	before := f.provider.Count(idptest.JWKS)
	f.provider.EditIDToken(func(header, _ map[string]any) { header["kid"] = "nobody-knows" })
	for i := range 15 {
		f.failedLogin(fmt.Sprintf("an unknown kid, login %d", i))
	}
	if n := f.provider.Count(idptest.JWKS) - before; n > 4 { // two replicas
		l.Errorf("15 logins with an unknown kid asked %d times for keys", n)
	}
	f.provider.BeHonest()
	for what, edit := range map[string]func(claims map[string]any){
		"another azp": func(claims map[string]any) { claims["azp"] = "other" }, "no sub": func(claims map[string]any) { delete(claims, "sub") }, "no iat": func(claims map[string]any) { delete(claims, "iat") }, "no nonce": func(claims map[string]any) { delete(claims, "nonce") },
		"an nbf of tomorrow": func(claims map[string]any) { claims["nbf"] = time.Now().Add(24 * time.Hour).Unix() }, "two audiences and no azp": func(claims map[string]any) { claims["aud"] = []string{clientID, "other"}; delete(claims, "azp") },
	} {
		f.provider.EditIDToken(func(_, claims map[string]any) { edit(claims) })
		f.failedLogin(what)
	}
	f.provider.BeHonest()
	f.visitor("alice").signIn()
}

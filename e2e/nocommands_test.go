package e2e

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// quiet checks that nothing was asked of the store since the last look, apart from what replicas ask by themselves.
func quiet(t *testing.T, m *storetest.Monitor, what string) {
	t.Helper()
	for _, c := range m.Commands(t) {
		if !byItself(c) {
			t.Errorf("%s: the store was asked %s", what, c)
		}
	}
}

// byItself reports whether a replica asks this of the store without being asked: the time, whether it is there, what it is, to be told of
// changes, who else runs, which keys count, the counts of what happened in the second before, and at its start what it may do.
func byItself(c storetest.Command) bool {
	switch strings.ToUpper(c.Args[0]) {
	case "TIME", "PING", "INFO", "HELLO", "CLIENT":
		return true
	}
	return slices.ContainsFunc(c.Args, func(arg string) bool {
		return strings.HasPrefix(arg, "authsvc:count:") || strings.HasPrefix(arg, "authsvc:selftest:") || strings.HasPrefix(arg, "authsvc:key:") || ofReplicas(arg)
	})
}

// keyring is the replicas' own, for a secret as in the configuration.
func keyring(t *testing.T, secret string) *session.Keyring {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(secret)
	check(t, err)
	ring, err := session.NewKeyring([][]byte{raw})
	check(t, err)
	return ring
}

// noStoreCommands is a part of Q41: what is forged or asked by anybody costs the store nothing.
func noStoreCommands(t *testing.T) {
	s := newStack(t, options{})
	v, other := s.visitor("alice"), s.visitor("bob")
	v.signIn()
	other.signIn()
	good, login := v.cookie(sessionCookie), v.cookie(loginCookie)
	callback, err := s.visitor("alice").toCallback("/")
	check(t, err)
	m := s.redis.Monitor(t)
	check(t, s.signedInAs("alice", good))
	if asked := m.Commands(t); len(asked) < 2 {
		t.Fatalf("the monitor saw %v of two good verdicts", asked)
	}

	cookies := map[string]string{
		"none":              "",
		"another cookie":    "theirs=1",
		"empty":             "authsvc=",
		"nonsense":          "authsvc=nonsense",
		"format string":     "authsvc=%s%n%x",
		"a path":            "authsvc=../../session",
		"a pattern":         "authsvc=*",
		"very long":         "authsvc=" + strings.Repeat("A", 5000),
		"truncated":         "authsvc=" + good[:len(good)-1],
		"cut in half":       "authsvc=" + good[:len(good)/2],
		"one more":          "authsvc=" + good + "A",
		"twice in one":      "authsvc=" + good + good,
		"other case":        "authsvc=" + swapCase(good),
		"the login cookie":  "authsvc=" + login,
		"as login cookie":   "authsvc_login=" + good,
		"from another key":  "authsvc=" + keyring(t, newSecret()).NewToken(session.PurposeSession, "main").Reveal(),
		"of another site":   "authsvc=" + keyring(t, s.settings["cookie.secret"]).NewToken(session.PurposeSession, "other").Reveal(),
		"nonsense doubled":  "authsvc=nonsense; authsvc=nonsense",
		"forgeries doubled": "authsvc=" + good[:len(good)-1] + "; authsvc=nonsense; authsvc=; authsvc",
		"two good ones":     "authsvc=" + good + "; authsvc=" + other.cookie(sessionCookie),
		"3,100 of them":     strings.Repeat("authsvc=x; ", 3100) + "authsvc=" + good,
	}
	for i := range len(good) { // every character counts
		cookies[fmt.Sprintf("character %d changed", i)] = "authsvc=" + good[:i] + string(otherCharacter(good[i])) + good[i+1:]
	}
	for name, cookie := range cookies {
		for _, r := range s.replicas {
			answer, err := r.auth("?allowed_groups=staff", http.Header{"Cookie": {cookie}})
			if err != nil || answer.status != http.StatusUnauthorized {
				t.Errorf("%s: %d, %v; want 401", name, answer.status, err)
			}
		}
	}
	quiet(t, m, "/auth")
	// Junk beside the good one harms nobody.
	answer, err := s.replicas[0].auth("", http.Header{"Cookie": {"authsvc=nonsense; authsvc=" + good + "; authsvc="}})
	if err != nil || answer.status != http.StatusOK {
		t.Errorf("a good cookie among junk: %d, %v", answer.status, err)
	}
	m.Commands(t)

	for name, v := range map[string]*visitor{"signed in": v, "a stranger": s.visitor("alice")} {
		for _, address := range []string{"/start", "/start?rd=%2Fx", "/sign_in?rd=%2Fx", "/start?rd=https%3A%2F%2Fevil.example%2F"} {
			answer, err := v.send(http.MethodGet, address, nil)
			if want := map[bool]int{false: 302, true: 400}[strings.Contains(address, "evil")]; err != nil || answer.status != want {
				t.Errorf("%s, %s: %s, %v", name, address, answer, err)
			}
		}
	}
	quiet(t, m, "/start")

	if _, err := v.send(http.MethodGet, "/metrics", nil); err != nil { // of the application: this one is asked
		t.Fatal(err)
	}
	m.Commands(t)
	u, err := url.Parse(callback)
	check(t, err)
	state := u.Query().Get("state")
	states := map[string]string{"none": "", "nonsense": "nonsense", "truncated": state[:len(state)-2], "long": strings.Repeat("A", 5000), "a cookie": good}
	for i := 0; i < len(state); i += 7 {
		states[fmt.Sprintf("character %d changed", i)] = state[:i] + string(otherCharacter(state[i])) + state[i+1:]
	}
	for name, state := range states {
		query := url.Values{"state": {state}, "code": {"a-code"}, "iss": {s.provider.Issuer()}}
		answer, err := v.send(http.MethodGet, "/callback?"+query.Encode(), nil)
		if err != nil || answer.status != http.StatusBadRequest || len(answer.header["Set-Cookie"]) > 0 {
			t.Errorf("state %s: %s, %v", name, answer, err)
		}
	}
	for _, query := range []string{"", "?code=x", "?state=" + state + "&state=" + state + "&code=x", "?error=access_denied", "?%zz"} {
		if answer, err := v.send(http.MethodGet, "/callback"+query, nil); err != nil || answer.status != http.StatusBadRequest {
			t.Errorf("callback %q: %s, %v", query, answer, err)
		}
	}
	quiet(t, m, "/callback")
	if n := s.provider.Count(idptest.Token); n != 2 {
		t.Errorf("the token endpoint was asked %d times by two logins", n)
	}
}

// TestMegabyteOfCookies is refused before anybody is asked.
func TestMegabyteOfCookies(t *testing.T) {
	s := newStack(t, options{replicas: 1})
	m := s.redis.Monitor(t)
	for address, want := range map[string]int{s.replicas[0].address: http.StatusRequestHeaderFieldsTooLarge, s.site: http.StatusBadRequest} {
		for name, cookies := range map[string]string{
			"in one line":  "Cookie: authsvc=" + strings.Repeat("x", 1<<20) + "\r\n",
			"in 100 lines": strings.Repeat("Cookie: authsvc="+strings.Repeat("x", 10<<10)+"\r\n", 100),
		} {
			conn, err := net.Dial("tcp", address)
			check(t, err)
			conn.SetDeadline(time.Now().Add(patience))
			go io.WriteString(conn, "GET /auth HTTP/1.1\r\nHost: "+s.host()+"\r\n"+cookies+"\r\n") // it will be broken off
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != want {
				t.Errorf("%s to %s: %v, %v; want %d", name, address, answer, err, want)
			}
			conn.Close()
		}
	}
	quiet(t, m, "a megabyte of cookies")
}

// otherCharacter returns another character of base64url. The last one of a text that is no multiple of four carries unused bits, so it
// must differ in the high ones.
func otherCharacter(c byte) byte {
	if c == 'x' {
		return 'C'
	}
	return 'x'
}

func swapCase(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' {
			return c - 'a' + 'A'
		}
		if c >= 'A' && c <= 'Z' {
			return c - 'A' + 'a'
		}
		return c
	}, text)
}

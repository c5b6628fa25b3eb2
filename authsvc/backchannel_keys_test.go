package authsvc

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// TestBackchannelRandomKeys asks with keys that nobody has: the provider hears of it once per replica (Q17).
func TestBackchannelRandomKeys(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	before := r.provider.Count(idptest.JWKS)
	began := time.Now()
	for i := range 1000 {
		random := func(header, _ map[string]any) { header["kid"] = rand.Text() }
		checkBackchannel(t, r.backchannel(i%2, r.provider.LogoutToken("app", "alice", "", random)), http.StatusBadRequest)
	}
	if n, most := r.provider.Count(idptest.JWKS)-before, 2*(1+int(time.Since(began)/keysRefetchInterval)); n > most {
		t.Errorf("the keys were fetched %d times", n)
	}
	r.everywhere(b.sessionCookie(), http.StatusOK)
	r.keepsSecrets()
}

// TestBackchannelKeyRotation signs a logout token with a new key, while the keys can be had and while not.
func TestBackchannelKeyRotation(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	if err := r.provider.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	r.provider.Intercept(idptest.JWKS, idptest.Status(http.StatusInternalServerError))
	token := r.provider.LogoutToken("app", "alice", "", nil)
	checkBackchannel(t, r.backchannel(0, token), http.StatusServiceUnavailable)
	r.everywhere(b.sessionCookie(), http.StatusOK)
	r.provider.BeHonest()
	checkBackchannel(t, r.backchannel(0, token), http.StatusServiceUnavailable) // it does not ask again yet, and cannot tell
	checkBackchannel(t, r.backchannel(1, token), http.StatusOK)
	r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
	r.keepsSecrets()
}

// TestBackchannelAcrossKeys rotates the key ring between login and logout, on all replicas and on some: whichever key a
// name was written under, it is found.
func TestBackchannelAcrossKeys(t *testing.T) {
	var config *Config
	r := newRig(t, 2, func(c *Config) { config = c })
	ring := func(replica int, keys ...byte) {
		t.Helper()
		changed := *config
		changed.Cookie.Secret = nil
		for _, key := range keys {
			changed.Cookie.Secret = append(changed.Cookie.Secret, cookieSecret(key))
		}
		if err := r.replicas[replica].ReplaceSecrets(t.Context(), &changed); err != nil {
			t.Fatal(err)
		}
	}
	steps := [][2][]byte{{{1}, {1}}, {{1, 2}, {1}}, {{1, 2}, {1, 2}}, {{2, 1}, {1, 2}}, {{2, 1}, {2, 1}}}
	type login struct {
		cookie, sid string
		step        int
	}
	var logins []login
	for step, rings := range steps {
		ring(0, rings[0]...)
		ring(1, rings[1]...)
		for range 2 { // round robin: each replica once
			b := r.browser()
			b.signIn()
			sids := r.provider.SessionIDs("alice")
			logins = append(logins, login{b.sessionCookie(), sids[len(sids)-1], step})
		}
	}
	for i, l := range logins {
		r.everywhere(l.cookie, http.StatusOK)
		if i%2 == 0 {
			checkBackchannel(t, r.backchannel(i/2%2, r.provider.LogoutToken("app", "", l.sid, nil)), http.StatusOK)
			r.everywhere(l.cookie, http.StatusUnauthorized)
		}
	}
	checkBackchannel(t, r.backchannel(1, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
	for _, l := range logins {
		if r.everywhere(l.cookie, http.StatusUnauthorized); t.Failed() {
			t.Fatalf("a login of step %d", l.step)
		}
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}

	// While some sign with one key and some with the other, a mark of either is found by a login under way on either.
	for signing := range 2 {
		r.advance(time.Second)
		ring(signing, 2, 1)
		ring(1-signing, 1, 2)
		for replica := range 2 {
			hold := r.holdToken()
			b := r.browser()
			address := b.toCallback()
			r.next.Store(int64(replica)) // the next request goes to the other one
			done := hold.wait(func() reply { return b.open(address) })
			checkBackchannel(t, r.backchannel(replica, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
			hold.release()
			r.signedOutMeanwhile(b, <-done)
		}
	}
}

// TestBackchannelOfStrangersInTheLog: anybody may send what is no logout token, and as often as they like. The log tells of each reason once, in a short line; what
// the provider itself has sent it tells each time.
func TestBackchannelOfStrangersInTheLog(t *testing.T) {
	r := newRig(t, 1, nil)
	lines := func() int { return strings.Count(r.log.String(), "back-channel logout") }
	long := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"` + strings.Repeat("a", 20_000) + `"}`))
	for range 50 {
		checkBackchannel(t, r.backchannelForm(0, "text/plain", "x"), http.StatusBadRequest)
		checkBackchannel(t, r.backchannel(0, "junk"), http.StatusBadRequest)
		checkBackchannel(t, r.backchannel(0, long+".e30.AAAA"), http.StatusBadRequest)
		checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "alice", "", func(header, _ map[string]any) { header["kid"] = rand.Text() })), http.StatusBadRequest)
	}
	if n := lines(); n != 4 {
		t.Errorf("%d lines about 4 reasons:\n%s", n, r.log)
	}
	for i := range 150 { // each a reason of its own
		checkBackchannel(t, r.backchannel(0, base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"a%d"}`, i))+".e30.AAAA"), http.StatusBadRequest)
	}
	if n := lines(); n != maxStrangerTold {
		t.Errorf("%d lines, want %d", n, maxStrangerTold)
	}
	for line := range strings.Lines(r.log.String()) {
		if len(line) > 1000 {
			t.Errorf("a line of %d bytes: %.200s", len(line), line)
		}
	}
	token := r.provider.LogoutToken("app", "alice", "", nil)
	checkBackchannel(t, r.backchannel(0, token), http.StatusOK)
	for range 3 {
		checkBackchannel(t, r.backchannel(0, token), http.StatusBadRequest)
	}
	if n := strings.Count(r.log.String(), "it was used before"); n != 3 {
		t.Errorf("%d lines about a token that the provider has made, want 3", n)
	}
}

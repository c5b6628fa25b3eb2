package authsvc

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestCodesOfOneAttempt: who makes codes up for one attempt, one after the other or all at once, costs the provider no more requests than maxCodes,
// and comes to a login that works.
func TestCodesOfOneAttempt(t *testing.T) {
	const madeUp = 4 * maxCodes
	for _, order := range []string{"one after the other", "at once"} {
		t.Run(order, func(t *testing.T) {
			r := newRig(t, 3, nil)
			b := r.browser()
			genuine := b.toCallback()
			login := b.loginCookie()
			statuses := make([]int, madeUp)
			var wait sync.WaitGroup
			for i := range madeUp {
				bring := func() {
					tab := r.browser()
					tab.setCookie(login)
					statuses[i] = tab.open(withCode(t, genuine, fmt.Sprint("made-up-", i))).StatusCode
				}
				if order == "at once" {
					wait.Go(bring)
				} else {
					bring()
				}
			}
			wait.Wait()
			spent := 0
			for i, status := range statuses {
				switch status {
				case http.StatusBadGateway: // the provider refused it
					spent++
				case http.StatusFound:
				default:
					t.Errorf("code %d: %d", i, status)
				}
			}
			if n := r.provider.Count(idptest.Token); n != maxCodes || spent != maxCodes {
				t.Errorf("the token endpoint was asked %d times, and %d callbacks say so", n, spent)
			}
			reply := b.open(genuine)
			if next := reply.Header.Get("Location"); reply.StatusCode != http.StatusFound || !strings.HasPrefix(next, r.url+"/start?") || sessionCookieOf(reply) != nil {
				t.Errorf("the attempt's own code: %s, Location %q", reply.Status, next)
			}
			for i := range madeUp {
				b.open(withCode(t, genuine, fmt.Sprint("made-up-", i)))
			}
			if n := r.provider.Count(idptest.Token); n != maxCodes {
				t.Errorf("the token endpoint was asked %d times after codes came again", n)
			}
			if reply := b.signIn(); sessionCookieOf(reply) == nil {
				t.Errorf("the next login: %s", reply.Status)
			}
		})
	}
}

// TestBackToTheForm: the back button leads to the provider's form, which answers the same attempt with another code. That works for somebody who
// signs out and in again by it, and each code counts once.
func TestBackToTheForm(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	form := b.open("/start?rd=%2Flanded").Header.Get("Location")
	var callbacks []string
	for i := range maxCodes {
		callbacks = append(callbacks, b.open(form).Header.Get("Location"))
		if reply := b.open(callbacks[i]); reply.Header.Get("Location") != "/landed" || sessionCookieOf(reply) == nil {
			t.Errorf("code %d: %s, Location %q", i, reply.Status, reply.Header.Get("Location"))
		}
		b.do(http.MethodPost, "/logout", nil)
	}
	for _, again := range callbacks {
		if reply := b.open(again); sessionCookieOf(reply) != nil {
			t.Errorf("a code that came again signed in")
		}
	}
	if n := r.provider.Count(idptest.Token); n != maxCodes {
		t.Errorf("the token endpoint was asked %d times", n)
	}
}

// withCode puts another code into a callback.
func withCode(t *testing.T, callback, code string) string {
	return tamperWith(t, callback, func(v url.Values) { v.Set("code", code) })
}

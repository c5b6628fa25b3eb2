package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestSessionsPage: a person with three browsers, one of them real, ends the session of one by its button, that of the other by the button for all
// others, and then their own, which leads over the provider.
func TestSessionsPage(t *testing.T) {
	s := newStack(t, options{replicas: 3, provider: func(o *idptest.Options) {
		signIn := o.SignIn
		o.SignIn = func(r *http.Request) string {
			if person := signIn(r); person != "" {
				return person
			}
			return "alice" // who sits at the real one
		}
	}})
	first, second := s.visitor("alice"), s.visitor("alice")
	first.signIn()
	second.signIn()
	b, err := newChromium(t).newTab()
	check(t, err)
	check(t, b.open(s.url+"/sessions"))
	shows := func(lines int) string {
		return fmt.Sprintf(`location.href == %q && document.querySelectorAll(".sessions li").length == %d`, s.url+"/sessions", lines)
	}
	check(t, b.shows(shows(3)+` && document.querySelector(".sessions li h2 span") && document.querySelector("time[datetime$=Z]")`))
	// This one is the first, and then comes the newest.
	check(t, b.click(".sessions li:nth-child(2) button"))
	check(t, b.shows(shows(2)))
	check(t, s.refused(second.cookie(sessionCookie)))
	check(t, s.signedInAs("alice", first.cookie(sessionCookie)))
	check(t, b.click("button.main"))
	check(t, b.shows(shows(1)+` && !document.querySelector("button.main")`))
	check(t, s.refused(first.cookie(sessionCookie)))
	check(t, b.click(".sessions li button"))
	check(t, b.shows(fmt.Sprintf(`location.href == %q && document.querySelector("a")`, s.url+"/signed_out")))
	if n := s.records(); n != 0 {
		t.Errorf("%d records are left", n)
	}
}

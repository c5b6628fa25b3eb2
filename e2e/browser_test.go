package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"testing"

	"github.com/chromedp/cdproto/network"

	"authsvc/authsvc/idptest"
)

const (
	// signInButton is alice's, on the provider's page.
	signInButton = `button[name=subject][value=alice]`
	onSignIn     = `document.querySelector('` + signInButton + `')`
)

// onPage says in JavaScript that the tab shows the application's page of this path, to alice.
func onPage(s *stack, path string) string {
	return fmt.Sprintf(`location.href == %q && document.querySelector("#path").textContent == %q && document.querySelector("#user").textContent == "alice"`,
		s.url+path, path)
}

// newBrowserStack is a stack whose provider lets people press a button.
func newBrowserStack(t *testing.T) *stack {
	return newStack(t, options{provider: func(o *idptest.Options) { o.SignIn = nil }})
}

// TestBrowser: a person signs in with a real browser, by a deep link, and signs out again.
func TestBrowser(t *testing.T) {
	s := newBrowserStack(t)
	c := newChromium(t)
	b, err := c.newTab()
	check(t, err)
	const deep = "/page/deep?a=b&c=d%26e&f=%2Fg"
	check(t, b.open(s.url+deep))
	check(t, b.shows(onSignIn))
	check(t, b.click(signInButton))
	check(t, b.shows(onPage(s, deep)))
	if n := s.records(); n != 1 {
		t.Errorf("%d session records", n)
	}
	cookies := c.cookies()
	for _, name := range []string{sessionCookie, loginCookie} {
		if found := cookies[name]; !found.HTTPOnly || found.SameSite != network.CookieSameSiteLax || found.Path != "/" {
			t.Errorf("the cookie %s: %+v", name, found)
		}
	}
	check(t, b.shows(`!document.cookie.includes("authsvc")`))
	cookie := cookies[sessionCookie].Value
	check(t, s.signedInAs("alice", cookie))

	// The button of /logout posts, and is led over the provider and back: three origins, one policy.
	check(t, b.click("#leave"))
	check(t, b.shows(`location.pathname == "/logout" && document.querySelector("form[method=post] button")`))
	check(t, b.click("form[method=post] button"))
	check(t, b.shows(fmt.Sprintf(`location.href == %q && document.querySelector("a")`, s.url+"/signed_out")))
	if n := s.records(); n != 0 {
		t.Errorf("%d session records after the logout", n)
	}
	check(t, s.refused(cookie))
	if _, kept := c.cookies()[sessionCookie]; kept {
		t.Error("the browser kept its session cookie")
	}
	if ends := s.provider.Requests(idptest.EndSession); len(ends) != 1 || ends[0].Status != http.StatusSeeOther {
		t.Errorf("the provider was asked to sign out: %+v", ends)
	}

	// The application asks for a login again, and the provider for the person.
	check(t, b.open(s.url+"/page/again?x=y"))
	check(t, b.shows(onSignIn))
	check(t, b.click(signInButton))
	check(t, b.shows(onPage(s, "/page/again?x=y")))
	if n := s.records(); n != 1 {
		t.Errorf("%d session records", n)
	}
}

// TestBrowserTenTabs: a new profile opens ten tabs, and all wait at the provider. The person signs in on the first, and then on each of the
// others.
func TestBrowserTenTabs(t *testing.T) {
	const tabs = 10
	for name, open := range map[string]func(s *stack, c *chromium, tabs []*tab){
		"at once": func(s *stack, _ *chromium, tabs []*tab) {
			check(s.t, together(len(tabs), len(tabs), func(i int) error { return tabs[i].toSignIn(s, i) }))
		},
		// So it is when all are quicker than the first answer: each tab gets a login cookie, and the last one stays.
		"each with a login cookie of its own": func(s *stack, c *chromium, tabs []*tab) {
			for i, b := range tabs {
				c.forgetCookies()
				check(s.t, b.toSignIn(s, i))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBrowserStack(t)
			c := newChromium(t)
			var opened []*tab
			for range tabs {
				b, err := c.newTab()
				check(t, err)
				opened = append(opened, b)
			}
			open(s, c, opened)
			if n := s.records(); n != 0 {
				t.Errorf("%d session records before anybody signed in", n)
			}
			for i, b := range opened {
				check(t, b.click(signInButton))
				check(t, b.shows(onPage(s, pageOf(i))))
			}
			if n := s.records(); n != 1 {
				t.Errorf("%d session records", n)
			}
			cookies := c.cookies()
			if _, found := cookies[loginCookie]; !found || len(cookies) != 2 {
				t.Errorf("the browser holds the cookies %q", slices.Sorted(maps.Keys(cookies)))
			}
			check(t, s.signedInAs("alice", cookies[sessionCookie].Value))
			ledOn := 0
			for _, r := range s.replicas {
				n, err := strconv.Atoi(r.metric(`authsvc_logins_total{result="other_browser"}`))
				check(t, err)
				ledOn += n
			}
			t.Logf("%d callbacks with another tab's login cookie were led on", ledOn)
			if name != "at once" && ledOn != tabs-1 {
				t.Errorf("it should be %d", tabs-1)
			}
		})
	}
}

func pageOf(i int) string { return fmt.Sprintf("/page/tab-%d?a=b&n=%d", i, i) }

// toSignIn opens the ith page of the application, and waits for the provider's sign-in page.
func (b *tab) toSignIn(s *stack, i int) error {
	if err := b.open(s.url + pageOf(i)); err != nil {
		return err
	}
	return b.shows(onSignIn)
}

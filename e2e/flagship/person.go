package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"
)

// sessionCookie is the default name on http.
const sessionCookie = "authsvc"

// person is somebody with a browser.
type person struct {
	rig    *rig
	name   string // the subject, too
	cookie string // the session cookie's value

	began, signedIn time.Time // the login
	asked           time.Time // when the last burst was answered
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	user   string // whom the request was taken for
	took   time.Duration
}

// title is that of the page, or the beginning of what came instead.
func (a answer) title() string {
	text := a.body
	if _, rest, found := strings.Cut(text, "<title>"); found {
		text, _, _ = strings.Cut(rest, "</title>")
	}
	return text[:min(len(text), 80)]
}

// get sends one request without cookies, unless the header has some.
func (r *rig) get(ctx context.Context, address string, header http.Header) (answer, error) {
	return r.send(ctx, http.MethodGet, address, header)
}

func (r *rig) send(ctx context.Context, method, address string, header http.Header) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return answer{}, err
	}
	if header != nil {
		request.Header = header
	}
	request.Host = r.site
	start := time.Now()
	response, err := r.browser.Do(request)
	if err != nil {
		return answer{took: time.Since(start)}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return answer{status: response.StatusCode, header: response.Header, body: string(body), took: time.Since(start)}, err
}

// signIn opens a page as somebody new would, and follows where that leads: to the provider and back to the page.
func (p *person) signIn(ctx context.Context) error {
	a, path, err := p.visit(ctx, nil)
	if err == nil && (a.status != http.StatusOK || a.body != p.name) {
		err = fmt.Errorf("it comes to %s: %d %q", path, a.status, a.title())
	}
	if err == nil && p.cookie == "" {
		err = errors.New("there is no session cookie")
	}
	if err != nil {
		return fmt.Errorf("%s signs in: %w", p.name, err)
	}
	return nil
}

// callBack is signIn up to the answer of the callback, whatever it is.
func (p *person) callBack(ctx context.Context) (answer, error) {
	a, path, err := p.visit(ctx, func(_ *http.Request, via []*http.Request) error {
		if via[len(via)-1].URL.Path == "/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	})
	if err == nil && path != "/callback" {
		err = fmt.Errorf("it comes to %s: %d", path, a.status)
	}
	if err != nil {
		return a, fmt.Errorf("%s signs in: %w", p.name, err)
	}
	return a, nil
}

// visit opens a page with a new browser, follows redirects as it is told, and tells where they ended.
func (p *person) visit(ctx context.Context, follow func(*http.Request, []*http.Request) error) (a answer, path string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return a, "", err
	}
	browser := &http.Client{Jar: jar, Transport: p.rig.browser.Transport, Timeout: time.Minute, CheckRedirect: follow}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.rig.url+"/page", nil)
	if err != nil {
		return a, "", err
	}
	// A redirect keeps these headers.
	request.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, personHeader: {p.name}}
	p.began, p.cookie = time.Now(), ""
	response, err := browser.Do(request)
	if err != nil {
		return a, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	p.signedIn = time.Now()
	site := &url.URL{Scheme: "http", Host: p.rig.site, Path: "/"}
	for _, c := range jar.Cookies(site) {
		if c.Name == sessionCookie {
			p.cookie = c.Value
		}
	}
	return answer{response.StatusCode, response.Header, string(body), "", p.signedIn.Sub(p.began)}, response.Request.URL.Path, err
}

func (p *person) header() http.Header {
	return http.Header{"Cookie": {sessionCookie + "=" + p.cookie}, "Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}}
}

// ask opens a page through nginx.
func (p *person) ask(ctx context.Context) (answer, error) {
	a, err := p.rig.get(ctx, p.rig.url+"/page", p.header())
	a.user = a.body
	return a, err
}

// askAt asks one replica for the verdict, as nginx does.
func (p *person) askAt(ctx context.Context, one *replica) (answer, error) {
	a, err := p.rig.get(ctx, "http://"+one.address+"/auth", p.header())
	a.user = a.header.Get("X-Auth-Request-User")
	return a, err
}

// burst opens n pages at once and adds what came to the tally.
func (p *person) burst(ctx context.Context, n int, t *tally) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() { t.add(p, p.ask)(ctx) })
	}
	all.Wait()
	p.asked = time.Now()
}

// signOut presses the button of the sign-out page. base is the site, or a replica.
func (p *person) signOut(ctx context.Context, base string) error {
	header := p.header()
	header.Set("Origin", p.rig.url)
	a, err := p.rig.send(ctx, http.MethodPost, base+"/logout", header)
	if err == nil && a.status != http.StatusSeeOther {
		err = fmt.Errorf("/logout answers %d", a.status)
	}
	if err != nil {
		return fmt.Errorf("%s signs out: %w", p.name, err)
	}
	return nil
}

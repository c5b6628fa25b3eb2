package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"time"
)

// SessionCookie is the default name on http.
const SessionCookie = "authsvc"

// Person is somebody with a browser.
type Person struct {
	Rig    *Rig
	Name   string // the subject, too
	Cookie string // the session cookie's value
	// UserAgent is what the browser calls itself in SignInAt; "" is Go's.
	UserAgent string

	Began, SignedIn time.Time // the login
}

// Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	User   string // whom the request was taken for
	Took   time.Duration
}

// Title is that of the page, or the beginning of what came instead.
func (a Answer) Title() string {
	text := a.Body
	if _, rest, found := strings.Cut(text, "<title>"); found {
		text, _, _ = strings.Cut(rest, "</title>")
	}
	return text[:min(len(text), 80)]
}

// Get sends one request without cookies, unless the header has some.
func (r *Rig) Get(ctx context.Context, address string, header http.Header) (Answer, error) {
	return r.Send(ctx, http.MethodGet, address, header, "")
}

// Send sends one request, whose Host is the site's. Redirects are not followed. The time of an error's Answer is told as well.
func (r *Rig) Send(ctx context.Context, method, address string, header http.Header, body string) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	if header != nil {
		request.Header = header
	}
	request.Host = r.Site
	start := time.Now()
	response, err := r.Browser.Do(request)
	if err != nil {
		return Answer{Took: time.Since(start)}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return Answer{Status: response.StatusCode, Header: response.Header, Body: string(text), Took: time.Since(start)}, err
}

// SignIn opens a page as somebody new would, and follows where that leads: to the provider and back to the page.
func (p *Person) SignIn(ctx context.Context) error {
	a, path, err := p.visit(ctx, nil)
	if err == nil && (a.Status != http.StatusOK || a.Body != p.Name) {
		err = fmt.Errorf("it comes to %s: %d %q", path, a.Status, a.Title())
	}
	if err == nil && p.Cookie == "" {
		err = errors.New("there is no session cookie")
	}
	if err != nil {
		return fmt.Errorf("%s signs in: %w", p.Name, err)
	}
	return nil
}

// CallBack is SignIn up to the answer of the callback, whatever it is.
func (p *Person) CallBack(ctx context.Context) (Answer, error) {
	a, path, err := p.visit(ctx, func(_ *http.Request, via []*http.Request) error {
		if via[len(via)-1].URL.Path == "/callback" {
			return http.ErrUseLastResponse
		}
		return nil
	})
	if err == nil && path != "/callback" {
		err = fmt.Errorf("it comes to %s: %d", path, a.Status)
	}
	if err != nil {
		return a, fmt.Errorf("%s signs in: %w", p.Name, err)
	}
	return a, nil
}

// visit opens a page with a new browser, follows redirects as it is told, and tells where they ended.
func (p *Person) visit(ctx context.Context, follow func(*http.Request, []*http.Request) error) (a Answer, path string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return a, "", err
	}
	browser := &http.Client{Jar: jar, Transport: p.Rig.Browser.Transport, Timeout: time.Minute, CheckRedirect: follow}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.Rig.URL+"/page", nil)
	if err != nil {
		return a, "", err
	}
	// A redirect keeps these headers.
	request.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, personHeader: {p.Name}}
	p.Began, p.Cookie = time.Now(), ""
	response, err := browser.Do(request)
	if err != nil {
		return a, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	p.SignedIn = time.Now()
	site := &url.URL{Scheme: "http", Host: p.Rig.Site, Path: "/"}
	for _, c := range jar.Cookies(site) {
		if c.Name == SessionCookie {
			p.Cookie = c.Value
		}
	}
	return Answer{response.StatusCode, response.Header, string(body), "", p.SignedIn.Sub(p.Began)}, response.Request.URL.Path, err
}

func (p *Person) header() http.Header {
	return http.Header{"Cookie": {SessionCookie + "=" + p.Cookie}, "Accept": {"*/*"}, "Sec-Fetch-Mode": {"cors"}}
}

// Ask opens a page through nginx.
func (p *Person) Ask(ctx context.Context) (Answer, error) {
	a, err := p.Rig.Get(ctx, p.Rig.URL+"/page", p.header())
	a.User = a.Body
	return a, err
}

// AskAt asks one replica for the verdict, as nginx does.
func (p *Person) AskAt(ctx context.Context, one *Replica) (Answer, error) {
	a, err := p.Rig.Get(ctx, "http://"+one.Address+"/auth", p.header())
	a.User = a.Header.Get("X-Auth-Request-User")
	return a, err
}

// SignOut presses the button of the sign-out page. base is the site, or a replica.
func (p *Person) SignOut(ctx context.Context, base string) error {
	a, err := p.PressSignOut(ctx, base)
	if err == nil && a.Status != http.StatusSeeOther {
		err = fmt.Errorf("/logout answers %d", a.Status)
	}
	if err != nil {
		return fmt.Errorf("%s signs out: %w", p.Name, err)
	}
	return nil
}

// PressSignOut is SignOut for whom every answer will do.
func (p *Person) PressSignOut(ctx context.Context, base string) (Answer, error) {
	header := p.header()
	header.Set("Origin", p.Rig.URL)
	return p.Rig.Send(ctx, http.MethodPost, base+"/logout", header, "")
}

// SignInAt signs in without nginx: it begins at one replica and comes back from the provider to another. It returns the answer of whoever was last, which is a
// 302 with the Cookie set, or of the replica that stopped it.
func (p *Person) SignInAt(ctx context.Context, first, second *Replica) (Answer, error) {
	p.Began, p.Cookie = time.Now(), ""
	header := func() http.Header {
		h := http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, personHeader: {p.Name}}
		if p.UserAgent != "" {
			h.Set("User-Agent", p.UserAgent)
		}
		return h
	}
	begun, err := p.Rig.Get(ctx, "http://"+first.Address+"/start?rd=%2Fpage", header())
	if err != nil || begun.Status != http.StatusFound {
		return begun, err
	}
	consent, err := p.Rig.Get(ctx, begun.Header.Get("Location"), header())
	if err == nil && consent.Status/100 != 3 {
		err = fmt.Errorf("the provider answers %s with %d", p.Name, consent.Status)
	}
	if err != nil {
		return Answer{}, err
	}
	callback, found := strings.CutPrefix(consent.Header.Get("Location"), p.Rig.URL)
	if !found {
		return consent, fmt.Errorf("the provider sends %s to %s", p.Name, consent.Header.Get("Location"))
	}
	back := header()
	for _, c := range (&http.Response{Header: begun.Header}).Cookies() {
		back.Add("Cookie", c.Name+"="+c.Value)
	}
	a, err := p.Rig.Get(ctx, "http://"+second.Address+callback, back)
	p.SignedIn = time.Now()
	for _, c := range (&http.Response{Header: a.Header}).Cookies() {
		if c.Name == SessionCookie && c.MaxAge >= 0 {
			p.Cookie = c.Value
		}
	}
	return a, err
}

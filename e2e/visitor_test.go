package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// personHeader tells the provider who sits at the browser, which answers its sign-in page at once.
const personHeader = "X-Person"

// patience bounds every request of a test; retries is how often people load a 503 page again.
const patience, retries = 40 * time.Second, 3

// transport is shared: a browser is its cookies.
var transport = &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: 5 * time.Second}

// direct asks without cookies and follows nothing.
var direct = &http.Client{Transport: transport, Timeout: patience, CheckRedirect: follow(0)}

func follow(most int) func(*http.Request, []*http.Request) error {
	return func(_ *http.Request, via []*http.Request) error {
		if len(via) > most {
			return http.ErrUseLastResponse
		}
		return nil
	}
}

// visitor is a browser with a person in front of it. It is safe for concurrent use, as tabs are.
type visitor struct {
	stack  *stack
	person string
	client *http.Client
}

func (s *stack) visitor(person string) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &visitor{s, person, &http.Client{Jar: jar, Transport: s.transport(), Timeout: patience, CheckRedirect: follow(0)}}
}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   string
	url    *url.URL // that was asked
	took   time.Duration
}

func (r reply) String() string {
	if r.url == nil {
		return "no answer"
	}
	text := r.body
	if _, title, found := strings.Cut(text, "<title>"); found {
		text, _, _ = strings.Cut(title, "</title>")
	}
	return fmt.Sprintf("%s: %d, Location %q, %d cookies set, %.200s", r.url.Path, r.status, r.header.Get("Location"), len(r.header["Set-Cookie"]), text)
}

// next is where the answer sends a browser without asking the person: a redirect, or a page with "Refresh: 0; url=…". "" if nowhere.
func (r reply) next() string {
	if location := r.header.Get("Location"); location != "" {
		return location
	}
	location, _ := strings.CutPrefix(r.header.Get("Refresh"), "0; url=")
	return location
}

// cookies returns the names of the cookies that the answer sets or expires.
func (r reply) cookies() []*http.Cookie { return (&http.Response{Header: r.header}).Cookies() }

// exchange sends a request and reads the answer.
func exchange(client *http.Client, request *http.Request) (reply, error) {
	start := time.Now()
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(body), request.URL, time.Since(start)}, err
}

// send sends one request as a page load and follows nothing.
func (v *visitor) send(method, address string, header http.Header) (reply, error) {
	if strings.HasPrefix(address, "/") {
		address = v.stack.url + address
	}
	request, err := http.NewRequestWithContext(v.stack.t.Context(), method, address, nil)
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Accept", "text/html,*/*;q=0.8")
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	if strings.HasPrefix(address, v.stack.provider.Issuer()) {
		request.Header.Set(personHeader, v.person)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	return exchange(v.client, request)
}

// at sends one request straight to a replica, as if it had come through nginx.
func (v *visitor) at(r *replica, method, path string) (reply, error) {
	request, err := http.NewRequestWithContext(v.stack.t.Context(), method, "http://"+r.address+path, nil)
	if err != nil {
		return reply{}, err
	}
	request.Host = v.stack.host()
	return exchange(v.client, request)
}

// walk opens an address and follows redirects, and pages that lead on by themselves, until one leads where stop says, which is
// not opened. The answer is the last one. A 503 page is loaded again, a few times, as people do: the store's time is short, and on a busy
// machine Redis can be late without any fault. Tests that count on every answer, or on a 503, send by themselves.
func (v *visitor) walk(address string, stop func(*url.URL) bool) (reply, error) {
	again := retries
	for range 15 {
		answer, err := v.send(http.MethodGet, address, nil)
		if err == nil && answer.status == http.StatusServiceUnavailable && again > 0 {
			again--
			continue
		}
		location := answer.next()
		if err != nil || location == "" {
			return answer, err
		}
		next, err := answer.url.Parse(location)
		if err != nil || stop != nil && stop(next) {
			return answer, err
		}
		address = next.String()
	}
	return reply{}, fmt.Errorf("more than 15 redirects, the last to %s", address)
}

// open opens an address and follows redirects to the end.
func (v *visitor) open(address string) (reply, error) { return v.walk(address, nil) }

// toCallback begins a login that ends at path, and returns the callback's address without opening it.
func (v *visitor) toCallback(path string) (string, error) {
	answer, err := v.walk(v.stack.url+"/start?rd="+url.QueryEscape(path), isCallback)
	if err != nil {
		return "", err
	}
	if location := answer.header.Get("Location"); strings.Contains(location, "/callback?") {
		return location, nil
	}
	return "", fmt.Errorf("the login did not come to its callback: %s", answer)
}

func isCallback(u *url.URL) bool { return strings.HasSuffix(u.Path, "/callback") }

// arrive opens a page of the application, if need be through a login, and checks that it is this page and knows who is there.
func (v *visitor) arrive(path string) (identity, error) {
	answer, err := v.open(path)
	if err != nil {
		return identity{}, err
	}
	return v.arrived(answer, path)
}

func (v *visitor) arrived(answer reply, path string) (identity, error) {
	var who identity
	if answer.status != http.StatusOK || json.Unmarshal([]byte(answer.body), &who) != nil {
		return who, fmt.Errorf("%s did not come to %s: %s", v.person, path, answer)
	}
	if who.User != v.person || who.Path != path || len(answer.header["Set-Cookie"]) > 0 || !v.stack.passesOurCookie && strings.Contains(who.Cookie, "authsvc") {
		return who, fmt.Errorf("%s at %s got %+v with %d cookies", v.person, path, who, len(answer.header["Set-Cookie"]))
	}
	return who, nil
}

// signIn opens a page of the application as somebody new would, and fails the test unless that ends at the page.
func (v *visitor) signIn() {
	v.stack.t.Helper()
	_, err := v.arrive("/deep?a=b&c=d")
	check(v.stack.t, err)
}

// signInAgain begins a new login that ends at the path, and checks that it does.
func (v *visitor) signInAgain(path string) error {
	answer, err := v.open("/start?rd=" + url.QueryEscape(path))
	if err == nil {
		_, err = v.arrived(answer, path)
	}
	return err
}

// logOut presses the button of /logout, and checks that the session is over. It does not follow to the provider.
func (v *visitor) logOut() (reply, error) {
	cookie := v.cookie(sessionCookie)
	answer, err := v.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	for again := retries; err == nil && answer.status == http.StatusServiceUnavailable && again > 0; again-- {
		answer, err = v.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	}
	if err != nil {
		return answer, err
	}
	if answer.status != http.StatusSeeOther || v.cookie(sessionCookie) != "" {
		return answer, fmt.Errorf("%s cannot sign out: %s", v.person, answer)
	}
	return answer, v.stack.refused(cookie)
}

// cookie returns the value of a cookie that the browser holds for the site, "" if there is none.
func (v *visitor) cookie(name string) string {
	for _, c := range v.cookies() {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// cookies returns those of the service: jars do not tell ports apart, so the provider's are there too.
func (v *visitor) cookies() []*http.Cookie {
	return slices.DeleteFunc(v.client.Jar.Cookies(v.stack.address()), func(c *http.Cookie) bool { return !strings.Contains(c.Name, "authsvc") })
}

// sessionCookie is the default name on http.
const sessionCookie, loginCookie = "authsvc", "authsvc_login"

// auth asks a replica for the verdict on a Cookie header, and checks what holds for every answer of /auth.
func (r *replica) auth(query string, header http.Header) (reply, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+r.address+"/auth"+query, nil)
	if err != nil {
		return reply{}, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	answer, err := exchange(direct, request)
	if err != nil {
		return answer, err
	}
	return answer, checkVerdict(answer)
}

// authCookie is auth with one value of the session cookie.
func (r *replica) authCookie(value string) (reply, error) {
	return r.auth("", http.Header{"Cookie": {sessionCookie + "=" + value}})
}

// checkVerdict checks the contract of /auth.
func checkVerdict(answer reply) error {
	h := answer.header
	switch {
	case !slices.Contains([]int{http.StatusOK, http.StatusUnauthorized, http.StatusForbidden, http.StatusServiceUnavailable}, answer.status):
		return fmt.Errorf("a verdict with status %d", answer.status)
	case len(h["Set-Cookie"]) > 0:
		return errors.New("a verdict with Set-Cookie")
	case answer.body != "" || h.Get("Content-Length") != "0":
		return errors.New("a verdict with a body")
	case answer.status != http.StatusOK && h.Get("Cache-Control") != "no-store":
		return errors.New("a refusal that may be cached")
	case answer.status == http.StatusServiceUnavailable && h.Get("Retry-After") == "":
		return errors.New("a 503 without Retry-After")
	}
	return nil
}

// signedInAs checks that every replica lets the session cookie pass as this person.
func (s *stack) signedInAs(person, cookie string) error {
	for _, r := range s.replicas {
		if err := r.passes(person, cookie); err != nil {
			return err
		}
	}
	return nil
}

// passes checks that the replica lets the session cookie pass as this person.
func (r *replica) passes(person, cookie string) error {
	answer, err := r.certain(cookie)
	if err != nil {
		return err
	}
	if user := answer.header.Get("X-Auth-Request-User"); answer.status != http.StatusOK || user != person {
		return fmt.Errorf("replica %s says %d %q to %s", r.address, answer.status, user, person)
	}
	return nil
}

// endBound is how soon the end of a session holds on every replica. A push tells them in a moment, and session.cache_ttl (5 s unless set) bounds what a
// lost one costs. Tests wait for ten times what they are told to expect, at most.
const endBound = time.Second

// refused checks that every replica answers 401 to the session cookie: a replica may let it pass from its cache until the push has come, and from then
// on never.
func (s *stack) refused(cookie string) error {
	for i, r := range s.replicas {
		deadline := time.Now().Add(10 * endBound)
		for {
			answer, err := r.certain(cookie)
			if err == nil && answer.status == http.StatusUnauthorized {
				break
			}
			if err != nil || answer.status != http.StatusOK || time.Now().After(deadline) {
				return fmt.Errorf("replica %d says %d, %v; want 401", i, answer.status, err)
			}
			time.Sleep(2 * time.Millisecond) // the pace of asking
		}
	}
	return nil
}

// certain asks for a verdict a few times if it is 503, for the reason that walk tells.
func (r *replica) certain(cookie string) (answer reply, err error) {
	for range 1 + retries {
		if answer, err = r.authCookie(cookie); err != nil || answer.status != http.StatusServiceUnavailable {
			break
		}
	}
	return answer, err
}

// together calls f for 0 to n-1, at most workers at once, and joins what goes wrong.
func together(n, workers int, f func(i int) error) error {
	errs := make([]error, n)
	next := make(chan int)
	var running sync.WaitGroup
	for range workers {
		running.Go(func() {
			for i := range next {
				errs[i] = f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	running.Wait()
	return join(errs)
}

// join joins errors, the first few of them: in an outage all say the same.
func join(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if more := len(errs) - 5; more > 0 {
		errs = append(errs[:5], fmt.Errorf("and %d more", more))
	}
	return errors.Join(errs...)
}

// check fails the test at once if there is an error.
func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

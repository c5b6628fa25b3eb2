// Package pages writes the few pages that a person sees: the end of a login, the question before a sign-out, and
// the refusals. A page says in one sentence what happened, in one what to do, and offers one button.
//
// Every page stands alone: no script, no picture, font or style from anywhere else, so its Content-Security-Policy
// allows nothing but the one style that is embedded here. It is written in the language that the browser asks for.
//
// The package knows nothing of sessions or providers, so that whatever has failed, it can still say so.
package pages

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Kind says which page. Its value is also the prefix of its keys in messages/*.json. Any other value, also the
// empty one, is written as Internal.
type Kind string

const (
	ChooseProvider      Kind = "choose_provider"      // 200 on GET /start: Choices lead to where a login begins; there is no other button
	SignOut             Kind = "sign_out"             // 200 on GET /logout: asks, and posts to Action
	SignedOut           Kind = "signed_out"           // 200 after a logout; Action signs in again
	NotAllowed          Kind = "not_allowed"          // 403: signed in, but may not pass; Action signs in as someone else, SignOut posts
	StepUp              Kind = "step_up"              // 403: the provider did not give the login that a rule asks for; Action tries again
	AccessDenied        Kind = "access_denied"        // 403: the provider answered access_denied; Action tries again
	StartAgain          Kind = "start_again"          // 400: the login expired or, with Cookie, its cookie did not come back
	BadRequest          Kind = "bad_request"          // 400: the callback's state is absent or unreadable
	BadReturnAddress    Kind = "bad_return_address"   // 400: `rd` is not allowed; Action leads to an address that is
	ProviderUnavailable Kind = "provider_unavailable" // 503: the provider does not answer; Action tries again
	ProviderError       Kind = "provider_error"       // 502: the provider's answer failed a check; Action tries again
	StoreUnavailable    Kind = "store_unavailable"    // 503: the session store does not answer; Action tries again
	LogoutUnavailable   Kind = "logout_unavailable"   // 503: the sign-out is not confirmed, the cookie is kept; posts to Action
	Sessions            Kind = "sessions"             // 200: where the person is signed in; Action posts to end all others, End each one
	EndUnavailable      Kind = "end_unavailable"      // 503: the end of another session is not confirmed; Action leads back to the list
	Forbidden           Kind = "forbidden"            // 403: a POST that another site sent; Action opens our own page with the button
	NotFound            Kind = "not_found"            // 404; Action leads to the start page
	MethodNotAllowed    Kind = "method_not_allowed"   // 405; the caller sets Allow; Action leads to the start page
	TooMany             Kind = "too_many"             // 429: more logins than one address may begin; Action tries again
	Internal            Kind = "internal"             // 500; Action tries again
)

// appearance is what differs between kinds besides their words.
type appearance struct {
	symbol string // a picture of page.html
	post   bool   // Action is posted by a form; else it is a link
}

var appearances = map[Kind]appearance{
	ChooseProvider:      {"lock", false},
	SignOut:             {"leave", true},
	SignedOut:           {"done", false},
	NotAllowed:          {"lock", false},
	StepUp:              {"lock", false},
	AccessDenied:        {"lock", false},
	StartAgain:          {"again", false},
	BadRequest:          {"again", false},
	BadReturnAddress:    {"warning", false},
	ProviderUnavailable: {"clock", false},
	ProviderError:       {"warning", false},
	StoreUnavailable:    {"clock", false},
	LogoutUnavailable:   {"clock", true},
	Sessions:            {"devices", true},
	EndUnavailable:      {"clock", false},
	Forbidden:           {"lock", false},
	NotFound:            {"search", false},
	MethodNotAllowed:    {"search", false},
	TooMany:             {"clock", false},
	Internal:            {"warning", false},
}

// Page is one page. Every field may come from a stranger: it is escaped, and cut or left out where it is too long.
type Page struct {
	Kind Kind

	// RequestID stands in small type at the foot, to be read to whoever helps; at most 128 bytes of it are shown.
	RequestID string

	// Action is the address of the one main button: a path that begins with exactly one '/', or an absolute http or
	// https URL without user information, at most 4096 bytes. Anything else leaves the button out. SignOut, Sessions and
	// LogoutUnavailable post to it, so there it must be of the page's own origin; all others link to it.
	Action string

	// Choices are the links of ChooseProvider, in this order; MaxChoices of them are shown, and those whose Address is not one by the rules of Action are
	// left out. Other kinds ignore them.
	Choices []Choice

	// SignOut is where the second button of NotAllowed posts to, by the rules of Action. Other kinds ignore it.
	SignOut string

	// Cookie is the name of the login cookie that did not come back, for StartAgain; at most 128 bytes of it are
	// shown. Empty says that the login has expired. Other kinds ignore it.
	Cookie string

	// FormTargets are the addresses, besides the page's own origin, that a redirect after its form may lead to:
	// Chromium and Safari hold the policy of the page against every hop of that redirect, and where one is missing
	// the button does nothing at all (https://github.com/w3c/webappsec-csp/issues/8). Give the provider's
	// end_session_endpoint, whole or as an origin. What is no http or https address, or names its host by an IPv6
	// literal, which CSP cannot write, is left out; so is what comes after the eighth. Kinds without a form ignore it.
	FormTargets []string

	// Sessions are what the page of that kind lists, in this order; MaxSessions of them are shown. More says that there are others. The button of each
	// posts its ID as "session" to End, by the rules of Action; Action gets "others". Other kinds ignore them.
	Sessions []Session
	More     bool
	End      string

	// RetryAfter is told with status 503 and 429, rounded up to whole seconds; zero or less is 5 s.
	RetryAfter time.Duration
}

const (
	maxShown          = 128  // bytes of RequestID and Cookie
	maxAddress        = 4096 // bytes of Action and SignOut
	maxFormTargets    = 8
	defaultRetryAfter = 5 * time.Second
)

//go:embed page.html
var pageSource string

//go:embed style.css
var style string

var page = sync.OnceValue(func() *template.Template { return template.Must(template.New("page").Parse(pageSource)) })

// Write answers r with p under status, in the language of r's Accept-Language. It sets every header that the page
// needs, Retry-After with status 503 and 429 included, and leaves the others of w alone. The answer to HEAD has no body.
//
// The page is whole before the first byte leaves. Its error says that the page could not be made, which is a fault
// of this package; the person has then got the status as plain text. That the client has gone is no error here.
// Safe for concurrent use.
func Write(w http.ResponseWriter, r *http.Request, status int, p Page) error {
	return write(w, r, status, p, page())
}

func write(w http.ResponseWriter, r *http.Request, status int, p Page, t *template.Template) error {
	c := choose(r.Header.Values("Accept-Language"))
	v := newView(p, c)

	var body bytes.Buffer // bounded, since every field of the view is
	contentType := "text/html; charset=utf-8"
	err := t.Execute(&body, v)
	if err != nil {
		err = fmt.Errorf("pages: %s in %s: %w", p.Kind, c.lang, err)
		contentType = "text/plain; charset=utf-8"
		body.Reset()
		fmt.Fprintf(&body, "%d %s\n%s\n", status, http.StatusText(status), v.RequestID)
	}

	h := w.Header()
	setSecurityHeaders(h, v, p.FormTargets)
	h.Set("Content-Type", contentType)
	h.Set("Content-Language", c.lang)
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Add("Vary", "Accept-Language")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		h.Set("Retry-After", retryAfter(p.RetryAfter))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
	return err
}

// retryAfter is the delay-seconds of RFC 9110, section 10.2.3.
func retryAfter(d time.Duration) string {
	if d <= 0 {
		d = defaultRetryAfter
	}
	return strconv.FormatInt(int64(math.Ceil(d.Seconds())), 10)
}

// view is what page.html reads.
type view struct {
	Lang, Dir, Title string
	Style            template.CSS
	Symbol           string

	// What happened, around the cookie's name when there is one.
	WhatBefore, Cookie, WhatAfter string
	Why                           string
	Reasons                       []string
	Do                            string

	Choices              []choice
	Action, Button       string
	Post                 bool
	SignOut, SignOutText string

	List *sessionList // nil for all kinds but Sessions

	RequestIDText, RequestID string
}

func newView(p Page, c *catalogue) view {
	kind := p.Kind
	look, ok := appearances[kind]
	if !ok {
		kind = Internal
		look = appearances[kind]
	}
	text := func(key string) string { return c.texts[string(kind)+"."+key] }
	v := view{
		Lang: c.lang, Dir: c.texts["dir"], Title: text("title"),
		Style: template.CSS(style), Symbol: look.symbol,
		WhatBefore: text("what"), Do: text("do"),
		Button: text("button"), Post: look.post,
		RequestIDText: c.texts["request_id"], RequestID: shown(p.RequestID),
	}
	if safeAddress(p.Action) {
		v.Action = p.Action
	}
	if kind == ChooseProvider {
		v.Action, v.Choices = "", newChoices(p.Choices, text("button"))
	}
	if kind == NotAllowed && safeAddress(p.SignOut) {
		v.SignOut, v.SignOutText = p.SignOut, text("sign_out")
	}
	if kind == Sessions {
		v.List = newSessionList(p, text)
	}
	if kind == StartAgain && p.Cookie != "" {
		v.Cookie = shown(p.Cookie)
		v.WhatBefore, v.WhatAfter, _ = strings.Cut(text("cookie"), "{cookie}")
		v.Why = text("why")
		v.Reasons = []string{text("why_blocked"), text("why_address"), text("why_private")}
	}
	return v
}

// hasForm says whether the page posts anything.
func (v view) hasForm() bool {
	return v.Post && v.Action != "" || v.SignOut != "" || v.List != nil && v.List.End != ""
}

// shown cuts s to what a page shows of a stranger's text: maxShown bytes of valid UTF-8.
func shown(s string) string {
	if len(s) > maxShown {
		s = s[:maxShown]
	}
	return strings.ToValidUTF8(s, "")
}

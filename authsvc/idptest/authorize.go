package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// authorization is a checked authorization request (Core 3.1.2.1, RFC 7636).
type authorization struct {
	client       *Client
	redirectURI  string
	responseMode string
	state        string
	scopes       []string
	nonce        string
	challenge    string
	prompt       []string
	maxAge       time.Duration // negative: not asked for
	acr          string        // the first of acr_values that the provider knows
	parameters   string        // the request as it came, for the sign-in page
}

// oauthError is an error answer of RFC 6749 sections 4.1.2.1 and 5.2.
type oauthError struct {
	code        string
	description string
}

func (e *oauthError) Error() string { return e.code + ": " + e.description }

func refuse(code, format string, args ...any) *oauthError {
	return &oauthError{code, fmt.Sprintf(format, args...)}
}

// parameters reads a request's parameters from where its method puts them, and from nowhere else.
func parameters(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost {
		return url.ParseQuery(r.URL.RawQuery)
	}
	if !isForm(r) {
		return nil, refuse("invalid_request", "the body must be application/x-www-form-urlencoded")
	}
	if err := r.ParseForm(); err != nil {
		return nil, err
	}
	return r.PostForm, nil
}

func isForm(r *http.Request) bool {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(kind), "application/x-www-form-urlencoded")
}

// twice names a parameter that comes more than once (RFC 6749 section 3.1), or "".
func twice(values url.Values) string {
	for name, all := range values {
		if len(all) > 1 {
			return name
		}
	}
	return ""
}

// parseAuthorization checks a request. A nil authorization means that there is no address that an error
// could be sent to; otherwise the error goes to its redirect address.
func (p *Provider) parseAuthorization(v url.Values) (*authorization, *oauthError) {
	if len(v["client_id"]) > 1 || len(v["redirect_uri"]) > 1 {
		return nil, refuse("invalid_request", "client_id or redirect_uri comes twice")
	}
	client := p.client(v.Get("client_id"))
	if client == nil {
		return nil, refuse("invalid_request", "no such client is registered")
	}
	if !slices.Contains(client.RedirectURIs, v.Get("redirect_uri")) {
		return nil, refuse("invalid_request", "this redirect_uri is not registered for the client")
	}
	a := &authorization{
		client:      client,
		redirectURI: v.Get("redirect_uri"),
		state:       v.Get("state"),
		scopes:      strings.Fields(v.Get("scope")),
		nonce:       v.Get("nonce"),
		challenge:   v.Get("code_challenge"),
		prompt:      strings.Fields(v.Get("prompt")),
		maxAge:      -1,
		parameters:  v.Encode(),
	}
	switch mode := v.Get("response_mode"); mode {
	case "", "query":
		a.responseMode = "query"
	case "form_post":
		a.responseMode = mode
	default:
		return a, refuse("invalid_request", "response_mode must be query or form_post")
	}
	if refusal := p.options.Shape.checkScopes(a.scopes); refusal != nil {
		return a, refusal
	}
	return a, a.check(v, p.options.ACRValues)
}

func (a *authorization) check(v url.Values, knownACR []string) *oauthError {
	if name := twice(v); name != "" {
		return refuse("invalid_request", "%s comes twice", name)
	}
	switch {
	case v.Has("request"):
		return refuse("request_not_supported", "request objects are not supported")
	case v.Has("request_uri"):
		return refuse("request_uri_not_supported", "request_uri is not supported")
	case v.Get("response_type") == "":
		return refuse("invalid_request", "response_type is missing")
	case v.Get("response_type") != "code":
		return refuse("unsupported_response_type", "response_type must be code")
	case !slices.Contains(a.scopes, "openid"):
		return refuse("invalid_scope", "scope must contain openid")
	case a.challenge == "":
		return refuse("invalid_request", "code_challenge is required")
	case v.Get("code_challenge_method") != "S256":
		return refuse("invalid_request", "code_challenge_method must be S256")
	case !isChallenge(a.challenge):
		return refuse("invalid_request", "code_challenge is not a SHA-256 in base64url")
	}
	for _, prompt := range a.prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, prompt) {
			return refuse("invalid_request", "this prompt is not supported")
		}
	}
	if slices.Contains(a.prompt, "none") && len(a.prompt) > 1 {
		return refuse("invalid_request", "prompt=none goes alone")
	}
	if v.Has("max_age") {
		seconds, err := strconv.ParseUint(v.Get("max_age"), 10, 31)
		if err != nil {
			return refuse("invalid_request", "max_age must be a number of seconds")
		}
		a.maxAge = time.Duration(seconds) * time.Second
	}
	for _, acr := range strings.Fields(v.Get("acr_values")) {
		if slices.Contains(knownACR, acr) {
			a.acr = acr
			break
		}
	}
	return nil
}

func isChallenge(text string) bool {
	return len(text) == 43 && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// satisfiedBy tells whether the session answers the request without asking the person.
func (a *authorization) satisfiedBy(s *session, now time.Time) bool {
	return s != nil &&
		!slices.Contains(a.prompt, "login") && !slices.Contains(a.prompt, "select_account") &&
		(a.maxAge < 0 || now.Sub(s.authTime) <= a.maxAge) &&
		(a.acr == "" || a.acr == s.acr)
}

func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	v, err := parameters(r)
	if err != nil {
		p.errorPage(w, "This authorization request cannot be read.")
		return
	}
	v, refusal := p.takePushed(v)
	if refusal != nil {
		p.errorPage(w, "This authorization request is wrong: "+refusal.description+".")
		return
	}
	a, refusal := p.parseAuthorization(v)
	switch {
	case a == nil:
		p.errorPage(w, "This authorization request is wrong: "+refusal.description+".")
		return
	case refusal != nil:
		p.sendError(w, r, a, refusal)
		return
	}
	quiet := slices.Contains(a.prompt, "none")
	if !quiet && p.options.SignIn != nil {
		if subject := p.options.SignIn(r); subject != "" {
			p.signInAs(w, r, a, subject)
			return
		}
	}
	if code := p.codeFromSession(r, a); code != "" {
		p.sendCode(w, r, a, code)
		return
	}
	if quiet {
		p.sendError(w, r, a, refuse("login_required", "nobody is signed in at the provider"))
		return
	}
	p.signInPage(w, a)
}

// sendCode sends the browser back with a code.
func (p *Provider) sendCode(w http.ResponseWriter, r *http.Request, a *authorization, code string) {
	p.callBack(w, r, a, url.Values{"code": {code}})
}

func (p *Provider) sendError(w http.ResponseWriter, r *http.Request, a *authorization, e *oauthError) {
	p.callBack(w, r, a, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// callBack sends values to the client with state and iss (RFC 9207), by the response mode of the request.
func (p *Provider) callBack(w http.ResponseWriter, r *http.Request, a *authorization, values url.Values) {
	if a.state != "" {
		values.Set("state", a.state)
	}
	if p.options.Shape.has("authorization_response_iss_parameter_supported") {
		values.Set("iss", p.options.Issuer)
	}
	edit(&p.hooks, &p.hooks.callback, values)
	if a.responseMode == "form_post" {
		p.formPostPage(w, a.redirectURI, values)
		return
	}
	target, err := url.Parse(a.redirectURI)
	if err != nil {
		p.errorPage(w, "The registered redirect address cannot be read.")
		return
	}
	if target.RawQuery != "" {
		target.RawQuery += "&"
	}
	target.RawQuery += values.Encode()
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

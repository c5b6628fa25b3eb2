package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"authsvc/authsvc"
)

// checkGateway goes the whole way of a visitor who is not signed in: from a protected page through the gateway to /start and to the door
// of the provider.
func checkGateway(ctx context.Context, o *online) []finding {
	if o.via == nil {
		return nil
	}
	site := o.config.SiteAt(o.via.Host)
	if site == nil {
		return []finding{{problem, "gateway", fmt.Sprintf("%s is of no site of this configuration", o.via), "add its host to the hosts of one: nobody passes there"}}
	}
	v := &visitor{online: o, site: site, client: &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	findings, login := v.protected(ctx)
	return append(findings, v.start(ctx, login), v.question(ctx))
}

// visitor has no cookies.
type visitor struct {
	*online
	site   *authsvc.Config // that the address belongs to
	client *http.Client
}

// visit loads a page as a browser does that goes to an address. The body is not read.
func (v *visitor) visit(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "User-Agent": {"authsvc check"}}
	for name, values := range header {
		r.Header[name] = values
	}
	response, err := v.client.Do(r)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = cause.Err // the finding names the address
		}
		return nil, err
	}
	io.CopyN(io.Discard, response.Body, 64<<10)
	response.Body.Close()
	return response, nil
}

// claimed is what a visitor may claim to be, whom nobody has signed in.
var claimed = http.Header{
	"X-Auth-Request-User": {"authsvc-check"}, "X-Auth-Request-Email": {"authsvc-check@example.com"}, "X-Forwarded-User": {"authsvc-check"},
	"Remote-User": {"authsvc-check"}, "X-Auth-Request-Groups": {"admins"},
}

// protected asks for the protected page, as nobody and as somebody who claims to be signed in. It also returns where the login begins, "" if the
// answer does not tell.
func (v *visitor) protected(ctx context.Context) (findings []finding, login string) {
	const subject = "gateway"
	response, err := v.visit(ctx, v.via.String(), nil)
	if err != nil {
		return []finding{{problem, subject, fmt.Sprintf("%s cannot be asked: %v", v.via, err), "check --via, and that this host reaches the gateway"}}, ""
	}
	first := v.refusal(response)
	if first.level == good {
		login = v.loginOf(response)
	}
	findings = append(findings, first)
	response, err = v.visit(ctx, v.via.String(), claimed)
	switch {
	case err != nil:
		findings = append(findings, finding{problem, subject, fmt.Sprintf("%s cannot be asked twice: %v", v.via, err), ""})
	case response.StatusCode < 300 && first.level == good:
		findings = append(findings, finding{problem, subject, fmt.Sprintf("whoever sends X-Auth-Request-User is let in at %s", v.via),
			"no gateway may believe identity headers of a visitor: see authsvc nginx render"})
	case first.level == good:
		findings = append(findings, finding{good, subject, "identity headers of a visitor let nobody in", ""})
	}
	return findings, login
}

// refusal judges the answer to a visitor who is not signed in.
func (v *visitor) refusal(response *http.Response) finding {
	f := finding{level: problem, subject: "gateway"}
	to := v.loginOf(response)
	status := response.StatusCode
	switch {
	case status == http.StatusUnauthorized:
		f.level, f.what = good, fmt.Sprintf("%s refuses whoever is not signed in, with 401", v.via)
	case status >= 300 && status < 400 && (v.isStart(to) || v.isProvider(to)):
		f.level, f.what = good, fmt.Sprintf("%s sends whoever is not signed in to the login", v.via)
	case status >= 300 && status < 400:
		f.what = fmt.Sprintf("%s sends visitors to %s, which is no login of public_url %s", v.via, withoutQuery(to), v.site.PublicURL)
		f.do = "name a page that is protected, and check that the gateway's service has this configuration"
	case status < 300:
		f.what = fmt.Sprintf("%s is open: it answers %d to whoever is not signed in", v.via, status)
		f.do = "let the gateway ask before it passes a request (see authsvc nginx render), or name a page that is protected"
	case status == http.StatusForbidden:
		f.what = fmt.Sprintf("%s answers 403 to whoever is not signed in", v.via)
		f.do = "the gateway must pass on what was asked and be among trusted_proxies: see the service's log"
	case status == http.StatusServiceUnavailable:
		f.what = fmt.Sprintf("%s answers 503", v.via)
		f.do = "the gateway does not reach the service, or the service does not reach Redis: see both logs"
	case status >= 500:
		f.what = fmt.Sprintf("%s answers %d", v.via, status)
		f.do = "the gateway does not reach the service, or takes its answer for a failure: see its log"
	default:
		f.what = fmt.Sprintf("%s answers %d to whoever is not signed in", v.via, status)
		f.do = "name a page that is protected"
	}
	return f
}

// loginOf returns where an answer sends the visitor, absolute; "" for nowhere.
func (v *visitor) loginOf(response *http.Response) string {
	if location, err := response.Location(); err == nil {
		return location.String()
	}
	return response.Header.Get("X-Auth-Login-Url")
}

func (v *visitor) isStart(address string) bool {
	path, _, _ := strings.Cut(address, "?")
	return path == v.site.PublicURL+"/start" || path == v.site.PublicURL+"/sign_in"
}

// isProvider reports whether the address is the provider's page for signing in; its own query may be a part of it.
func (v *visitor) isProvider(address string) bool {
	for _, p := range v.site.ProviderList() {
		if at := v.authorize[p.Issuer]; at != "" && withoutQuery(address) == withoutQuery(at) {
			return true
		}
	}
	return false
}

func withoutQuery(address string) string {
	path, _, _ := strings.Cut(address, "?")
	return path
}

// start begins a login and looks at where the service sends the browser.
func (v *visitor) start(ctx context.Context, login string) finding {
	const subject = "login"
	address := login
	if !v.isStart(address) {
		address = v.site.PublicURL + "/start"
	}
	// Where people choose among several providers, this is the first of them.
	first, path := v.site.ProviderList()[0], "/callback"
	if first.Name != "" {
		address, path = v.site.PublicURL+"/start?provider="+first.Name, path+"/"+first.Name
	}
	response, err := v.visit(ctx, address, nil)
	if err != nil {
		return finding{problem, subject, fmt.Sprintf("%s cannot be asked: %v", withoutQuery(address), err), "check public_url, and that its host is the gateway's"}
	}
	to := v.loginOf(response)
	found, err := url.Parse(to)
	switch {
	case response.StatusCode == http.StatusServiceUnavailable:
		return finding{problem, subject, withoutQuery(address) + " answers 503", "the service is not reached, or has not discovered the provider yet: see its log"}
	case response.StatusCode == http.StatusTooManyRequests:
		return finding{warning, subject, withoutQuery(address) + " answers 429", "limits.logins_per_minute, or a limit of the gateway, counts this host as one with others: see the service's log, and whether trusted_proxies has the gateway"}
	case response.StatusCode != http.StatusFound || err != nil || found.Query().Get("client_id") == "":
		return finding{problem, subject, fmt.Sprintf("%s answers %d and not the way to the provider", withoutQuery(address), response.StatusCode),
			"let the gateway pass /start, /callback, /logout and their siblings on to the service without asking for a verdict"}
	case v.authorize[first.Issuer] != "" && !v.isProvider(to):
		return finding{problem, subject, "people are sent to " + withoutQuery(to), "the service behind the gateway has another oidc.issuer than this configuration"}
	case found.Query().Get("client_id") != first.ClientID:
		return finding{problem, subject, "people are sent to the provider for another client", "the service behind the gateway has another oidc.client_id than this configuration"}
	case found.Query().Get("redirect_uri") != v.site.PublicURL+path:
		return finding{problem, subject, "the provider is to send people back to " + found.Query().Get("redirect_uri"), "the service behind the gateway has another public_url than this configuration"}
	case !setsCookie(response, v.site.Cookie.Name+"_login"):
		return finding{problem, subject, "the login cookie does not reach the browser", "let the gateway pass Set-Cookie on, and check cookie.name"}
	}
	return finding{good, subject, withoutQuery(address) + " leads to the provider, with the login cookie", ""}
}

func setsCookie(response *http.Response, name string) bool {
	for _, c := range response.Cookies() {
		if c.Name == name {
			return true
		}
	}
	return false
}

// question asks what only the gateway should: whoever has a cookie could read the identity headers that are meant for the
// application, access tokens among them.
func (v *visitor) question(ctx context.Context) finding {
	const subject = "gateway"
	address := v.site.PublicURL + "/auth"
	response, err := v.visit(ctx, address, nil)
	switch {
	case err != nil:
		return finding{problem, subject, fmt.Sprintf("%s cannot be asked: %v", address, err), ""}
	case response.ContentLength == 0 && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden):
		return finding{warning, subject, address + " answers to visitors", "keep the question between the gateway and the service: in nginx, internal; in its location"}
	}
	return finding{good, subject, address + " is for the gateway alone", ""}
}

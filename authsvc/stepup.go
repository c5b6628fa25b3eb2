package authsvc

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"authsvc/authsvc/pages"
)

// A rule can ask for more than a session: for an authentication context, or for a login that is not old. Who is signed in otherwise gets the 401 of
// who is not, and its login URL leads to a login that asks the provider for it. What it asks for comes from the rule for the return address, and
// from what the 401 has sealed into its login URL, since methods and the query of a check choose rules, too; never from the visitor, who can leave
// it out, and gains nothing by that.
//
// The provider may do as it likes (OpenID Connect Core 1.0, section 3.1.2.1), so the callback looks at what came. The second try insists with
// prompt=login; then a page explains, and the session that the person had stays as it is.

// maxContexts bounds what a rule asks for, in bytes of acr_values: it goes through URLs.
const maxContexts = 500

// errDemand says that a login was not what the rule asks for. Its message tells in which way.
var errDemand = errors.New("the provider did not give what the rule asks for")

// demandOf is what the rule for a page asks of a login: a page is what a GET finds at an address that the site allows.
func (site *site) demandOf(returnTo string) demand {
	a := asked{Method: http.MethodGet, URI: returnTo}
	var authority string
	if strings.HasPrefix(returnTo, "/") {
		a.Scheme, authority, _, _ = splitURL(site.origin)
	} else {
		a.Scheme, authority, a.URI, _ = splitURL(returnTo)
		if !strings.HasPrefix(a.URI, "/") {
			a.URI = "/" + a.URI
		}
	}
	a.URI = cutAny(a.URI, "#") // which stays in the browser
	at, err := parseHostPort(a.Scheme, authority)
	if a.Host = at.host; err != nil {
		return demand{}
	}
	if m := site.rules.match(a, true); m.rule != nil {
		return m.rule.demand
	}
	return demand{}
}

// loginURLFor is the login URL of a verdict: it leads to a login that is enough for who was refused.
func (s *Service) loginURLFor(site *site, v decision, a asked) string {
	if v.Reason != reasonStepUp {
		return site.loginURL(a.url(), maxLoginURL)
	}
	sealed, _ := attempt{Expires: s.store.Now().Add(attemptLife), demand: v.demand}.seal(site.keyring, site.name)
	return withRestart(site.loginURL(a.url(), maxLoginURL-len(sealed)-len("&restart=")), sealed)
}

// withRestart adds what restarted will open to a login URL.
func withRestart(address, sealed string) string {
	if strings.Contains(address, "?") {
		return address + "&restart=" + sealed
	}
	return address + "?restart=" + sealed
}

// parameters are those of the authorization request by which a login asks for what is demanded. What the operator has configured for all logins
// stays where it is more: a shorter max_age, and contexts, behind those of the rule.
func (d demand) parameters(configured map[string]string, insist bool) map[string]string {
	parameters := map[string]string{}
	if len(d.ACR) > 0 {
		parameters["acr_values"] = strings.TrimSpace(strings.Join(d.ACR, " ") + " " + configured["acr_values"])
	}
	if d.MaxAge > 0 {
		seconds := int64(d.MaxAge / time.Second)
		if own, err := parseMaxAge(configured["max_age"]); err == nil {
			seconds = min(seconds, own)
		}
		parameters["max_age"] = strconv.FormatInt(seconds, 10)
	}
	if insist {
		parameters["prompt"] = "login"
	}
	return parameters
}

// check returns errDemand unless a login that has just ended is what was asked for.
func (d demand) check(id verifiedID, now time.Time) error {
	contextMet := demand{ACR: d.ACR}.met(id.ACR, id.AuthTime, now)
	switch {
	case d.met(id.ACR, id.AuthTime, now):
		return nil
	case !contextMet && id.ACR == "":
		return demandError("there is no acr")
	case !contextMet:
		return demandError("acr is another one")
	case id.AuthTime.IsZero():
		return demandError("there is no auth_time, which max_age requires")
	}
	return demandError("auth_time is too long ago")
}

// checkAge returns errDemand unless the person has proved who they are since the login began, or as long before it as max_age among the configured
// parameters of all logins allows (OpenID Connect Core 1.0, section 3.1.3.7, point 13). How long they took at the provider does not count, so that
// max_age 0 asks for a fresh proof each time.
func checkAge(configured map[string]string, id verifiedID, began time.Time) error {
	text, asked := configured["max_age"]
	seconds, err := parseMaxAge(text)
	switch {
	case !asked:
		return nil
	case err != nil:
		return demandError("max_age in oidc.auth_params is no number of seconds")
	case id.AuthTime.IsZero():
		return demandError("there is no auth_time, which max_age in oidc.auth_params requires")
	case id.AuthTime.Before(began.Add(-time.Duration(seconds)*time.Second - clockSkew)):
		return demandError("auth_time is longer ago than max_age in oidc.auth_params allows")
	}
	return nil
}

// parseMaxAge reads max_age of an authorization request: seconds, 68 years at most.
func parseMaxAge(text string) (seconds int64, err error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int64(n), err
}

// demandError is errDemand with its cause.
type demandError string

func (e demandError) Error() string { return errDemand.Error() + ": " + string(e) }
func (e demandError) Unwrap() error { return errDemand }

// stepUpFailed begins a login again that was not what was asked for, once and with more insistence, and then explains.
func (s *Service) stepUpFailed(w http.ResponseWriter, site *site, a attempt, cause error) error {
	if !a.insist {
		a.insist = true
		if address, ok := s.restartURL(site, a); ok {
			redirect(w, http.StatusFound, address)
			return nil
		}
	}
	return &pageError{http.StatusForbidden, pages.Page{Kind: pages.StepUp, Action: site.startURL(a.ReturnTo)}, reasonStepUp, cause}
}

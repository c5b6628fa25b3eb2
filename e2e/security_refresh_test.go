package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// TestSecurityRequirementsRefresh: what a relying party has to get right when it renews tokens, with four replicas.
func TestSecurityRequirementsRefresh(t *testing.T) {
	p := newProver(t, options{replicas: 4, settings: map[string]string{
		"headers": `{"` + accessTokenHeader + `":"@access_token"}`, "session.cache_ttl": "0", "session.refresh_wait": "500ms",
	}})
	p.prove(t, refreshRequirements)
}

var refreshRequirements = []requirement{
	{"Q24 a renewed ID token is about the same login", renewedTokens},
	{"Q25 refresh tokens rotate, and are used once", rotatingRefreshTokens},
}

const accessTokenHeader = "X-Auth-Request-Access-Token"

// over has the provider say that an access token is over as soon as it comes.
func over(answer map[string]any) { answer["expires_in"] = 0 }

// expiredLogin is somebody whose access token is over and was not renewed yet, and whom the provider will treat like this. A replica whose
// clock is some milliseconds behind that of the one which ended the login may see that a moment later.
func (p *prover) expiredLogin(t *testing.T, conduct idptest.Conduct) (v *visitor, cookie string) {
	t.Helper()
	return p.expiredLoginBy(t, idptest.Conduct{}, conduct)
}

// expiredLoginBy is expiredLogin for somebody whom the provider treats like that at the login, too.
func (p *prover) expiredLoginBy(t *testing.T, login, conduct idptest.Conduct) (v *visitor, cookie string) {
	t.Helper()
	login.TokenResponse = over
	v = p.newcomer(login)
	address, err := v.toCallback("/landed")
	check(t, err)
	answer, err := v.send(http.MethodGet, address, nil)
	check(t, err)
	if cookie = v.cookie(sessionCookie); answer.status != http.StatusFound || cookie == "" {
		t.Fatalf("the login: %v", answer)
	}
	p.provider.Treat(v.person, conduct)
	p.provider.ForgetRequests()
	p.secrets = append(p.secrets, cookie)
	return v, cookie
}

// passing checks that a replica lets somebody pass, and returns the groups and the access token that come with that.
func (p *prover) passing(r *replica, v *visitor, cookie string) (groups, accessToken string, err error) {
	answer, err := r.certain(cookie)
	h := answer.header
	if err == nil && (answer.status != http.StatusOK || h.Get("X-Auth-Request-User") != v.person) {
		err = fmt.Errorf("replica %s says %d %q to %s", r.address, answer.status, h.Get("X-Auth-Request-User"), v.person)
	}
	return h.Get("X-Auth-Request-Groups"), h.Get(accessTokenHeader), err
}

// passesAs waits until a replica lets somebody pass with these groups, and with an access token or without.
func (p *prover) passesAs(t *testing.T, r *replica, v *visitor, cookie, groups string, withToken bool) (accessToken string) {
	t.Helper()
	storetest.WaitFor(t, "the end of a refresh at "+r.address, func() error {
		told, token, err := p.passing(r, v, cookie)
		if accessToken = token; err == nil && (told != groups || (token != "") != withToken || p.provider.Count(idptest.Token) == 0) {
			err = fmt.Errorf("groups %q, access token %v, %d token requests", told, token != "", p.provider.Count(idptest.Token))
		}
		return err
	})
	return accessToken
}

func renewedTokens(t *testing.T, p *prover) {
	signedIn := time.Now().Add(-10 * time.Minute).Unix() // so that a later time need not lie in the future
	renewed := func(change func(claims map[string]any)) idptest.Conduct {
		return idToken(func(claims map[string]any) {
			claims["groups"], claims["auth_time"] = []string{"promoted"}, signedIn
			change(claims)
		})
	}
	set := func(name string, value any) idptest.Conduct {
		return renewed(func(claims map[string]any) { setOrDelete(claims, name, value) })
	}
	signedBy := func(forger idptest.Forger) idptest.Conduct {
		conduct := renewed(func(map[string]any) {})
		conduct.SignedIDToken = forger
		return conduct
	}
	stranger, err := idptest.SignedByAnother("RS256", p.provider.KeyID())
	check(t, err)
	for _, row := range []struct {
		name    string
		conduct idptest.Conduct
		good    bool
	}{
		{"oidcc-client-test-refresh-token", renewed(func(map[string]any) {}), true},
		{"oidcc-client-test-refresh-token-invalid-issuer", set("iss", "https://login.example.com"), false},
		{"oidcc-client-test-refresh-token-invalid-sub", set("sub", "mallory"), false},
		{"oidcc-client-test-refresh-token-invalid-aud", set("aud", "other"), false},
		{"oidcc-client-test-refresh-token-invalid-azp", set("azp", "other"), false},
		{"azp ours, which the login's had not", set("azp", clientID), false},
		{"iss missing", set("iss", nil), false},
		{"sub missing", set("sub", nil), false},
		{"another aud beside ours", renewed(func(c map[string]any) { c["aud"], c["azp"] = []string{clientID, "other"}, clientID }), false},
		{"nonce of another login", set("nonce", "another"), false},
		{"auth_time later than the login's", set("auth_time", time.Now().Add(-2*time.Minute).Unix()), false},
		{"auth_time in an hour", set("auth_time", time.Now().Add(time.Hour).Unix()), false},
		{"auth_time missing", set("auth_time", nil), true},
		{"expired", set("exp", time.Now().Add(-2*time.Minute).Unix()), false},
		{"iat missing", set("iat", nil), false},
		{"at_hash of another token", set("at_hash", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), false},
		{"unsigned", signedBy(idptest.Unsigned("none")), false},
		{"signed by nobody", signedBy(stranger), false},
		{"garbage", signedBy(idptest.Text("garbage")), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			began := time.Now()
			v, cookie := p.expiredLoginBy(t, claim("auth_time", signedIn), row.conduct)
			groups := "staff,team-" + v.person
			if row.good {
				groups = "promoted"
			}
			for _, r := range p.replicas {
				p.passesAs(t, r, v, cookie, groups, row.good)
			}
			if row.good {
				return
			}
			p.toldFailure(t)
			for _, r := range p.replicas {
				told, token, err := p.passing(r, v, cookie)
				if err != nil || told != groups || token != "" {
					t.Errorf("afterwards: groups %q, access token %v, %v", told, token != "", err)
				}
			}
			if n, most := p.provider.Count(idptest.Token), mayAsk(began); n > most {
				t.Errorf("%d token requests, want at most %d", n, most)
			}
		})
	}
	t.Run("no ID token at all is fine", func(t *testing.T) {
		v, cookie := p.expiredLogin(t, idptest.Conduct{TokenResponse: func(a map[string]any) { delete(a, "id_token") }})
		for _, r := range p.replicas {
			p.passesAs(t, r, v, cookie, "staff,team-"+v.person, true)
		}
	})
}

// mayAsk is how often the provider may have been asked since then, for one session: once, and again ten seconds after each failure.
func mayAsk(since time.Time) int { return 1 + int(time.Since(since)/(10*time.Second)) }

// toldFailure waits until a replica has told of one more refresh that failed.
func (p *prover) toldFailure(t *testing.T) {
	t.Helper()
	storetest.WaitFor(t, "a failed refresh to be told", func() error {
		told := 0
		for _, r := range p.replicas {
			told += strings.Count(r.log.String(), "could not be refreshed")
		}
		if told <= p.failed {
			return fmt.Errorf("%d, as before", told)
		}
		p.failed = told
		return nil
	})
}

func rotatingRefreshTokens(t *testing.T, p *prover) {
	t.Run("100 at the expiry over 4 replicas: 1 refresh, 0 reuses, 100 pass", func(t *testing.T) {
		v, cookie := p.expiredLogin(t, answers(idptest.Token, idptest.Slow(100*time.Millisecond)))
		check(t, together(100, 100, func(i int) error {
			_, _, err := p.passing(p.replicas[i%len(p.replicas)], v, cookie)
			return err
		}))
		var tokens []string
		for _, r := range p.replicas {
			tokens = append(tokens, p.passesAs(t, r, v, cookie, "staff,team-"+v.person, true))
		}
		if len(slices.Compact(tokens)) != 1 {
			t.Error("the replicas pass different access tokens on")
		}
		if counts := p.provider.Counts(v.person); counts.Refreshes != 1 || counts.RefreshReuses != 0 || counts.Logins != 1 {
			t.Errorf("the provider counts %+v", counts)
		}
	})
	t.Run("each replica uses the token that another one got", func(t *testing.T) {
		v, cookie := p.expiredLogin(t, idptest.Conduct{TokenResponse: over})
		for i := range 2 * len(p.replicas) {
			storetest.WaitFor(t, "the next refresh", func() error {
				_, _, err := p.passing(p.replicas[i%len(p.replicas)], v, cookie)
				if n := p.provider.Counts(v.person).Refreshes; err == nil && n <= i {
					err = fmt.Errorf("%d refreshes", n)
				}
				return err
			})
		}
		if counts := p.provider.Counts(v.person); counts.RefreshReuses != 0 {
			t.Errorf("the provider counts %+v", counts)
		}
	})
	t.Run("an answer without a refresh token: the old one is good for more", func(t *testing.T) {
		conduct := idptest.Conduct{TokenResponse: func(answer map[string]any) { over(answer); delete(answer, "refresh_token") }}
		_, cookie := p.expiredLogin(t, conduct)
		storetest.WaitFor(t, "two refreshes", func() error {
			_, err := p.replicas[0].certain(cookie)
			if n := p.provider.Count(idptest.Token); err == nil && n < 2 {
				err = fmt.Errorf("%d", n)
			}
			return err
		})
		asked := p.provider.Requests(idptest.Token)
		if first, second := asked[0].Form.Get("refresh_token"), asked[1].Form.Get("refresh_token"); first == "" || first != second {
			t.Error("the second refresh sends another token than the first")
		}
	})
	for name, answer := range map[string]idptest.Interceptor{
		"invalid_grant":        idptest.OAuthError("invalid_grant"),
		"invalid_grant as 403": idptest.Answer(http.StatusForbidden, "application/json", `{"error":"invalid_grant"}`),
	} {
		t.Run(name+" ends the session", func(t *testing.T) {
			_, cookie := p.expiredLogin(t, answers(idptest.Token, answer))
			records := p.records()
			storetest.WaitFor(t, "the session to end", func() error {
				for _, r := range p.replicas {
					if verdict, err := r.certain(cookie); err != nil || verdict.status != http.StatusUnauthorized {
						return fmt.Errorf("%s says %d, %w", r.address, verdict.status, err)
					}
				}
				return nil
			})
			if p.records() != records-1 {
				t.Error("its record is there")
			}
		})
	}
	release := make(chan struct{})
	defer close(release)
	for name, answer := range map[string]idptest.Interceptor{
		"500": idptest.Status(http.StatusInternalServerError), "503": idptest.Status(http.StatusServiceUnavailable), "429": idptest.Status(http.StatusTooManyRequests),
		"invalid_grant as 500": idptest.Answer(http.StatusInternalServerError, "application/json", `{"error":"invalid_grant"}`),
		"invalid_client":       idptest.OAuthError("invalid_client"), "garbage": idptest.Garbage(), "closed": idptest.Close(), "without an end": idptest.Endless(),
		"a redirect": idptest.Redirect("/elsewhere"), "no answer": idptest.Hold(release),
	} {
		t.Run(name+" leaves the session alone", func(t *testing.T) {
			began := time.Now()
			v, cookie := p.expiredLogin(t, answers(idptest.Token, answer))
			records := p.records()
			for range 2 {
				for _, r := range p.replicas {
					p.passesAs(t, r, v, cookie, "staff,team-"+v.person, false)
				}
			}
			if n, most := p.provider.Count(idptest.Token), mayAsk(began); n > most || p.records() != records {
				t.Errorf("%d token requests, want at most %d; %d sessions fewer", n, most, records-p.records())
			}
		})
	}
}

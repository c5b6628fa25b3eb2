package idptest_test

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func TestLogin(t *testing.T) {
	for _, issuer := range []string{"", "/realms/test", "/slash/"} {
		t.Run("issuer"+issuer, func(t *testing.T) {
			o := options()
			o.Issuer = issuer
			rp := newRelyingParty(t, idptest.Start(t, o))
			token := rp.login("1")
			claims := rp.claims(token)
			for name, want := range map[string]any{
				"iss": rp.provider.Issuer(), "sub": "1", "aud": "rp", "nonce": "a-nonce",
				"name": "Alice Ångström", "preferred_username": "alice", "email": "alice@example.com", "email_verified": true,
				"groups": []any{"staff", "admins"}, "realm_access": map[string]any{"roles": []any{"reader"}},
				"sid": rp.provider.SessionIDs("1")[0],
			} {
				if !reflect.DeepEqual(claims[name], want) {
					t.Errorf("%s = %v, want %v", name, claims[name], want)
				}
			}
			if claims["auth_time"] == nil || claims["azp"] != nil || claims["acr"] != nil {
				t.Errorf("auth_time %v, azp %v, acr %v; want the first only", claims["auth_time"], claims["azp"], claims["acr"])
			}
			if len(token.AccessToken) < 1024 || token.RefreshToken == "" || token.TokenType != "Bearer" {
				t.Errorf("access token of %d bytes, refresh token %t, type %s", len(token.AccessToken), token.RefreshToken != "", token.TokenType)
			}
			status, info := rp.userinfo(token.AccessToken)
			if status != http.StatusOK || info["sub"] != "1" || info["email"] != "alice@example.com" {
				t.Errorf("userinfo: %d %v", status, info)
			}
			if got := rp.provider.Counts("1"); got != (idptest.Counts{Logins: 1}) {
				t.Errorf("counts: %+v", got)
			}
		})
	}
}

func TestProviderSession(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	rp.login("1")
	if values := back(t, rp.get(rp.authURL())); values.Get("code") == "" || values.Get("state") != "a-state" || values.Get("iss") != rp.provider.Issuer() {
		t.Errorf("the second login did not go through by itself: %v", values)
	}
	if values := back(t, rp.get(rp.authURL("prompt=none"))); values.Get("code") == "" {
		t.Errorf("prompt=none with a session: %v", values)
	}
	for _, ask := range []string{"prompt=login", "prompt=select_account"} {
		if answer := rp.get(rp.authURL(ask)); answer.StatusCode != http.StatusOK {
			t.Errorf("%s did not show the page: %s", ask, answer.Status)
		}
	}
	rp.code("2", "prompt=login")
	if len(rp.provider.SessionIDs("1")) != 0 || len(rp.provider.SessionIDs("2")) != 1 {
		t.Error("somebody else's login did not end the browser's former session")
	}
	rp.provider.Revoke("2")
	if values := back(t, rp.get(rp.authURL("prompt=none"))); values.Get("error") != "login_required" {
		t.Errorf("after Revoke: %v", values)
	}
}

func TestMaxAgeAndACR(t *testing.T) {
	clock := newClock()
	o := options()
	o.Now, o.ACRValues = clock.now, []string{"gold", "silver"}
	rp := newRelyingParty(t, idptest.Start(t, o))
	rp.code("1")
	clock.forward(time.Minute)
	if values := back(t, rp.get(rp.authURL("prompt=none", "max_age=61"))); values.Get("code") == "" {
		t.Errorf("max_age=61 a minute after: %v", values)
	}
	if values := back(t, rp.get(rp.authURL("prompt=none", "max_age=59"))); values.Get("error") != "login_required" {
		t.Errorf("max_age=59 a minute after: %v", values)
	}
	if values := back(t, rp.get(rp.authURL("prompt=none", "acr_values=bronze gold"))); values.Get("error") != "login_required" {
		t.Errorf("a higher acr: %v", values)
	}
	rp.code("1", "acr_values=bronze gold")
	if values := back(t, rp.get(rp.authURL("prompt=none", "acr_values=gold", "max_age=10"))); values.Get("code") == "" {
		t.Errorf("the acr of this session, just now: %v", values)
	}
}

func TestSignInAnswersAtOnce(t *testing.T) {
	o := options()
	o.SignIn = func(r *http.Request) string { return r.URL.Query().Get("login_hint") }
	rp := newRelyingParty(t, idptest.Start(t, o))
	if answer := rp.get(rp.authURL()); answer.StatusCode != http.StatusOK {
		t.Errorf("without an answer there is no page: %s", answer.Status)
	}
	if values := back(t, rp.get(rp.authURL("prompt=none", "login_hint=1"))); values.Get("error") != "login_required" {
		t.Errorf("prompt=none: %v", values)
	}
	for _, subject := range []string{"1", "1", "2"} {
		if values := back(t, rp.get(rp.authURL("login_hint="+subject))); values.Get("code") == "" {
			t.Errorf("login of %s: %v", subject, values)
		}
	}
	if got := len(rp.provider.SessionIDs("1")) + len(rp.provider.SessionIDs("2")); got != 1 {
		t.Errorf("one browser has %d provider sessions", got)
	}
}

func TestRefresh(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	first := rp.login("1")
	rp.provider.SetPerson(idptest.Person{Subject: "1", Email: "alice@example.com", Groups: []string{"retired"}})
	second, err := rp.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	claims := rp.claims(second)
	if !reflect.DeepEqual(claims["groups"], []any{"retired"}) || claims["nonce"] != nil || claims["name"] != nil {
		t.Errorf("claims after the refresh: %v", claims)
	}
	if second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Error("a refresh gave an old token")
	}
	third, err := rp.refresh(second.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}

	_, err = rp.refresh(first.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")
	_, err = rp.refresh(third.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")
	if status, _ := rp.userinfo(third.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("after reuse the family's access token still gives %d", status)
	}
	if got, want := rp.provider.Counts("1"), (idptest.Counts{Logins: 1, Refreshes: 2, RefreshReuses: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

func TestRefreshPolicies(t *testing.T) {
	clock := newClock()
	o := options()
	o.Now, o.NoRotation, o.RefreshTokens, o.RefreshTokenLife = clock.now, true, idptest.RefreshWithOffline, time.Hour
	rp := newRelyingParty(t, idptest.Start(t, o))
	if token := rp.login("1"); token.RefreshToken != "" {
		t.Error("a refresh token without offline_access")
	}
	token := rp.login("1", "scope=openid offline_access")
	if life := token.Extra("refresh_expires_in"); life != float64(3600) {
		t.Errorf("refresh_expires_in = %v", life)
	}
	for range 2 {
		again, err := rp.refresh(token.RefreshToken)
		if err != nil {
			t.Fatal(err)
		}
		if again.Extra("refresh_token") != nil {
			t.Error("a refresh token came back without rotation")
		}
	}
	clock.forward(time.Hour + time.Second)
	_, err := rp.refresh(token.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")

	o = options()
	o.RefreshTokens = idptest.RefreshNever
	rp = newRelyingParty(t, idptest.Start(t, o))
	if token := rp.login("1", "scope=openid offline_access"); token.RefreshToken != "" {
		t.Error("a refresh token from a provider that gives none")
	}
}

func TestClaimsIn(t *testing.T) {
	for place, in := range map[idptest.ClaimsPlace][2]bool{
		idptest.ClaimsEverywhere: {true, true}, idptest.ClaimsInIDToken: {true, false}, idptest.ClaimsInUserinfo: {false, true},
	} {
		o := options()
		o.ClaimsIn = place
		rp := newRelyingParty(t, idptest.Start(t, o))
		token := rp.login("1")
		_, info := rp.userinfo(token.AccessToken)
		if got := [2]bool{rp.claims(token)["groups"] != nil, info["groups"] != nil}; got != in || info["sub"] != "1" {
			t.Errorf("ClaimsIn %d: groups in ID token and userinfo %v, want %v", place, got, in)
		}
	}
}

func TestSeveralAudiences(t *testing.T) {
	o := options()
	o.Clients[0].ExtraAudiences = []string{"account"}
	rp := newRelyingParty(t, idptest.Start(t, o))
	claims := rp.claims(rp.login("1"))
	if !reflect.DeepEqual(claims["aud"], []any{"rp", "account"}) || claims["azp"] != "rp" {
		t.Errorf("aud %v, azp %v", claims["aud"], claims["azp"])
	}
}

func TestSignInPage(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	page := rp.get(rp.authURL())
	csp := page.Header.Get("Content-Security-Policy")
	if !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || strings.Contains(csp, "form-action") {
		t.Errorf("Content-Security-Policy: %s", csp)
	}
	cancelled, err := idptest.Press(rp.browser, page, "")
	if err != nil {
		t.Fatal(err)
	}
	defer cancelled.Body.Close()
	if values := back(t, cancelled); values.Get("error") != "access_denied" || values.Get("state") != "a-state" || values.Get("iss") != rp.provider.Issuer() {
		t.Errorf("Cancel: %v", values)
	}
	if answer := rp.get(rp.provider.URL(idptest.SignIn) + "?" + url.Values{"request": {mustQuery(t, rp.authURL()).Encode()}, "subject": {"1"}}.Encode()); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("a sign-in by GET: %s", answer.Status)
	}
	if text := readAll(t, rp.get(rp.authURL())); strings.Count(text, "<button") != 2 || !strings.Contains(text, `href="/signin?cancel=yes&amp;request=client_id%3drp`) {
		t.Errorf("the page should have a button for each of two people, and a link to cancel:\n%s", text)
	}
	stranger, err := idptest.Press(rp.browser, rp.get(rp.authURL()), "nobody")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Body.Close()
	if stranger.StatusCode != http.StatusBadRequest {
		t.Errorf("a stranger: %s", stranger.Status)
	}

	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rp.provider.URL(idptest.SignIn),
		strings.NewReader(url.Values{"request": {strings.SplitN(rp.authURL(), "?", 2)[1]}, "subject": {"1"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	crossed, err := rp.browser.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer crossed.Body.Close()
	if crossed.StatusCode != http.StatusBadRequest {
		t.Errorf("a sign-in from another site: %s", crossed.Status)
	}
}

func TestFormPost(t *testing.T) {
	o := options()
	o.SignIn = func(*http.Request) string { return "1" }
	rp := newRelyingParty(t, idptest.Start(t, o))
	answer := rp.get(rp.authURL("response_mode=form_post", `state="><script>`))
	text := readAll(t, answer)
	for _, want := range []string{`action="` + callback + `"`, `name="code"`, `name="state" value="&#34;&gt;&lt;script&gt;"`, `name="iss" value="` + rp.provider.Issuer() + `"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s:\n%s", want, text)
		}
	}
	if len(rp.provider.Requests(idptest.Authorize)) != 1 || rp.provider.Count(idptest.Token) != 0 {
		t.Error("the request log differs from what was asked")
	}
	if !slices.Contains(rp.provider.Requests("")[0].Header["User-Agent"], "Go-http-client/1.1") {
		t.Error("the request log lacks the headers")
	}
}

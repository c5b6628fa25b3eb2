package idptest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func TestAuthorizeRefuses(t *testing.T) {
	o := options()
	o.SignIn = func(*http.Request) string { return "1" }
	rp := newRelyingParty(t, idptest.Start(t, o))
	for _, row := range []struct {
		change string
		want   string // the error that goes back; "page" for an error page
	}{
		{"client_id=unknown", "page"},
		{"+client_id=rp", "page"},
		{"-client_id", "page"},
		{"redirect_uri=http://rp.test/callback/", "page"},
		{"redirect_uri=http://RP.test/callback", "page"},
		{"redirect_uri=http://rp.test/callback?x=1", "page"},
		{"+redirect_uri=http://rp.test/callback", "page"},
		{"-redirect_uri", "page"},
		{"response_type=token", "unsupported_response_type"},
		{"response_type=code id_token", "unsupported_response_type"},
		{"-response_type", "invalid_request"},
		{"response_mode=fragment", "invalid_request"},
		{"scope=profile", "invalid_scope"},
		{"-scope", "invalid_scope"},
		{"-code_challenge", "invalid_request"},
		{"code_challenge_method=plain", "invalid_request"},
		{"-code_challenge_method", "invalid_request"},
		{"code_challenge=short", "invalid_request"},
		{"prompt=none login", "invalid_request"},
		{"prompt=create", "invalid_request"},
		{"max_age=-1", "invalid_request"},
		{"max_age=soon", "invalid_request"},
		{"+nonce=second", "invalid_request"},
		{"+state=second", "invalid_request"},
		{"request=e30", "request_not_supported"},
		{"request_uri=http://rp.test/request", "request_uri_not_supported"},
	} {
		answer := rp.get(rp.authURL(row.change))
		if row.want == "page" {
			if answer.StatusCode != http.StatusBadRequest || answer.Header.Get("Location") != "" {
				t.Errorf("%s: %s, Location %q; want an error page", row.change, answer.Status, answer.Header.Get("Location"))
			}
			continue
		}
		values := back(t, answer)
		if values.Get("error") != row.want || values.Get("state") != "a-state" || values.Get("iss") != rp.provider.Issuer() || values.Has("code") {
			t.Errorf("%s: %v, want %s", row.change, values, row.want)
		}
	}
	if values := back(t, rp.get(rp.authURL("redirect_uri=http://rp.test/cb?x=1"))); values.Get("x") != "1" || values.Get("code") == "" {
		t.Errorf("a redirect address with a query: %v", values)
	}
	posted, err := rp.browser.PostForm(rp.provider.URL(idptest.Authorize), mustQuery(t, rp.authURL()))
	if err != nil {
		t.Fatal(err)
	}
	defer posted.Body.Close()
	if values := back(t, posted); values.Get("code") == "" {
		t.Errorf("a posted request: %v", values)
	}
}

func mustQuery(t *testing.T, target string) url.Values {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query()
}

// tokenRequest posts a form to the token endpoint and gives status, body and WWW-Authenticate.
func (rp *relyingParty) tokenRequest(form url.Values, change func(*http.Request)) (int, string, string) {
	rp.t.Helper()
	request, err := http.NewRequestWithContext(rp.t.Context(), http.MethodPost, rp.provider.URL(idptest.Token), strings.NewReader(form.Encode()))
	if err != nil {
		rp.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if change != nil {
		change(request)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		rp.t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode, readAll(rp.t, answer), answer.Header.Get("WWW-Authenticate")
}

func TestTokenRefuses(t *testing.T) {
	o := options()
	o.SignIn = func(*http.Request) string { return "1" }
	rp := newRelyingParty(t, idptest.Start(t, o))
	basic := func(r *http.Request) {
		r.SetBasicAuth(url.QueryEscape("rp"), url.QueryEscape("s3cr:t &%+"))
	}
	for _, row := range []struct {
		name    string
		form    string // changes of an honest form, "&" between
		request func(*http.Request)
		want    string
	}{
		{"honest", "", basic, ""},
		{"no client", "-client_id", nil, "invalid_client"},
		{"wrong secret", "", func(r *http.Request) { r.SetBasicAuth("rp", "wrong") }, "invalid_client"},
		{"secret not urlencoded", "", func(r *http.Request) { r.SetBasicAuth("rp", "s3cr:t &%+") }, "invalid_client"},
		{"another scheme", "", func(r *http.Request) { r.Header.Set("Authorization", "Bearer x") }, "invalid_client"},
		{"in two ways", "client_secret=x", basic, "invalid_request"},
		{"two clients", "client_id=posting", basic, "invalid_request"},
		{"confidential without secret", "client_id=rp", nil, "invalid_client"},
		{"not as registered", "", func(r *http.Request) { r.SetBasicAuth("posting", "posted") }, "invalid_client"},
		{"public with a secret", "client_id=public&client_secret=x", nil, "invalid_client"},
		{"another client's code", "client_id=posting&client_secret=posted", nil, "invalid_grant"},
		{"no such code", "code=made-up", basic, "invalid_grant"},
		{"another redirect_uri", "redirect_uri=http://rp.test/cb?x=1", basic, "invalid_grant"},
		{"no redirect_uri", "-redirect_uri", basic, "invalid_grant"},
		{"another verifier", "code_verifier=" + strings.Repeat("x", 43), basic, "invalid_grant"},
		{"no verifier", "-code_verifier", basic, "invalid_grant"},
		{"twice", "+code=other", basic, "invalid_request"},
		{"no grant type", "-grant_type", basic, "invalid_request"},
		{"another grant type", "grant_type=password", basic, "unsupported_grant_type"},
		{"in the query", "", func(r *http.Request) { basic(r); r.URL.RawQuery = "code=x" }, "invalid_request"},
		{"as JSON", "", func(r *http.Request) { basic(r); r.Header.Set("Content-Type", "application/json") }, "invalid_request"},
		{"made-up refresh token", "grant_type=refresh_token&refresh_token=a.0.b", basic, "invalid_grant"},
	} {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {rp.code("1")}, "redirect_uri": {callback}, "code_verifier": {verifier}}
		for change := range strings.SplitSeq(row.form, "&") {
			name, value, _ := strings.Cut(change, "=")
			if left, out := strings.CutPrefix(name, "-"); out {
				form.Del(left)
			} else if more, add := strings.CutPrefix(name, "+"); add {
				form.Add(more, value)
			} else if name != "" {
				form.Set(name, value)
			}
		}
		status, body, challenge := rp.tokenRequest(form, row.request)
		switch {
		case row.want == "" && status != http.StatusOK,
			row.want != "" && !strings.Contains(body, `"error":"`+row.want+`"`),
			row.want == "invalid_client" && status != http.StatusUnauthorized,
			row.want != "" && row.want != "invalid_client" && status != http.StatusBadRequest:
			t.Errorf("%s: %d %s, want %q", row.name, status, body, row.want)
		}
		if row.name == "wrong secret" && !strings.HasPrefix(challenge, "Basic") {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	}
	status, _, _ := rp.tokenRequest(url.Values{"code": {strings.Repeat("x", 2<<20)}}, basic)
	if status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 2 MB: %d", status)
	}
	answer := rp.get(rp.provider.URL(idptest.Token))
	if answer.StatusCode != http.StatusMethodNotAllowed || answer.Header.Get("Allow") != "POST" {
		t.Errorf("GET: %s, Allow %q", answer.Status, answer.Header.Get("Allow"))
	}
}

func TestOtherClientAuthentication(t *testing.T) {
	o := options()
	o.SignIn = func(*http.Request) string { return "1" }
	rp := newRelyingParty(t, idptest.Start(t, o))
	for id, secret := range map[string]string{"posting": "posted", "public": ""} {
		code := back(t, rp.get(rp.authURL("client_id="+id))).Get("code")
		form := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}, "client_id": {id}}
		if secret != "" {
			form.Set("client_secret", secret)
		}
		if status, body, _ := rp.tokenRequest(form, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", id, status, body)
		}
	}
}

func TestCodeIsUsedOnce(t *testing.T) {
	clock := newClock()
	o := options()
	o.Now = clock.now
	rp := newRelyingParty(t, idptest.Start(t, o))

	code := rp.code("1")
	token, err := rp.exchange(code)
	if err != nil {
		t.Fatal(err)
	}
	_, err = rp.exchange(code)
	wantOAuthError(t, err, "invalid_grant")
	_, err = rp.refresh(token.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")
	if status, _ := rp.userinfo(token.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("the access token of a reused code gives %d", status)
	}
	if got, want := rp.provider.TotalCounts(), (idptest.Counts{Logins: 1, CodeReuses: 1}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}

	spent := rp.code("1")
	_, err = rp.config.Exchange(t.Context(), spent)
	wantOAuthError(t, err, "invalid_grant")
	_, err = rp.exchange(spent)
	wantOAuthError(t, err, "invalid_grant")

	late := rp.code("1")
	clock.forward(2 * time.Minute)
	_, err = rp.exchange(late)
	wantOAuthError(t, err, "invalid_grant")
}

func TestUserinfoRefuses(t *testing.T) {
	clock := newClock()
	o := options()
	o.Now = clock.now
	rp := newRelyingParty(t, idptest.Start(t, o))
	token := rp.login("1")
	if status, _ := rp.userinfo("made-up"); status != http.StatusUnauthorized {
		t.Errorf("a made-up token: %d", status)
	}
	if answer := rp.get(rp.provider.URL(idptest.Userinfo) + "?access_token=" + token.AccessToken); answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("a token in the query: %s", answer.Status)
	}
	clock.forward(6 * time.Minute)
	if status, _ := rp.userinfo(token.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("an expired token: %d", status)
	}
}

func TestRevocation(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	revoke := func(token, secret string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, rp.provider.URL(idptest.Revocation), strings.NewReader(url.Values{"token": {token}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.SetBasicAuth("rp", url.QueryEscape(secret))
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	const secret = "s3cr:t &%+"
	one, two := rp.login("1"), rp.login("1")
	if status := revoke(one.RefreshToken, "wrong"); status != http.StatusUnauthorized {
		t.Errorf("a wrong secret: %d", status)
	}
	if status := revoke("made-up", secret); status != http.StatusOK {
		t.Errorf("an unknown token: %d", status)
	}
	if status := revoke(one.AccessToken, secret); status != http.StatusOK {
		t.Errorf("an access token: %d", status)
	}
	if status, _ := rp.userinfo(one.AccessToken); status != http.StatusUnauthorized {
		t.Errorf("a revoked access token: %d", status)
	}
	renewed, err := rp.refresh(one.RefreshToken)
	if err != nil {
		t.Fatalf("the grant of a revoked access token: %v", err)
	}
	if status := revoke(renewed.RefreshToken, secret); status != http.StatusOK {
		t.Errorf("a refresh token: %d", status)
	}
	_, err = rp.refresh(renewed.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")
	if _, err = rp.refresh(two.RefreshToken); err != nil {
		t.Errorf("another grant of the same person: %v", err)
	}
}

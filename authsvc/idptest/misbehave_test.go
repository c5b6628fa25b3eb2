package idptest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func decode(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil // not a token; the caller says what it should be
	}
	return raw
}

// ask gets the discovery document within the bound, without following redirects.
func ask(t *testing.T, p *idptest.Provider, bound time.Duration) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL(idptest.Discovery), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer, body, err
}

func TestMisbehaviours(t *testing.T) {
	p := idptest.Start(t, options())
	_, honest, err := ask(t, p, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		interceptor idptest.Interceptor
		right       func(answer *http.Response, body []byte, err error) bool
	}{
		"Slow":   {idptest.Slow(time.Millisecond), func(_ *http.Response, b []byte, _ error) bool { return string(b) == string(honest) }},
		"Answer": {idptest.Answer(418, "text/plain", "tea"), func(a *http.Response, b []byte, _ error) bool { return a.StatusCode == 418 && string(b) == "tea" }},
		"Status": {idptest.Status(503), func(a *http.Response, b []byte, _ error) bool {
			return a.StatusCode == 503 && strings.Contains(string(b), "<html>")
		}},
		"OAuthError": {idptest.OAuthError("invalid_grant"), func(a *http.Response, b []byte, _ error) bool {
			return a.StatusCode == 400 && strings.Contains(string(b), `"error":"invalid_grant"`)
		}},
		"Garbage": {idptest.Garbage(), func(a *http.Response, b []byte, _ error) bool { return a.StatusCode == 200 && b[0] == 0 }},
		"Endless": {idptest.Endless(), func(_ *http.Response, b []byte, _ error) bool { return len(b) == 1<<20 }},
		"Truncated": {idptest.Truncated(), func(_ *http.Response, b []byte, err error) bool {
			return err == nil && string(b) == string(honest[:len(honest)/2])
		}},
		"CutOff": {idptest.CutOff(), func(_ *http.Response, b []byte, err error) bool {
			return errors.Is(err, io.ErrUnexpectedEOF) && len(b) > 0
		}},
		"Close":      {idptest.Close(), func(a *http.Response, _ []byte, err error) bool { return a == nil && errors.Is(err, io.EOF) }},
		"LoseAnswer": {idptest.LoseAnswer(), func(a *http.Response, _ []byte, err error) bool { return a == nil && errors.Is(err, io.EOF) }},
		"Redirect": {idptest.Redirect("http://evil.test/"), func(a *http.Response, _ []byte, _ error) bool {
			return a.StatusCode == 307 && a.Header.Get("Location") == "http://evil.test/"
		}},
	} {
		p.Intercept(idptest.Discovery, row.interceptor)
		if answer, body, err := ask(t, p, time.Minute); !row.right(answer, body, err) {
			t.Errorf("%s: answer %v, body of %d bytes, error %v", name, answer, len(body), err)
		}
	}

	p.Intercept(idptest.Discovery, idptest.Hang())
	if _, _, err := ask(t, p, 20*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Hang: %v", err)
	}

	release := make(chan struct{})
	p.Intercept(idptest.Discovery, idptest.Hold(release))
	if _, _, err := ask(t, p, 20*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Hold: %v", err)
	}
	close(release)
	if _, body, err := ask(t, p, time.Minute); string(body) != string(honest) {
		t.Errorf("Hold, released: %v", err)
	}

	p.Intercept(idptest.Discovery, idptest.Times(1, idptest.Status(500)))
	first, _, _ := ask(t, p, time.Minute)
	second, _, _ := ask(t, p, time.Minute)
	if first.StatusCode != 500 || second.StatusCode != 200 {
		t.Errorf("Times: %s, then %s", first.Status, second.Status)
	}

	p.Intercept("/elsewhere", idptest.Answer(200, "text/plain", "here"))
	answer, err := http.Get(p.URL("/elsewhere"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if readAll(t, answer) != "here" || p.Count("/elsewhere") != 1 {
		t.Error("a path of the test's own was not answered or not counted")
	}
}

func TestRequestLog(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	rp.provider.ForgetRequests()
	rp.login("1")
	if got := rp.provider.Count(idptest.Token); got != 1 {
		t.Fatalf("the token endpoint saw %d requests", got)
	}
	seen := rp.provider.Requests(idptest.Token)[0]
	if seen.Form.Get("grant_type") != "authorization_code" || seen.Method != http.MethodPost || seen.Time.IsZero() {
		t.Errorf("the token request: %+v", seen)
	}
	if authorize := rp.provider.Requests(idptest.Authorize)[0]; authorize.Query.Get("state") != "a-state" || authorize.Status != http.StatusOK {
		t.Errorf("the authorization request: %+v", authorize)
	}
	rp.provider.ForgetRequests()
	if rp.provider.Count(idptest.Token) != 0 || len(rp.provider.Requests("")) != 0 {
		t.Error("the log was not forgotten")
	}
}

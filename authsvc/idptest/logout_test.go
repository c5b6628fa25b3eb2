package idptest_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"authsvc/authsvc/idptest"
)

func endSession(rp *relyingParty, values url.Values) string {
	return rp.provider.URL(idptest.EndSession) + "?" + values.Encode()
}

func TestEndSession(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	token := rp.login("1")
	offline := rp.login("1", "scope=openid offline_access")
	hint := token.Extra("id_token").(string)

	answer := rp.get(endSession(rp, url.Values{"id_token_hint": {hint}, "post_logout_redirect_uri": {signedOut}, "state": {"bye"}}))
	if got := answer.Header.Get("Location"); got != signedOut+"?state=bye" {
		t.Fatalf("%s, Location %q", answer.Status, got)
	}
	if values := back(t, rp.get(rp.authURL("prompt=none"))); values.Get("error") != "login_required" {
		t.Errorf("the provider session lives on: %v", values)
	}
	_, err := rp.refresh(token.RefreshToken)
	wantOAuthError(t, err, "invalid_grant")
	if _, err := rp.refresh(offline.RefreshToken); err != nil {
		t.Errorf("a grant with offline_access ended with the session: %v", err)
	}
}

func TestEndSessionAsksAndRefuses(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	token := rp.login("1")
	hint := token.Extra("id_token").(string)
	for name, values := range map[string]url.Values{
		"unregistered address": {"id_token_hint": {hint}, "post_logout_redirect_uri": {signedOut + "/"}},
		"address, no client":   {"post_logout_redirect_uri": {signedOut}},
		"another client":       {"id_token_hint": {hint}, "client_id": {"public"}},
		"forged hint":          {"id_token_hint": {idptest.BadSignature(hint, nil)}},
		"garbage hint":         {"id_token_hint": {"garbage"}},
		"twice":                {"state": {"a", "b"}},
	} {
		if answer := rp.get(endSession(rp, values)); answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %s", name, answer.Status)
		}
	}
	asked := rp.get(endSession(rp, url.Values{"client_id": {"rp"}, "post_logout_redirect_uri": {signedOut}}))
	if text := readAll(t, asked); asked.StatusCode != http.StatusOK || !strings.Contains(text, `name="confirm"`) {
		t.Errorf("without a hint: %s %s", asked.Status, text)
	}
	if len(rp.provider.SessionIDs("1")) != 1 {
		t.Fatal("the session ended without a hint or an answer")
	}
	answer, err := rp.browser.PostForm(rp.provider.URL(idptest.EndSession), url.Values{"confirm": {"yes"}, "client_id": {"rp"}, "post_logout_redirect_uri": {signedOut}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Location") != signedOut || len(rp.provider.SessionIDs("1")) != 0 {
		t.Errorf("after the answer: %s, Location %q", answer.Status, answer.Header.Get("Location"))
	}
}

func TestBackchannelLogout(t *testing.T) {
	posted := make(chan string, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posted <- r.PostFormValue("logout_token")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	o := options()
	o.Clients[0].BackchannelLogoutURI = receiver.URL
	rp := newRelyingParty(t, idptest.Start(t, o))
	token := rp.login("1")
	sid := rp.provider.SessionIDs("1")[0]
	verifier := rp.oidc.Verifier(&oidc.Config{ClientID: "rp", SupportedSigningAlgs: []string{"ES256"}})

	rp.get(endSession(rp, url.Values{"id_token_hint": {token.Extra("id_token").(string)}}))
	told, err := verifier.VerifyLogout(t.Context(), <-posted)
	if err != nil || told.Subject != "1" || told.SessionID != sid {
		t.Errorf("logout token %+v, error %v", told, err)
	}

	status, err := rp.provider.SendBackchannelLogout(t.Context(), "rp", "1", "", func(header, claims map[string]any) {
		header["typ"], claims["nonce"] = "JWT", "must not be here"
	})
	if err != nil || status != http.StatusNoContent {
		t.Fatalf("status %d, error %v", status, err)
	}
	if _, err := verifier.VerifyLogout(t.Context(), <-posted); err == nil {
		t.Error("the edited logout token passed")
	}
	if _, err := rp.provider.SendBackchannelLogout(t.Context(), "public", "1", sid, nil); !errors.Is(err, idptest.ErrNoBackchannel) {
		t.Errorf("a client without an address: %v", err)
	}
}

package authsvc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// A renewed ID token that is not the successor of the former one (OpenID Connect Core 1.0, section 12.2) is not used, and nothing that came
// with it; the session passes on what it has.
func TestRenewedIDTokenRefused(t *testing.T) {
	set := func(name string, value any) func(*rig, map[string]any) {
		return func(_ *rig, claims map[string]any) { claims[name] = value }
	}
	tests := map[string]struct {
		edit func(*rig, map[string]any)
		log  string
	}{
		"iss":            {set("iss", "https://elsewhere.example"), "iss"},
		"iss missing":    {func(_ *rig, claims map[string]any) { delete(claims, "iss") }, "iss"},
		"sub":            {set("sub", "mallory"), "it is about someone else"},
		"sub missing":    {func(_ *rig, claims map[string]any) { delete(claims, "sub") }, "it is about someone else"},
		"aud":            {set("aud", "another-client"), "aud is not this client"},
		"azp has come":   {func(_ *rig, claims map[string]any) { claims["azp"] = "app" }, "azp has changed"},
		"aud has grown":  {func(_ *rig, claims map[string]any) { claims["aud"], claims["azp"] = []string{"app", "b"}, "app" }, "aud has changed"},
		"nonce":          {set("nonce", "another-nonce"), "nonce has changed"},
		"auth_time":      {func(r *rig, claims map[string]any) { claims["auth_time"] = r.now().Unix() }, "auth_time is not the original one"},
		"at_hash":        {set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "at_hash"},
		"exp has passed": {func(r *rig, claims map[string]any) { claims["exp"] = r.now().Add(-time.Hour).Unix() }, "exp"},
		"iat is old":     {func(r *rig, claims map[string]any) { claims["iat"] = r.now().Add(-time.Hour).Unix() }, "iat"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, withAccessToken)
			b := r.browser()
			b.signIn()
			r.provider.EditIDToken(func(_, claims map[string]any) {
				claims["groups"] = []string{"intruders"}
				test.edit(r, claims)
			})
			r.advance(6 * time.Minute)
			for range 4 {
				if token := b.passes(alicesGroups).Header.Get(accessHeader); token != "" {
					t.Error("an access token was passed on")
				}
			}
			if counts := r.provider.Counts("alice"); counts.Refreshes != 1 || counts.RefreshReuses != 0 {
				t.Errorf("the provider saw %+v", counts)
			}
			if log := r.log.String(); !strings.Contains(log, test.log) {
				t.Errorf("the log does not say %q:\n%s", test.log, log)
			}
		})
	}
}

// What Core, section 12.2, leaves open is accepted.
func TestRenewedIDTokenAccepted(t *testing.T) {
	tests := map[string]func(r *rig, former, claims map[string]any){
		"as it comes":          func(_ *rig, _, _ map[string]any) {},
		"the original's nonce": func(_ *rig, former, claims map[string]any) { claims["nonce"] = former["nonce"] },
		"no auth_time":         func(_ *rig, _, claims map[string]any) { delete(claims, "auth_time") },
		"aud is a list":        func(_ *rig, _, claims map[string]any) { claims["aud"] = []string{"app"} },
		"another sid":          func(_ *rig, _, claims map[string]any) { claims["sid"] = "another" },
	}
	for name, edit := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, withAccessToken)
			b := r.browser()
			former := map[string]any{}
			r.provider.EditIDToken(func(_, claims map[string]any) { former["nonce"] = claims["nonce"] })
			b.signIn()
			r.provider.EditIDToken(func(_, claims map[string]any) {
				claims["groups"] = []string{"renewed"}
				edit(r, former, claims)
			})
			for life := range 2 {
				r.advance(6 * time.Minute)
				if b.passes("renewed").Header.Get(accessHeader) == "" {
					t.Error("no new access token")
				}
				if counts := r.provider.Counts("alice"); counts.Refreshes != life+1 || counts.RefreshReuses != 0 {
					t.Errorf("the provider saw %+v", counts)
				}
			}
		})
	}
}

// An answer may come without an ID token; then userinfo tells the claims, and what it does not tell stays. The next refresh is held
// against the ID token of the login.
func TestRefreshWithoutIDToken(t *testing.T) {
	r := newRig(t, 2, withAccessToken)
	b := r.browser()
	b.signIn()
	r.provider.EditTokenResponse(func(answer map[string]any) { delete(answer, "id_token") })
	r.provider.EditUserinfo(func(claims map[string]any) {
		delete(claims, "email")
		claims["groups"] = []string{"by-userinfo"}
	})
	r.advance(6 * time.Minute)
	reply := b.passes("by-userinfo")
	if reply.Header.Get(accessHeader) == "" || reply.Header.Get("X-Auth-Request-Email") != "alice@example.com" {
		t.Errorf("headers %v", reply.Header)
	}
	r.provider.BeHonest()
	r.landed()
	r.advance(6 * time.Minute)
	if b.passes(alicesGroups).Header.Get(accessHeader) == "" {
		t.Error("no new access token")
	}
	r.provider.EditIDToken(func(_, claims map[string]any) { claims["sub"] = "mallory" })
	r.landed()
	r.advance(6 * time.Minute)
	if b.passes(alicesGroups).Header.Get(accessHeader) != "" {
		t.Error("an ID token of somebody else was accepted after all that")
	}
	if reuses := r.provider.Counts("alice").RefreshReuses; reuses != 0 {
		t.Errorf("%d reuses", reuses)
	}
}

// Claims that the provider changes replace the former ones; those that it leaves out stay.
func TestRenewedClaims(t *testing.T) {
	tests := map[string]struct {
		idToken, userinfo func(claims map[string]any)
		answer            idptest.Interceptor // of userinfo
		groups, email     string
	}{
		"the ID token changes them": {
			idToken: func(claims map[string]any) { claims["groups"], claims["email"] = []string{"new"}, "new@example.com" },
			groups:  "new", email: "new@example.com",
		},
		"left out everywhere": {
			idToken:  func(claims map[string]any) { delete(claims, "groups"); delete(claims, "email") },
			userinfo: func(claims map[string]any) { delete(claims, "groups"); delete(claims, "email") },
			groups:   alicesGroups, email: "alice@example.com",
		},
		"an empty list is a change": {
			idToken: func(claims map[string]any) { claims["groups"] = []string{} },
			groups:  "", email: "alice@example.com",
		},
		"userinfo tells what the ID token leaves out": {
			idToken:  func(claims map[string]any) { delete(claims, "groups") },
			userinfo: func(claims map[string]any) { claims["groups"], claims["email"] = []string{"new"}, "weaker@example.com" },
			groups:   "new", email: "alice@example.com",
		},
		"userinfo about someone else": {
			idToken:  func(claims map[string]any) { delete(claims, "groups") },
			userinfo: func(claims map[string]any) { claims["sub"], claims["groups"] = "mallory", []string{"intruders"} },
			groups:   alicesGroups, email: "alice@example.com",
		},
		"userinfo fails": {
			idToken: func(claims map[string]any) { delete(claims, "groups") },
			answer:  idptest.Status(http.StatusBadGateway),
			groups:  alicesGroups, email: "alice@example.com",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, withAccessToken)
			b := r.browser()
			b.signIn()
			r.provider.EditIDToken(func(_, claims map[string]any) { test.idToken(claims) })
			r.provider.EditUserinfo(test.userinfo)
			r.provider.Intercept(idptest.Userinfo, test.answer)
			r.advance(6 * time.Minute)
			reply := b.passes(test.groups)
			if email := reply.Header.Get("X-Auth-Request-Email"); email != test.email {
				t.Errorf("email %q, want %q", email, test.email)
			}
			if reply.Header.Get(accessHeader) == "" {
				t.Error("no new access token")
			}
		})
	}
}

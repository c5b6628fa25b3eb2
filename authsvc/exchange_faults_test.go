package authsvc

import (
	"compress/gzip"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// gzipBomb answers with 64 MB of JSON in some 60 KB.
func gzipBomb(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	packed := gzip.NewWriter(w)
	defer packed.Close()
	packed.Write([]byte(`{"padding":"`))
	for range 64 {
		if _, err := packed.Write([]byte(strings.Repeat("a", 1<<20))); err != nil {
			return
		}
	}
	packed.Write([]byte(`"}`))
}

// intercept is an arm that answers an endpoint's requests in its place.
func intercept(endpoint idptest.Endpoint, interceptor idptest.Interceptor) func(*idptest.Provider) {
	return func(p *idptest.Provider) { p.Intercept(endpoint, interceptor) }
}

// TestTokenEndpointFaults breaks the token endpoint and what it answers.
func TestTokenEndpointFaults(t *testing.T) {
	r := newRig(t, 1, nil)
	response := func(change func(answer map[string]any)) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditTokenResponse(change) }
	}
	set := func(name string, value any) func(*idptest.Provider) {
		return response(func(answer map[string]any) { answer[name] = value })
	}
	without := func(name string) func(*idptest.Provider) {
		return response(func(answer map[string]any) { delete(answer, name) })
	}
	row := func(name string, want int, arm func(*idptest.Provider)) fault {
		return fault{name: name, arm: arm, want: want, spends: true}
	}
	const (
		good        = http.StatusFound
		bad         = http.StatusBadGateway
		unreachable = http.StatusServiceUnavailable
	)
	leaky := `{"access_token":"eyJ","id_token":"eyJ","error":"alice@example.com","error_description":"` + testClientSecret + `"}`

	runFaults(t, r, []fault{
		row("Q23 no id_token", bad, without("id_token")),
		row("Q23 id_token empty", bad, set("id_token", "")),
		row("Q23 id_token a number", bad, set("id_token", 5)),
		row("Q23 id_token an array", bad, set("id_token", []string{"eyJ"})),
		row("Q23 no access_token", bad, without("access_token")),
		row("Q23 access_token a number", bad, set("access_token", 5)),
		row("Q23 token_type bearer, token-type-case-insensitivity", good, set("token_type", "bearer")),
		row("Q23 token_type BEARER", good, set("token_type", "BEARER")),
		row("Q23 token_type mac", bad, set("token_type", "mac")),
		row("Q23 token_type DPoP", bad, set("token_type", "DPoP")),
		row("Q23 token_type missing", bad, without("token_type")),
		row("Q23 token-endpoint-response-without-expires_in", good, without("expires_in")),
		row("Q23 expires_in 0", good, set("expires_in", 0)),
		row("Q23 expires_in a text", good, set("expires_in", "300")),
		row("Q23 expires_in a million years", good, set("expires_in", int64(1e13))),
		row("Q23 expires_in negative", good, set("expires_in", -5)),
		row("Q23 an access token of 300 KB, more than a record takes", bad, response(func(a map[string]any) {
			a["access_token"] = strings.Repeat("a", 300<<10)
			a["id_token"] = "eyJ"
		})),

		row("F34 status 500", unreachable, intercept(idptest.Token, idptest.Status(http.StatusInternalServerError))),
		row("F34 status 502", unreachable, intercept(idptest.Token, idptest.Status(http.StatusBadGateway))),
		row("F34 status 503", unreachable, intercept(idptest.Token, idptest.Status(http.StatusServiceUnavailable))),
		row("F34 status 429", unreachable, intercept(idptest.Token, idptest.Status(http.StatusTooManyRequests))),
		row("F34 status 404", bad, intercept(idptest.Token, idptest.Status(http.StatusNotFound))),
		row("Q12 invalid_client", bad, intercept(idptest.Token, idptest.OAuthError("invalid_client"))),
		row("Q12 invalid_client with status 401", bad, intercept(idptest.Token, idptest.Answer(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`))),
		row("Q8 invalid_grant", bad, intercept(idptest.Token, idptest.OAuthError("invalid_grant"))),
		row("Q43 an error that quotes secrets", bad, intercept(idptest.Token, idptest.Answer(http.StatusBadRequest, "application/json", leaky))),
		row("Q43 an error of status 200 that quotes secrets", bad, intercept(idptest.Token, idptest.Answer(http.StatusOK, "application/json", leaky))),
		row("Q43 an error as a form that quotes secrets", bad, intercept(idptest.Token, idptest.Answer(http.StatusBadRequest, "text/plain", "error=alice%40example.com&error_description="+testClientSecret))),
		row("F35 HTML", bad, intercept(idptest.Token, idptest.Answer(http.StatusOK, "text/html", "<html>"+testClientSecret+"</html>"))),
		row("F35 garbage", bad, intercept(idptest.Token, idptest.Garbage())),
		row("F35 nothing", bad, intercept(idptest.Token, idptest.Answer(http.StatusOK, "application/json", ""))),
		row("F35 null", bad, intercept(idptest.Token, idptest.Answer(http.StatusOK, "application/json", "null"))),
		row("F35 truncated JSON", bad, intercept(idptest.Token, idptest.Truncated())),
		row("F35 a body that never ends", bad, intercept(idptest.Token, idptest.Endless())),
		row("F35 a gzip bomb", bad, intercept(idptest.Token, gzipBomb)),
		row("F35 a redirect", bad, intercept(idptest.Token, idptest.Redirect(r.provider.URL("/elsewhere")))),
		row("F35 a closed connection", unreachable, intercept(idptest.Token, idptest.Close())),
		row("F35 a connection that closes after the answer was made", unreachable, intercept(idptest.Token, idptest.LoseAnswer())),
		row("F35 a body that is cut off", unreachable, intercept(idptest.Token, idptest.CutOff())),
	})
	if n := r.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("a redirect of the token endpoint was followed %d times: the code and the secret went elsewhere", n)
	}
}

// TestSlowProvider lets the provider take all the time that a callback has. It asserts no durations: the bounds end it.
func TestSlowProvider(t *testing.T) {
	tests := []fault{
		{name: "F33 the token endpoint hangs", want: http.StatusServiceUnavailable, spends: true, arm: intercept(idptest.Token, idptest.Hang())},
		{name: "Q22 userinfo hangs after a slow token endpoint: the login goes on", want: http.StatusFound, arm: func(p *idptest.Provider) {
			setClaim("email", nil)(p)
			p.Intercept(idptest.Token, idptest.Slow(3*time.Second))
			p.Intercept(idptest.Userinfo, idptest.Hang())
		}},
	}
	for _, f := range tests {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			runFaults(t, newRig(t, 1, nil), []fault{f})
		})
	}
}

// withoutRefreshToken makes a provider that gives none, so that nothing renews the access token.
func withoutRefreshToken(answer map[string]any) { delete(answer, "refresh_token") }

// TestExpiresIn looks at how long an access token is passed on that nothing renews.
func TestExpiresIn(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Headers["X-Auth-Request-Access-Token"] = Header{Claim: "@access_token"} })
	for name, test := range map[string]struct {
		value         any
		atOnce, later bool // whether the token is passed on at once, and three minutes later
	}{
		"a number": {120, true, false}, "a text": {"120", true, false}, "absent": {nil, true, true},
		"zero": {0, false, false}, "negative": {-5, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.provider.EditTokenResponse(func(answer map[string]any) {
				withoutRefreshToken(answer)
				if answer["expires_in"] = test.value; test.value == nil {
					delete(answer, "expires_in")
				}
			})
			b := r.browser()
			b.signIn()
			passedOn := func() bool {
				reply := b.auth("")
				if reply.StatusCode != http.StatusOK || len(reply.Header["X-Auth-Request-Access-Token"]) != 1 {
					t.Fatalf("%s %v", reply.Status, reply.Header)
				}
				return reply.Header.Get("X-Auth-Request-Access-Token") != ""
			}
			if got := passedOn(); got != test.atOnce {
				t.Errorf("after the login passed on: %v", got)
			}
			r.advance(3 * time.Minute)
			if got := passedOn(); got != test.later {
				t.Errorf("after 3 minutes passed on: %v", got)
			}
		})
	}
}

// TestUserinfoFaults gives an ID token without an e-mail address, so that userinfo is asked, and breaks its answer: it is discarded whole,
// and the login goes on.
func TestUserinfoFaults(t *testing.T) {
	r := newRig(t, 1, nil)
	edit := func(change func(claims map[string]any)) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditUserinfo(change) }
	}
	answer := func(contentType, body string) func(*idptest.Provider) {
		return intercept(idptest.Userinfo, idptest.Answer(http.StatusOK, contentType, body))
	}
	const good = `{"sub":"alice","email":"intruder@example.com"}`
	tests := []struct {
		name  string
		arm   func(*idptest.Provider)
		email string // the address that /auth tells afterwards
	}{
		{"honest", nil, "alice@example.com"},
		{"charset in its type", answer("application/json; charset=utf-8", good), "intruder@example.com"},
		{"Q22 sub of another, oidcc-client-test-userinfo-invalid-sub", edit(func(c map[string]any) { c["sub"] = "bob" }), ""},
		{"Q22 sub missing", edit(func(c map[string]any) { delete(c, "sub") }), ""},
		{"Q22 sub null", edit(func(c map[string]any) { c["sub"] = nil }), ""},
		{"Q22 sub an array", edit(func(c map[string]any) { c["sub"] = []string{"alice"} }), ""},
		{"Q22 sub in upper case", edit(func(c map[string]any) { c["sub"] = "ALICE" }), ""},
		{"Q22 Sub in place of sub", edit(func(c map[string]any) { delete(c, "sub"); c["Sub"] = "alice" }), ""},
		{"Q22 an array", answer("application/json", "["+good+"]"), ""},
		{"Q22 null", answer("application/json", "null"), ""},
		{"Q22 a text", answer("application/json", `"alice"`), ""},
		{"Q22 two objects", answer("application/json", good+good), ""},
		{"Q22 an object and garbage", answer("application/json", good+"]]"), ""},
		{"Q22 HTML", answer("text/html", good), ""},
		{"Q22 no type", answer("", good), ""},
		{"Q22 JWT", answer("application/jwt", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9."), ""},
		{"Q22 401", intercept(idptest.Userinfo, idptest.Status(http.StatusUnauthorized)), ""},
		{"Q22 500", intercept(idptest.Userinfo, idptest.Status(http.StatusInternalServerError)), ""},
		{"Q22 5 MB", edit(func(c map[string]any) { c["padding"] = strings.Repeat("a", 5<<20) }), ""},
		{"F35 truncated", intercept(idptest.Userinfo, idptest.Truncated()), ""},
		{"F35 cut off", intercept(idptest.Userinfo, idptest.CutOff()), ""},
		{"F35 closed", intercept(idptest.Userinfo, idptest.Close()), ""},
		{"F35 endless", intercept(idptest.Userinfo, idptest.Endless()), ""},
		{"F35 gzip bomb", intercept(idptest.Userinfo, gzipBomb), ""},
		{"F35 redirect", intercept(idptest.Userinfo, idptest.Redirect(r.provider.URL("/elsewhere"))), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			r.provider.BeHonest()
			setClaim("email", nil)(r.provider)
			if test.arm != nil {
				test.arm(r.provider)
			}
			logged := len(r.log.String())
			b := r.browser()
			b.signIn()
			reply := b.auth("")
			header := reply.Header
			if reply.StatusCode != http.StatusOK || header.Get("X-Auth-Request-User") != "alice" || header.Get("X-Auth-Request-Groups") != "staff,admins" {
				t.Fatalf("the login did not go on: %s %v", reply.Status, header)
			}
			if email := header.Get("X-Auth-Request-Email"); email != test.email {
				t.Errorf("e-mail %q, want %q", email, test.email)
			}
			checkSecrets(t, "the log", r.log.String()[logged:], []string{"eyJ", testClientSecret, "example.com", b.sessionCookie()})
		})
	}
	if n := r.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("a redirect of userinfo was followed %d times: the access token went elsewhere", n)
	}

	t.Run("the ID token's claims stay, since they are signed", func(t *testing.T) {
		r.t = t
		r.provider.BeHonest()
		setClaim("email", nil)(r.provider)
		r.provider.EditUserinfo(func(c map[string]any) {
			c["groups"], c["preferred_username"], c["iss"], c["acr"] = []string{"root"}, "root", "https://evil.example", "high"
		})
		b := r.browser()
		b.signIn()
		header := b.auth("").Header
		if header.Get("X-Auth-Request-Groups") != "staff,admins" || header.Get("X-Auth-Request-Preferred-Username") != "alice" {
			t.Errorf("%v", header)
		}
	})
	t.Run("nobody asks when nothing lacks", func(t *testing.T) {
		r.t = t
		r.provider.BeHonest()
		r.provider.ForgetRequests()
		r.browser().signIn()
		if n := r.provider.Count(idptest.Userinfo); n != 0 {
			t.Errorf("%d userinfo requests", n)
		}
	})
}

// TestClientAuthentication sends odd characters by each method; the provider decodes and compares.
func TestClientAuthentication(t *testing.T) {
	for _, method := range []string{"basic", "post", "none"} {
		t.Run("Q12 "+method+", oidcc-client-test-client-secret-basic", func(t *testing.T) {
			const odd = "s3cret: +%&=ü/?"
			r := newRig(t, 1, func(c *Config) {
				c.OIDC.ClientAuth, c.OIDC.ClientSecret = method, odd
				if method == "none" {
					c.OIDC.ClientSecret = ""
				}
			})
			if reply := r.browser().signIn(); reply.Header.Get("Location") != "/landed?a=b&c=d" {
				t.Fatalf("%s\n%s", reply.Status, r.log)
			}
			request := r.provider.Requests(idptest.Token)[0]
			if inForm, inHeader := request.Form.Has("client_secret"), request.Header.Get("Authorization") != ""; inForm != (method == "post") || inHeader != (method == "basic") {
				t.Errorf("secret in the form: %v, in the header: %v", inForm, inHeader)
			}
			if len(request.Query) > 0 || request.Form.Get("redirect_uri") != r.url+"/callback" || len(request.Form.Get("code_verifier")) < 43 {
				t.Errorf("the token request: query %v, redirect_uri %q", request.Query, request.Form.Get("redirect_uri"))
			}
			for _, other := range r.provider.Requests("") {
				if strings.Contains(other.Query.Encode(), url.QueryEscape(odd)) {
					t.Errorf("the secret is in the address of %s", other.Path)
				}
			}
		})
	}
}

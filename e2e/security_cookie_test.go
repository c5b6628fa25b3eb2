package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// sessionRequirements are those about the cookie and the session behind it: RFC 6265bis, OWASP ASVS 5.0 chapters 3 and 7.
var sessionRequirements = []owed{
	{"Q36_cookie_attributes", cookieAttributes},
	{"Q37_a_dump_opens_nothing", dumpOpensNothing},
	{"Q38_a_new_ID_at_every_login", newIDs},
	{"Q39_idle_and_absolute_timeouts", timeouts},
	{"Q40_sessions_end_everywhere", endsEverywhere},
	{"Q41_bad_cookies_cost_the_store_nothing", badCookies},
	{"Q42_one_login_cookie_for_all_attempts", parallelAttempts},
	{"Q43_tokens_stay_inside", nothingLeaks},
	{"Q44_verdicts_are_not_cached", notCached},
}

// TestSecurityRequirementsSession runs them on three replicas.
func TestSecurityRequirementsSession(t *testing.T) {
	s := newStack(t, options{replicas: 3, settings: map[string]string{"store.timeout": "1s"}, provider: func(o *idptest.Options) {
		for _, c := range cookieCases {
			if !slices.Contains(o.Clients[0].RedirectURIs, c.url+"/callback") {
				o.Clients[0].RedirectURIs = append(o.Clients[0].RedirectURIs, c.url+"/callback")
			}
		}
	}})
	hold(t, s, sessionRequirements)
}

// cookieCases are configurations and the cookies that they make.
var cookieCases = []struct {
	name, url                 string
	settings                  map[string]string
	session, login            string // names
	domain, loginSameSite     string
	insecure, answersByForm   bool
	expiresBeside, expiresToo string // domains of the variants of another scope that a login expires, "-" for the host alone
}{
	{name: "https", url: "https://app.example.com", session: "__Host-authsvc", login: "__Host-authsvc_login"},
	{name: "https below a path", url: "https://app.example.com/oauth2", session: "__Host-authsvc", login: "__Host-authsvc_login"},
	{name: "a domain", url: "https://app.example.com", settings: map[string]string{"cookie.domain": "example.com"},
		session: "__Secure-authsvc", login: "__Secure-authsvc_login", domain: "example.com", expiresBeside: "-"},
	{name: "form_post", url: "https://app.example.com", settings: map[string]string{"oidc.response_mode": "form_post"},
		session: "__Host-authsvc", login: "__Host-authsvc_login", loginSameSite: "None", answersByForm: true},
	{name: "http", url: "http://127.0.0.1:8080", session: "authsvc", login: "authsvc_login", insecure: true},
}

// cookieAttributes compares each Set-Cookie as it is sent, attribute for attribute.
func cookieAttributes(t *testing.T, s *stack) {
	for _, c := range cookieCases {
		t.Run(c.name, func(t *testing.T) {
			settings := maps.Clone(s.settings)
			maps.Copy(settings, c.settings)
			settings["public_url"], settings["store.prefix"] = c.url, "cookies-"+strings.ReplaceAll(c.name, " ", "-")
			r := newReplica(t, settings)
			r.awaitReady()
			public, err := url.Parse(c.url)
			check(t, err)
			ask := func(method, target string, header http.Header, form url.Values) reply {
				t.Helper()
				request, err := http.NewRequest(method, "http://"+r.address+public.Path+target, strings.NewReader(form.Encode()))
				check(t, err)
				request.Host = public.Host
				request.Header.Set("Sec-Fetch-Site", "same-origin")
				if form != nil {
					request.Header.Set("Content-Type", formType)
				}
				maps.Copy(request.Header, header)
				answer, err := exchange(direct, request)
				check(t, err)
				return answer
			}
			// attributes writes what a Set-Cookie has beside name and value.
			attributes := func(maxAge int, domain, sameSite string, secure bool) string {
				text := "Path=/"
				if domain != "" {
					text += "; Domain=" + domain
				}
				text += fmt.Sprintf("; Max-Age=%d; HttpOnly", maxAge)
				if secure {
					text += "; Secure"
				}
				return text + "; SameSite=" + sameSite
			}
			set := func(answer reply, name, want string) (value string) {
				t.Helper()
				for _, line := range answer.header["Set-Cookie"] {
					pair, rest, _ := strings.Cut(line, "; ")
					if n, v, _ := strings.Cut(pair, "="); n == name && rest == want {
						return v
					}
				}
				t.Fatalf("%v sets %q, want %s with %s", answer, answer.header["Set-Cookie"], name, want)
				return ""
			}
			start := ask(http.MethodGet, "/start", nil, nil)
			loginSameSite := "Lax"
			if c.loginSameSite != "" {
				loginSameSite = c.loginSameSite
			}
			login := set(start, c.login, attributes(600, "", loginSameSite, !c.insecure))
			if n := len(start.header["Set-Cookie"]); n != 1 || len(login) < 40 {
				t.Errorf("/start sets %q", start.header["Set-Cookie"])
			}
			authorize, err := http.NewRequest(http.MethodGet, start.header.Get("Location"), nil)
			check(t, err)
			authorize.Header.Set(personHeader, "alice")
			back, err := exchange(direct, authorize)
			check(t, err)
			method, target, form := http.MethodGet, "", url.Values(nil)
			if c.answersByForm {
				method, target = http.MethodPost, "/callback"
				page, found := formOf(back.body)
				if !found {
					t.Fatalf("the provider answers %v", back)
				}
				form = page.hidden
			} else {
				target = strings.TrimPrefix(back.header.Get("Location"), c.url)
			}
			landed := ask(method, target, http.Header{"Cookie": {c.login + "=" + login}}, form)
			value := set(landed, c.session, attributes(12*60*60, c.domain, "Lax", !c.insecure))
			others := 0
			if c.expiresBeside == "-" {
				set(landed, c.session, attributes(0, "", "Lax", !c.insecure))
				others = 1
			}
			if len(landed.header["Set-Cookie"]) != 1+others || value == "" {
				t.Errorf("the login sets %q", landed.header["Set-Cookie"])
			}
			// What expires it is the same in everything else: browsers would keep it otherwise.
			out := ask(http.MethodPost, "/logout", http.Header{"Cookie": {c.session + "=" + value}}, nil)
			if out.status != http.StatusSeeOther || set(out, c.session, attributes(0, c.domain, "Lax", !c.insecure)) != "" || len(out.header["Set-Cookie"]) != 1+others {
				t.Errorf("logout: %v sets %q", out, out.header["Set-Cookie"])
			}
		})
	}
}

// newIDs has browsers sign in with cookies that somebody may have planted: none of them is taken over, and none of them works afterwards.
func newIDs(t *testing.T, s *stack) {
	known := map[string]bool{}
	for name, preset := range map[string]func() string{
		"the person's own":   func() string { v := s.visitor("alice"); v.signIn(); return v.cookie(sessionCookie) },
		"another person's":   func() string { v := s.visitor("bob"); v.signIn(); return v.cookie(sessionCookie) },
		"one that has ended": func() string { v := s.visitor("bob"); v.signIn(); c := v.cookie(sessionCookie); s.end(v); return c },
		"genuine, but of nobody": func() string {
			return keyring(t, s.settings["cookie.secret"]).NewToken(session.PurposeSession, "main").Reveal()
		},
		"nonsense": func() string { return "nonsense" },
	} {
		t.Run(name, func(t *testing.T) {
			s.in(t)
			records, old := s.records(), preset()
			lived := s.records() > records
			v := s.visitor("alice")
			v.client.Jar.SetCookies(s.address(), []*http.Cookie{{Name: sessionCookie, Value: old, Path: "/"}})
			check(t, v.signInAgain("/page"))
			fresh := v.cookie(sessionCookie)
			if fresh == old || known[fresh] || len(fresh) < 40 {
				t.Errorf("the login gave the cookie %q", fresh)
			}
			known[fresh] = true
			check(t, s.refused(old))
			check(t, s.signedInAs("alice", fresh))
			if n := s.records(); n != records+1 {
				t.Errorf("%d session records, %d before; the preset one lived: %t", n, records, lived)
			}
			s.end(v)
		})
	}
}

// end signs a visitor out.
func (s *stack) end(v *visitor) {
	s.t.Helper()
	_, err := v.logOut()
	check(s.t, err)
}

func timeouts(t *testing.T, _ *stack) {
	t.Run("absolute, with traffic and without an expiry in Redis", persistedKeyDies)
	t.Run("idle", func(t *testing.T) {
		s := newStack(t, options{settings: map[string]string{"session.idle_timeout": "2s"}})
		v := s.visitor("alice")
		v.signIn()
		cookie, key := v.cookie(sessionCookie), "authsvc:session:{"+idIn(t, s.keys())+"}"
		storetest.WaitFor(t, "Redis to let the session end", func() error {
			n, err := s.redis.Client().Exists(context.Background(), key).Result()
			if err == nil && n > 0 {
				err = fmt.Errorf("%s is there", key)
			}
			return err
		})
		check(t, s.refused(cookie))
		answer, err := v.open("/page")
		check(t, err)
		if _, err := v.arrived(answer, "/page"); err != nil || v.cookie(sessionCookie) == cookie {
			t.Errorf("the next login: %v", err)
		}
	})
}

// endsEverywhere ends sessions in each way that there is: all replicas refuse them, and nobody else's.
func endsEverywhere(t *testing.T, s *stack) {
	bystander := s.newcomerNamed("bystander")
	t.Run("logout", func(t *testing.T) {
		s.in(t)
		s.end(s.newcomerNamed("one"))
	})
	t.Run("an administrator ends one", func(t *testing.T) {
		s.in(t)
		first, second := s.newcomerNamed("two"), s.newcomerNamed("two")
		s.sessions("revoke "+s.list("--user two")[0].ID, 0) // the newest comes first
		check(t, s.refused(second.cookie(sessionCookie)))
		check(t, first.stays())
	})
	t.Run("an administrator ends all of a person", func(t *testing.T) {
		s.in(t)
		first, second := s.newcomerNamed("three"), s.newcomerNamed("three")
		s.sessions("revoke --user three", 0)
		for _, v := range []*visitor{first, second} {
			check(t, s.refused(v.cookie(sessionCookie)))
		}
	})
	t.Run("the person ends the others", func(t *testing.T) {
		s.in(t)
		first, second := s.newcomerNamed("four"), s.newcomerNamed("four")
		form := url.Values{"others": {"1"}}
		request, err := http.NewRequest(http.MethodPost, s.url+"/sessions", strings.NewReader(form.Encode()))
		check(t, err)
		request.Header = http.Header{"Content-Type": {formType}, "Sec-Fetch-Site": {"same-origin"}}
		answer, err := exchange(first.client, request)
		check(t, is(answer, err, http.StatusSeeOther))
		check(t, s.refused(second.cookie(sessionCookie)))
		check(t, first.stays())
	})
	t.Run("the provider disables a person", func(t *testing.T) {
		s.in(t)
		s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 2 })
		defer s.provider.EditTokenResponse(nil)
		v := s.newcomerNamed("five")
		cookie := v.cookie(sessionCookie)
		s.provider.Revoke("five")
		storetest.WaitFor(t, "the next refresh to end the session", func() error {
			answer, err := s.replicas[0].authCookie(cookie)
			return is(answer, err, http.StatusUnauthorized)
		})
		check(t, s.refused(cookie))
	})
	check(t, bystander.stays())
}

func badCookies(t *testing.T, s *stack) {
	t.Run("no store command", noStoreCommands)
	t.Run("where a cookie differs costs nothing", func(t *testing.T) {
		s.in(t)
		v := s.newcomerNamed("compared")
		good := v.cookie(sessionCookie)
		places := []int{0, len(good) / 2, len(good) - 2}
		took := make([][]time.Duration, len(places))
		for range 300 {
			for i, at := range places { // in turn, so that all meet the same weather
				answer, err := s.replicas[0].authCookie(good[:at] + string(otherCharacter(good[at])) + good[at+1:])
				check(t, is(answer, err, http.StatusUnauthorized))
				took[i] = append(took[i], answer.took)
			}
		}
		var medians []time.Duration
		for _, list := range took {
			slices.Sort(list)
			medians = append(medians, list[len(list)/2])
		}
		if slices.Max(medians) > 10*slices.Min(medians) {
			t.Errorf("refusals of a cookie that is wrong at its beginning, middle and end take %v", medians)
		}
		t.Logf("refusals of a cookie that is wrong at its beginning, middle and end take %v", medians)
	})
}

// notCached asks as pages, scripts, sockets and preflights do. Only a page load is led to a login, and nothing that depends on who asks may be kept.
func notCached(t *testing.T, s *stack) {
	v := s.newcomerNamed("cached")
	cookie := http.Header{"Cookie": {sessionCookie + "=" + v.cookie(sessionCookie)}}
	kinds := []struct {
		name, method string
		header       http.Header
		page         bool
	}{
		{"a page", http.MethodGet, http.Header{"Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}}, true},
		{"fetch", http.MethodGet, http.Header{"Sec-Fetch-Mode": {"cors"}, "Accept": {"text/html"}}, false},
		{"JSON", http.MethodGet, http.Header{"Accept": {"application/json"}}, false},
		{"XHR", http.MethodGet, http.Header{"X-Requested-With": {"XMLHttpRequest"}, "Accept": {"text/html"}}, false},
		{"WebSocket", http.MethodGet, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Fetch-Mode": {"websocket"}}, false},
		{"WebSocket of an old browser", http.MethodGet, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Accept": {"text/html"}}, false},
		{"preflight", http.MethodOptions, http.Header{"Origin": {"https://other.example.com"}, "Access-Control-Request-Method": {"PUT"}, "Sec-Fetch-Mode": {"cors"}}, false},
		{"POST", http.MethodPost, http.Header{"Accept": {"text/html"}}, false},
	}
	ask := func(address, method string, header http.Header) reply {
		t.Helper()
		request, err := http.NewRequest(method, address, nil)
		check(t, err)
		request.Header = header.Clone()
		answer, err := exchange(direct, request)
		for again := retries; err == nil && answer.status == http.StatusServiceUnavailable && again > 0; again-- { // see walk
			answer, err = exchange(direct, request)
		}
		check(t, err)
		return answer
	}
	for _, kind := range kinds {
		forwarded := kind.header.Clone()
		forwarded.Set("X-Forwarded-Method", kind.method)
		forwarded.Set("X-Forwarded-Proto", "http")
		forwarded.Set("X-Forwarded-Host", s.site)
		forwarded.Set("X-Forwarded-Uri", "/page")
		for way, answer := range map[string]reply{
			"nginx":    ask(s.url+"/page", kind.method, kind.header),
			"/forward": ask("http://"+s.replicas[0].address+"/forward", http.MethodGet, forwarded),
			"/envoy/":  ask("http://"+s.replicas[0].address+"/envoy/page", kind.method, kind.header),
		} {
			want := http.StatusUnauthorized
			if kind.page {
				want = http.StatusFound
			}
			if answer.status != want || (answer.next() != "") != kind.page || answer.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %v, Cache-Control %q; want %d", way, kind.name, answer, answer.header.Get("Cache-Control"), want)
			}
		}
		for _, r := range s.replicas {
			answer, err := r.auth("", kind.header)
			check(t, is(answer, err, http.StatusUnauthorized)) // which auth checks to be no-store
		}
	}
	// What tells people of themselves is not kept either.
	for _, path := range []string{"/session", "/userinfo", "/sessions", "/logout"} {
		for _, header := range []http.Header{cookie, {}} {
			if answer := ask(s.url+path, http.MethodGet, header); answer.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v, Cache-Control %q", path, answer, answer.header.Get("Cache-Control"))
			}
		}
	}
	// The application's answers through the gateway are of the verdict of that moment: nothing is kept between a refusal and a pass.
	for range 3 {
		for header, want := range map[*http.Header]int{&cookie: http.StatusOK, {}: http.StatusUnauthorized} {
			if answer := ask(s.url+"/page", http.MethodGet, *header); answer.status != want {
				t.Errorf("%v, want %d", answer, want)
			}
		}
	}
}

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// logoutRequirements are those about ends of sessions: OpenID Connect RP-Initiated Logout 1.0 and Back-Channel Logout 1.0.
var logoutRequirements = []owed{
	{"Q28_RP_initiated_logout", rpInitiatedLogout},
	{"Q29_logout_is_safe_from_other_sites", logoutFromOtherSites},
	{"Q30_back_channel_requests", backchannelRequests},
	{"Q31_logout_tokens", logoutTokens},
	{"Q32_a_logout_token_counts_once", logoutTokenTwice},
	{"Q33_sid_ends_one_sub_ends_all", logoutOfFive},
	{"Q34_logout_races_login_and_refresh", logoutRaces},
	{"Q35_logout_holds_on_every_replica_soon", logoutHoldsSoon},
}

// TestSecurityRequirementsLogout runs them on three replicas whose caches would hide a lost end for a minute.
func TestSecurityRequirementsLogout(t *testing.T) {
	s := newStack(t, options{replicas: 3, settings: map[string]string{"session.cache_ttl": "1m", "store.timeout": "1s"}})
	hold(t, s, logoutRequirements)
}

// TestSecurityRequirementsLogoutEvicted: Redis has evicted the lists by which a logout of a user finds their sessions. Its mark ends them, when
// the idle time would be extended.
func TestSecurityRequirementsLogoutEvicted(t *testing.T) {
	s := newStack(t, options{replicas: 2, settings: map[string]string{"session.idle_timeout": "20s", "session.cache_ttl": "1m"}})
	hold(t, s, []owed{{"Q33_sub_ends_all_without_their_list", func(t *testing.T, s *stack) {
		bystander := s.newcomerNamed("bystander")
		v := s.newcomerNamed("listless")
		for _, key := range s.keys() {
			if kind := strings.Split(key, ":")[1]; kind == "user" || kind == "sid" {
				s.redis.Do("DEL", key)
			}
		}
		answer, err := s.replicas[0].logoutToken(s.provider.LogoutToken(clientID, "listless", "", nil))
		check(t, is(answer, err, http.StatusOK))
		if n := s.replicas[0].metric(`authsvc_backchannel_logouts_total{result="nothing"}`); n != "1" {
			t.Errorf("%s logouts found nothing", n)
		}
		cookie := v.cookie(sessionCookie)
		storetest.WaitFor(t, "it is signed out", func() error {
			_, err := s.replicas[1].certain(bystander.cookie(sessionCookie))
			check(t, err)
			answer, err := s.replicas[1].certain(cookie)
			return is(answer, err, http.StatusUnauthorized)
		})
		check(t, s.refused(cookie))
		check(t, bystander.stays())
	}}})
}

// newcomerNamed signs// newcomerNamed signs somebody new in, whom no logout of another test has ended.
func (s *stack) newcomerNamed(name string) *visitor {
	s.t.Helper()
	s.provider.SetPerson(person(name))
	v := s.visitor(name)
	v.signIn()
	check(s.t, s.signedInAs(name, v.cookie(sessionCookie)))
	return v
}

// stays checks that the visitor is signed in.
func (v *visitor) stays() error { return v.stack.signedInAs(v.person, v.cookie(sessionCookie)) }

// sameOrigin is the header of a button on our own page.
var sameOrigin = http.Header{"Sec-Fetch-Site": {"same-origin"}}

func rpInitiatedLogout(t *testing.T, s *stack) {
	for name, state := range map[string]string{
		"oidcc-client-test-rp-init-logout": "", "oidcc-client-test-rp-init-logout-no-state": "", "oidcc-client-test-rp-init-logout-other-state": "another",
	} {
		t.Run(name, func(t *testing.T) {
			s.in(t)
			v, bystander := s.newcomerNamed("leaver"+state), s.newcomerNamed("bystander")
			records := s.records()
			answer, err := v.logOut() // refused everywhere, before anybody has followed
			check(t, err)
			if n := s.records(); n != records-1 {
				t.Errorf("%d session records of %d", n, records)
			}
			to, err := url.Parse(answer.header.Get("Location"))
			check(t, err)
			query := to.Query()
			if !strings.HasPrefix(to.String(), s.provider.URL(idptest.EndSession)+"?") || query.Get("post_logout_redirect_uri") != s.url+"/signed_out" ||
				query.Get("client_id") != clientID || strings.Count(query.Get("id_token_hint"), ".") != 2 {
				t.Fatalf("logout leads to %s", to)
			}
			// The provider has verified the hint if it sends the browser back without a question.
			if state != "" {
				query.Set("state", state)
				to.RawQuery = query.Encode()
			}
			end, err := v.open(to.String())
			check(t, err)
			if end.status != http.StatusOK || end.url.Path != "/signed_out" || end.url.Query().Get("state") != state || len(end.header["Set-Cookie"]) > 0 {
				t.Errorf("the logout ends at %s: %v", end.url, end)
			}
			check(t, bystander.stays())
		})
	}
	t.Run("the provider is down", func(t *testing.T) {
		s.in(t)
		v := s.newcomerNamed("lonely")
		for _, endpoint := range []idptest.Endpoint{idptest.EndSession, idptest.Token, idptest.Revocation, idptest.Discovery, idptest.JWKS} {
			s.provider.Intercept(endpoint, idptest.Close())
			defer s.provider.Intercept(endpoint, nil)
		}
		_, err := v.logOut()
		check(t, err)
	})
}

func logoutFromOtherSites(t *testing.T, s *stack) {
	v := s.newcomerNamed("target")
	image := http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}
	for _, test := range []struct {
		name, method string
		header       http.Header
		status       int
	}{
		{"an image", http.MethodGet, image, http.StatusOK},
		{"a link", http.MethodGet, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusOK},
		{"a prefetch", http.MethodHead, http.Header{"Sec-Purpose": {"prefetch"}}, http.StatusOK},
		{"a form of another site", http.MethodPost, http.Header{"Sec-Fetch-Site": {"cross-site"}}, http.StatusForbidden},
		{"a form of a sibling host", http.MethodPost, http.Header{"Sec-Fetch-Site": {"same-site"}}, http.StatusForbidden},
		{"a form of an old browser", http.MethodPost, http.Header{"Sec-Fetch-Site": nil, "Origin": {"https://evil.example"}}, http.StatusForbidden},
		{"a form of nowhere", http.MethodPost, http.Header{"Sec-Fetch-Site": nil, "Origin": {"null"}}, http.StatusForbidden},
		{"another method", http.MethodDelete, sameOrigin, http.StatusMethodNotAllowed},
	} {
		for _, path := range []string{"/logout", "/sign_out"} {
			answer, err := v.send(test.method, path+"?rd=https%3A%2F%2Fevil.example", test.header)
			if err != nil || answer.status != test.status || answer.next() != "" || len(answer.header["Set-Cookie"]) > 0 {
				t.Errorf("%s at %s: %v, %v; want %d", test.name, path, answer, err, test.status)
			}
		}
		check(t, v.stays())
	}
	// Where a logout leads is no visitor's to say: TestSecurityReturnAddresses has all vectors.
	answer, err := v.send(http.MethodPost, "/logout?rd=https%3A%2F%2Fevil.example&post_logout_redirect_uri=https%3A%2F%2Fevil.example", sameOrigin)
	if location := answer.header.Get("Location"); err != nil || !strings.HasPrefix(location, s.provider.URL(idptest.EndSession)) || strings.Contains(location, "evil") {
		t.Errorf("logout leads to %v, %v", answer, err)
	}
}

// backchannel posts a body to an address, and checks what holds for every answer.
func backchannel(address, method, contentType, body string) (reply, error) {
	request, err := http.NewRequest(method, address+"/backchannel-logout", strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	answer, err := exchange(direct, request)
	if err == nil && (answer.status != http.StatusMethodNotAllowed && answer.header.Get("Cache-Control") != "no-store" || len(answer.header["Set-Cookie"]) > 0) {
		err = fmt.Errorf("%v, Cache-Control %q", answer, answer.header.Get("Cache-Control"))
	}
	return answer, err
}

const formType = "application/x-www-form-urlencoded"

// logoutToken posts a logout token to a replica, and returns the answer.
func (r *replica) logoutToken(token string) (reply, error) {
	return backchannel("http://"+r.address, http.MethodPost, formType, url.Values{"logout_token": {token}}.Encode())
}

// is makes an error of an answer that is not as wanted.
func is(answer reply, err error, status int) error {
	if err == nil && answer.status != status {
		err = fmt.Errorf("%v, want %d", answer, status)
	}
	return err
}

func backchannelRequests(t *testing.T, s *stack) {
	v := s.newcomerNamed("told")
	token := func() string { return s.provider.LogoutToken(clientID, "told", "", nil) }
	good := func() string { return url.Values{"logout_token": {token()}}.Encode() }
	for _, test := range []struct {
		name, method, contentType, body string
		status                          int
	}{
		{"GET", http.MethodGet, "", "", 405},
		{"PUT", http.MethodPut, formType, good(), 405},
		{"a token in the query", http.MethodPost, formType, "", 400},
		{"a parameter twice", http.MethodPost, formType, good() + "&" + good(), 400},
		{"a parameter twice, one empty", http.MethodPost, formType, good() + "&logout_token=", 400},
		{"JSON", http.MethodPost, "application/json", `{"logout_token":"` + token() + `"}`, 400},
		{"a form that is called JSON", http.MethodPost, "application/json", good(), 400},
		{"no type", http.MethodPost, "", good(), 400},
		{"multipart", http.MethodPost, "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n" + token() + "\r\n--b--\r\n", 400},
		{"a malformed form", http.MethodPost, formType, good() + "&%zz", 400},
		{"nothing", http.MethodPost, formType, "", 400},
		{"a megabyte", http.MethodPost, formType, good() + "&padding=" + strings.Repeat("x", 1<<20), 413},
	} {
		for _, address := range []string{"http://" + s.replicas[0].address, s.url} {
			if address == s.url && test.status == 413 {
				continue // nginx refuses it, too, without us
			}
			if test.name == "a token in the query" {
				address += "/backchannel-logout?" + good() + "#" // what is behind is not sent
			}
			answer, err := backchannel(address, test.method, test.contentType, test.body)
			check(t, is(answer, err, test.status))
			if test.status == 405 && answer.header.Get("Allow") != http.MethodPost || test.status == 400 && answer.body != `{"error":"invalid_request"}`+"\n" {
				t.Errorf("%s: %v, Allow %q", test.name, answer, answer.header.Get("Allow"))
			}
		}
	}
	check(t, v.stays())
	answer, err := backchannel(s.url, http.MethodPost, formType+"; charset=utf-8", good()+"&more=1")
	check(t, is(answer, err, http.StatusOK))
	check(t, s.refused(v.cookie(sessionCookie)))
}

// backchannelEvent makes a token a logout token.
const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutTokens are bad for one reason each. The names are those of the conformance suite where it has one.
func logoutTokens(t *testing.T, s *stack) {
	const suite = "oidcc-client-test-rp-backchannel-rpinitlogout"
	idToken := ""
	s.provider.ReplaceIDToken(func(signed string, _ map[string]any) string { idToken = signed; return signed })
	v := s.newcomerNamed("kept")
	s.provider.ReplaceIDToken(nil)
	edited := func(edit func(header, claims map[string]any)) string {
		return s.provider.LogoutToken(clientID, "kept", "", edit)
	}
	claim := func(name string, value any) string {
		return edited(func(_, claims map[string]any) { claims[name] = value })
	}
	without := func(names ...string) string {
		return edited(func(_, claims map[string]any) {
			for _, name := range names {
				delete(claims, name)
			}
		})
	}
	header := func(name string, value any) string {
		return edited(func(header, _ map[string]any) { header[name] = value })
	}
	forged := func(forger idptest.Forger) string {
		var honest map[string]any
		signed := edited(func(_, claims map[string]any) { honest = claims })
		return forger(signed, honest)
	}
	another, err := idptest.SignedByAnother("RS256", s.provider.KeyID())
	check(t, err)
	ec, err := idptest.SignedByAnother("ES256", s.provider.KeyID())
	check(t, err)
	encrypted, err := idptest.Encrypted(s.provider.PublicKey())
	check(t, err)
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for _, test := range []struct{ name, token string }{
		{suite + "-alg-none", forged(idptest.Unsigned("none"))},
		{suite + "-wrong-alg", forged(idptest.HMACSigned("", []byte(clientSecret)))},
		{suite + "-no-event", without("events")},
		{suite + "-wrong-event", claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-login": map[string]any{}})},
		{suite + "-with-nonce", claim("nonce", "n")},
		{suite + "-wrong-aud", claim("aud", "another")},
		{suite + "-wrong-iss", claim("iss", "https://id.example.com")},
		{"signed by the public key", forged(idptest.HMACSigned(s.provider.KeyID(), s.provider.PublicKeyPEM()))},
		{"signed by another key", forged(another)},
		{"signed by a key of another kind", forged(ec)},
		{"without a signature", forged(idptest.Unsigned("RS256"))},
		{"a signature with one bit changed", forged(idptest.BadSignature)},
		{"encrypted", forged(encrypted)},
		{"an ID token", idToken},
		{"neither sub nor sid", without("sub")},
		{"the event's member null", claim("events", map[string]any{backchannelEvent: nil})},
		{"the event's member an array", claim("events", map[string]any{backchannelEvent: []any{}})},
		{"events a text", claim("events", backchannelEvent)},
		{"exp missing", without("exp")},
		{"expired", claim("exp", ago(2*time.Minute))},
		{"iat missing", without("iat")},
		{"iat an hour old", claim("iat", ago(time.Hour))},
		{"iat ahead", claim("iat", ago(-5*time.Minute))},
		{"jti missing", without("jti")},
		{"aud missing", without("aud")},
		{"iss missing", without("iss")},
		{"sub empty", claim("sub", "")},
		{"another type of token", header("typ", "at+jwt")},
		{"crit", header("crit", []string{"exp"})},
	} {
		t.Run(test.name, func(t *testing.T) {
			s.in(t)
			for _, r := range s.replicas {
				answer, err := r.logoutToken(test.token)
				check(t, is(answer, err, http.StatusBadRequest))
			}
			check(t, v.stays())
		})
	}
	t.Run("a logout token as ID token", func(t *testing.T) {
		s.in(t)
		s.provider.ReplaceIDToken(func(string, map[string]any) string { return s.provider.LogoutToken(clientID, "kept", "", nil) })
		defer s.provider.ReplaceIDToken(nil)
		records, stranger := s.records(), s.visitor("kept")
		answer, err := stranger.open("/page")
		check(t, is(answer, err, http.StatusBadGateway))
		if s.records() != records || stranger.cookie(sessionCookie) != "" {
			t.Errorf("the login ended with %v", answer)
		}
	})
	t.Run("a thousand random kids", func(t *testing.T) {
		s.in(t)
		_, rest, _ := strings.Cut(edited(nil), ".")
		began, asked := time.Now(), s.provider.Count(idptest.JWKS)
		check(t, together(1000, 8, func(i int) error {
			header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"RS256","kid":"random-%d","typ":"logout+jwt"}`, i))
			answer, err := s.replicas[i%3].logoutToken(header + "." + rest)
			return is(answer, err, http.StatusBadRequest)
		}))
		n, most := s.provider.Count(idptest.JWKS)-asked, len(s.replicas)*(2+int(time.Since(began)/(10*time.Second)))
		if n > most {
			t.Errorf("the provider was asked for its keys %d times, at most %d are right", n, most)
		}
		check(t, v.stays())
	})
	for name, token := range map[string]string{
		suite: edited(nil), "typ JWT": s.provider.LogoutToken(clientID, "kept-2", "", func(header, _ map[string]any) { header["typ"] = "JWT" }),
		"typ missing": s.provider.LogoutToken(clientID, "kept-3", "", func(header, _ map[string]any) { delete(header, "typ") }),
	} {
		t.Run(name, func(t *testing.T) {
			s.in(t)
			leaver := v
			if name != suite {
				leaver = s.newcomerNamed(map[string]string{"typ JWT": "kept-2", "typ missing": "kept-3"}[name])
			}
			answer, err := s.replicas[0].logoutToken(token)
			check(t, is(answer, err, http.StatusOK))
			check(t, s.refused(leaver.cookie(sessionCookie)))
		})
	}
}

func logoutTokenTwice(t *testing.T, s *stack) {
	v, w, bystander := s.newcomerNamed("twice"), s.newcomerNamed("at-once"), s.newcomerNamed("bystander")
	token := s.provider.LogoutToken(clientID, "twice", "", nil)
	answer, err := s.replicas[0].logoutToken(token)
	check(t, is(answer, err, http.StatusOK))
	for _, r := range s.replicas {
		answer, err = r.logoutToken(token)
		check(t, is(answer, err, http.StatusBadRequest))
	}
	check(t, s.refused(v.cookie(sessionCookie)))

	token = s.provider.LogoutToken(clientID, "at-once", "", nil)
	var accepted atomic.Int32
	check(t, together(12, 12, func(i int) error {
		answer, err := s.replicas[i%3].logoutToken(token)
		if err == nil && answer.status == http.StatusOK {
			accepted.Add(1)
			return nil
		}
		return is(answer, err, http.StatusBadRequest)
	}))
	if n := accepted.Load(); n != 1 {
		t.Errorf("a token was accepted %d times", n)
	}
	check(t, s.refused(w.cookie(sessionCookie)))

	// A store that does not answer is no reason to believe that it is new, or old: the provider is to try again.
	w = s.newcomerNamed("while-down")
	token = s.provider.LogoutToken(clientID, "while-down", "", nil)
	s.redis.Pause()
	for _, r := range s.replicas {
		answer, err := r.logoutToken(token)
		if err = is(answer, err, http.StatusServiceUnavailable); err != nil || answer.header.Get("Retry-After") == "" {
			t.Errorf("while Redis hangs: %v", err)
		}
	}
	s.redis.Resume()
	storetest.WaitFor(t, "the token to be taken when it comes again", func() error {
		answer, err := s.replicas[1].logoutToken(token)
		return is(answer, err, http.StatusOK)
	})
	check(t, s.refused(w.cookie(sessionCookie)))
	storetest.WaitFor(t, "the others to pass", bystander.stays)
	answer, err = s.replicas[2].logoutToken(token)
	check(t, is(answer, err, http.StatusBadRequest))
}

func logoutOfFive(t *testing.T, s *stack) {
	bystander := s.newcomerNamed("bystander")
	keys := s.keys()
	var browsers []*visitor
	for range 5 {
		browsers = append(browsers, s.newcomerNamed("five"))
	}
	// The lists outlive what they list, so that no policy that Redis may have here removes them first.
	lives, err := s.redis.Lives(context.Background())
	check(t, err)
	longest, shortest := time.Duration(0), 100*time.Hour
	for _, key := range s.keys() {
		switch kind := strings.Split(key, ":")[1]; {
		case slices.Contains(keys, key):
		case kind == "session":
			longest = max(longest, lives[key])
		case kind == "user" || kind == "sid":
			shortest = min(shortest, lives[key])
		}
	}
	if longest == 0 || shortest < longest {
		t.Errorf("sessions live for %v, lists of them for %v", longest, shortest)
	}
	_, err = browsers[0].logOut()
	check(t, err)
	for _, v := range browsers[1:] {
		check(t, v.stays())
	}
	sids := s.provider.SessionIDs("five")
	if len(sids) != 5 {
		t.Fatalf("the provider has the sessions %q", sids)
	}
	answer, err := s.replicas[0].logoutToken(s.provider.LogoutToken(clientID, "five", sids[1], nil))
	check(t, is(answer, err, http.StatusOK))
	check(t, s.refused(browsers[1].cookie(sessionCookie)))
	for _, v := range browsers[2:] {
		check(t, v.stays())
	}
	answer, err = s.replicas[1].logoutToken(s.provider.LogoutToken(clientID, "five", "", nil))
	check(t, is(answer, err, http.StatusOK))
	for _, v := range browsers {
		if cookie := v.cookie(sessionCookie); cookie != "" {
			check(t, s.refused(cookie))
		}
	}
	check(t, bystander.stays())
}

// holdToken makes the token endpoint wait, and returns what lets it go on.
func (s *stack) holdToken() (release func()) {
	stop := make(chan struct{})
	s.provider.Intercept(idptest.Token, idptest.Hold(stop))
	return sync.OnceFunc(func() {
		close(stop)
		s.provider.Intercept(idptest.Token, nil)
	})
}

// holdTokenAnswer has the token endpoint do its work and keep its answers back. It returns what tells whether there is one, and what lets them go.
func (s *stack) holdTokenAnswer() (done func() bool, release func()) {
	stop := make(chan struct{})
	var answered atomic.Bool
	s.provider.Intercept(idptest.Token, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		answered.Store(answer.Code == http.StatusOK)
		<-stop
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		w.Write(answer.Body.Bytes()) // whoever asked may have gone
	})
	return answered.Load, sync.OnceFunc(func() {
		close(stop)
		s.provider.Intercept(idptest.Token, nil)
	})
}

// awaitToken waits until the token endpoint has been asked more often than before.
func (s *stack) awaitToken(before int) {
	s.t.Helper()
	storetest.WaitFor(s.t, "a request at the token endpoint", func() error {
		if s.provider.Count(idptest.Token) == before {
			return errors.New("none has come")
		}
		return nil
	})
}

// refreshes counts the refreshes that have ended, well or not, on all replicas.
func (s *stack) refreshes() (n int) {
	for _, r := range s.replicas {
		for _, result := range []string{"ok", "shared", "revoked", "failed"} {
			count, err := strconv.Atoi(r.metric(`authsvc_refreshes_total{result="` + result + `"}`))
			check(s.t, err)
			n += count
		}
	}
	return n
}

// logoutRaces has the provider's answer wait until the logout has been answered: before a login's code is redeemed, and after a refresh has new tokens, so that
// nothing but the store keeps them from being written.
func logoutRaces(t *testing.T, s *stack) {
	ways := map[string]func(v *visitor) error{
		"by sub": func(v *visitor) error {
			answer, err := s.replicas[1].logoutToken(s.provider.LogoutToken(clientID, v.person, "", nil))
			return is(answer, err, http.StatusOK)
		},
		"by sid": func(v *visitor) error {
			answer, err := s.replicas[2].logoutToken(s.provider.LogoutToken(clientID, "", s.provider.SessionIDs(v.person)[0], nil))
			return is(answer, err, http.StatusOK)
		},
		"by the button": func(v *visitor) error {
			_, err := v.logOut()
			return err
		},
	}
	for way, logOut := range ways {
		name := strings.ReplaceAll(way, " ", "-")
		if way != "by the button" { // of whom nobody is signed in yet
			t.Run("a callback, "+way, func(t *testing.T) {
				s.in(t)
				s.provider.SetPerson(person("callback-" + name))
				v := s.visitor("callback-" + name)
				callback, err := v.toCallback("/landed")
				check(t, err)
				records, asked, release := s.records(), s.provider.Count(idptest.Token), s.holdToken()
				defer release()
				done := make(chan error, 1)
				go func() {
					answer, err := v.send(http.MethodGet, callback, nil)
					done <- is(answer, err, http.StatusForbidden)
				}()
				s.awaitToken(asked)
				check(t, logOut(v))
				release()
				check(t, <-done)
				if cookie, n := v.cookie(sessionCookie), s.records(); cookie != "" || n != records {
					t.Errorf("afterwards: cookie %t, %d session records of %d", cookie != "", n, records)
				}
			})
		}
		t.Run("a refresh, "+way, func(t *testing.T) {
			s.in(t)
			s.provider.EditTokenResponse(func(answer map[string]any) { answer["expires_in"] = 2 })
			defer s.provider.EditTokenResponse(nil)
			records := s.records()
			v := s.newcomerNamed("refresh-" + name)
			s.provider.EditTokenResponse(nil) // what came back to life would not end again by its next refresh
			cookie, ended := v.cookie(sessionCookie), s.refreshes()
			renewed, release := s.holdTokenAnswer()
			defer release()
			storetest.WaitFor(t, "a refresh", func() error {
				answer, err := s.replicas[0].authCookie(cookie)
				if err == nil && !renewed() {
					err = fmt.Errorf("the verdict is %d", answer.status)
				}
				return err
			})
			check(t, logOut(v))
			check(t, s.refused(cookie))
			release()
			storetest.WaitFor(t, "the end of the refresh", func() error {
				if s.refreshes() == ended {
					return errors.New("it is under way")
				}
				return nil
			})
			check(t, s.refused(cookie))
			if n := s.records(); n != records {
				t.Errorf("%d session records, %d before", n, records)
			}
		})
	}
}

// logoutHoldsSoon asks every replica without pause from the moment in which a logout was answered. The caches are warm, and only a push can empty
// them in time.
func logoutHoldsSoon(t *testing.T, s *stack) {
	v := s.newcomerNamed("measured")
	var slowest time.Duration
	for range 10 {
		check(t, v.signInAgain("/page"))
		cookie := v.cookie(sessionCookie)
		for range 2 {
			check(t, v.stays())
		}
		answer, err := v.send(http.MethodPost, "/logout", sameOrigin)
		answered := time.Now()
		check(t, is(answer, err, http.StatusSeeOther))
		took := make([]time.Duration, len(s.replicas))
		check(t, together(len(took), len(took), func(i int) error {
			for {
				answer, err := s.replicas[i].authCookie(cookie)
				took[i] = time.Since(answered)
				switch {
				case err != nil:
					return err
				case answer.status == http.StatusUnauthorized:
					return nil
				case took[i] > 10*endBound:
					return fmt.Errorf("%v after the logout replica %d says %d", took[i], i, answer.status)
				}
			}
		}))
		slowest = max(slowest, slices.Max(took))
	}
	t.Logf("the last refusal began to hold within %v of the answer to the logout", slowest.Round(time.Microsecond))
}

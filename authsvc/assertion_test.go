package authsvc

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

const jwtHeader = "X-Auth-Request-Jwt"

func withAssertion(c *Config) { c.Headers[jwtHeader] = Header{Claim: assertionValue} }

// askedFor are the headers of a check about an address.
func askedFor(cookie http.Header, address string) http.Header {
	header := http.Header{}
	maps.Copy(header, cookie)
	header.Set("X-Original-Url", address)
	header.Set("X-Original-Method", http.MethodGet)
	return header
}

// publishedKeys are the keys at a replica's /jwks.json.
func publishedKeys(t *testing.T, s *Service) jose.JSONWebKeySet {
	t.Helper()
	answer := ask(s, http.MethodGet, "/jwks.json", strangePeer, nil)
	if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "public, max-age=300" || answer.Header().Get("Content-Type") != "application/jwk-set+json" {
		t.Errorf("/jwks.json: %d %v", answer.Code, answer.Header())
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(answer.Body.Bytes(), &set); err != nil {
		t.Fatal(err)
	}
	for _, key := range set.Keys {
		if !key.IsPublic() || !key.Valid() || key.KeyID == "" || key.Use != "sig" || key.Algorithm != "ES256" {
			t.Errorf("published: %+v", key)
		}
	}
	return set
}

// verified checks an assertion's signature and returns its claims and the ID of the key that made it.
func verified(t *testing.T, set jose.JSONWebKeySet, text string) (claims map[string]any, keyID string) {
	t.Helper()
	jws, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	keyID = jws.Signatures[0].Protected.KeyID
	keys := set.Key(keyID)
	if len(keys) != 1 {
		t.Fatalf("%d keys are published as %q", len(keys), keyID)
	}
	payload, err := jws.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if claims, err = decodeClaims(payload); err != nil {
		t.Fatal(err)
	}
	return claims, keyID
}

// TestAssertion: an assertion says what the headers say, for the asked origin, and is signed with a published key.
func TestAssertion(t *testing.T) {
	r := newRig(t, 2, func(c *Config) {
		withAssertion(c)
		c.Headers["X-Team"] = Header{Claim: "team"}
		c.Headers["X-Issuer"] = Header{Claim: "iss"}
		c.Headers["X-Admin"] = Header{Claim: "@groups", Filter: "^admins$"}
	})
	alice := people[0]
	alice.Claims = map[string]any{"team": int64(5), "secret": "canary"}
	r.provider.SetPerson(alice)
	cookie := signedIn(r, "alice")
	set := publishedKeys(t, r.replicas[0])
	texts := map[string]string{}
	for _, origin := range []string{"https://app.example.com", "https://wiki.example.com:8443", "http://app.example.com"} {
		for _, replica := range r.replicas {
			answer := ask(replica, http.MethodGet, "/auth", trustedPeer, askedFor(cookie, origin+"/page?a=b"))
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
			claims, _ := verified(t, set, answer.Header().Get(jwtHeader))
			issued, expires := claims["iat"].(int64), claims["exp"].(int64)
			if now := r.now().Unix(); issued > now || issued < now-60 || expires != issued+120 {
				t.Errorf("issued at %d, expires at %d, now %d", issued, expires, now)
			}
			delete(claims, "iat")
			delete(claims, "exp")
			want := fmt.Sprint(map[string]any{
				"iss": r.url, "aud": origin, "sub": "alice", "email": "alice@example.com", "preferred_username": "alice",
				"groups": []any{"admins", "staff"}, "team": int64(5),
			})
			if got := fmt.Sprint(claims); got != want {
				t.Errorf("%s\n%s, want\n%s", origin, got, want)
			}
			texts[origin] = answer.Header().Get(jwtHeader)
		}
	}
	if texts["https://app.example.com"] == texts["http://app.example.com"] {
		t.Error("one assertion for two origins")
	}

	for name, header := range map[string]http.Header{
		"nothing asked": cookie, "an unreadable address": askedFor(cookie, "app.example.com"), "an origin of 200 bytes": askedFor(cookie, "https://"+strings.Repeat("a.", 96)+"example.com/"),
	} {
		answer := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, header)
		if got := answer.Header()[jwtHeader]; answer.Code != http.StatusOK || len(got) != 1 || got[0] != "" {
			t.Errorf("%s: %d, %q", name, answer.Code, got)
		}
	}
	if got := ask(r.replicas[0], http.MethodGet, "/auth", strangePeer, askedFor(cookie, "https://app.example.com/")).Header()[jwtHeader]; len(got) != 1 || got[0] != "" {
		t.Errorf("asked by a stranger: %q", got)
	}
	for name, answer := range map[string]http.Header{
		"signed out": ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, askedFor(nil, "https://app.example.com/")).Header(),
		"denied":     ask(r.replicas[0], http.MethodGet, "/auth?allowed_groups=none", trustedPeer, askedFor(cookie, "https://app.example.com/")).Header(),
	} {
		if got := answer[jwtHeader]; got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestAssertionLife: one is given out until half of its life, and none is good for longer than its session, or says what the session no longer does.
func TestAssertionLife(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		withAssertion(c)
		c.Session.CacheTTL = time.Minute
		c.Session.IdleTimeout, c.Session.AbsoluteTimeout = 3*time.Minute, 10*time.Minute
	})
	began := r.now()
	cookie := signedIn(r, "alice")
	set := publishedKeys(t, r.replicas[0])
	next := func() (text string, expires time.Time, groups any) {
		t.Helper()
		text = ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, askedFor(cookie, "https://app.example.com/")).Header().Get(jwtHeader)
		claims, _ := verified(t, set, text)
		return text, time.Unix(claims["exp"].(int64), 0), claims["groups"]
	}
	first, _, _ := next()
	r.advance(50 * time.Second)
	if again, _, _ := next(); again != first {
		t.Error("made anew before half of its life")
	}
	r.advance(20 * time.Second)
	second, expires, _ := next()
	if second == first || expires.Sub(r.now()) < assertedLife/2 {
		t.Errorf("given out with %v of its life left", expires.Sub(r.now()))
	}

	changed := people[0]
	changed.Groups = []string{"guests"}
	r.provider.SetPerson(changed)
	r.advance(time.Minute)
	next()
	r.advance(2 * time.Minute) // the access token is due
	next()
	r.landed()
	if _, _, groups := next(); fmt.Sprint(groups) != "[guests]" {
		t.Errorf("after a refresh: %v", groups)
	}

	for r.now().Sub(began) < 9*time.Minute {
		r.advance(40 * time.Second)
		_, expires, _ := next()
		if end := began.Add(10*time.Minute + 5*time.Second); expires.After(end) {
			t.Fatalf("good until %v after the end of its session", expires.Sub(end))
		}
	}
}

// TestAssertionOfAnIdleSession ends with the session that nobody uses any more.
func TestAssertionOfAnIdleSession(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { withAssertion(c); c.Session.IdleTimeout = 30 * time.Second })
	cookie := signedIn(r, "alice")
	text := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, askedFor(cookie, "https://app.example.com/")).Header().Get(jwtHeader)
	claims, _ := verified(t, publishedKeys(t, r.replicas[0]), text)
	if expires := time.Unix(claims["exp"].(int64), 0); expires.After(r.now().Add(34 * time.Second)) {
		t.Errorf("good for %v", expires.Sub(r.now()))
	}
}

// TestAssertionKeys: the keys come with the ring. Every replica publishes those of the whole ring; the one signs whose key signs the sessions.
func TestAssertionKeys(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { withAssertion(c); config = c })
	service := func(keys ...byte) *Service {
		changed := *config
		changed.Cookie.Secret = nil
		for _, key := range keys {
			changed.Cookie.Secret = append(changed.Cookie.Secret, cookieSecret(key))
		}
		s := r.another(&changed, r.store)
		run(t, s)
		return s
	}
	cookie := signedIn(r, "alice")
	old, both, turned := r.replicas[0], service(1, 2), service(2, 1)
	signs := func(s *Service) string {
		t.Helper()
		text := ask(s, http.MethodGet, "/auth", trustedPeer, askedFor(cookie, "https://app.example.com/")).Header().Get(jwtHeader)
		_, key := verified(t, publishedKeys(t, s), text)
		return key
	}
	one := publishedKeys(t, old).Keys[0].KeyID
	if len(publishedKeys(t, old).Keys) != 1 || len(publishedKeys(t, both).Keys) != 2 || len(publishedKeys(t, turned).Keys) != 2 {
		t.Error("not the keys of the ring")
	}
	if signs(old) != one || signs(both) != one || signs(turned) == one {
		t.Errorf("signed with %s, %s and %s", signs(old), signs(both), signs(turned))
	}
	main := turned.sites.Load().main
	all, err := newSites(main.config, main.keyring.SignWith(1), turned) // as agree does while others lack the first
	if err != nil {
		t.Fatal(err)
	}
	turned.sites.Store(all)
	turned.assertions.InvalidateAll()
	if signs(turned) != one {
		t.Error("a key signs that not every replica has")
	}
	for _, key := range publishedKeys(t, both).Keys {
		if strings.Contains(r.log.String(), key.KeyID) {
			t.Error("the log tells keys")
		}
	}
}

// TestAssertionSize: groups are cut to what fits into headers and assertion together; a single value that leaves no place keeps its header, and the assertion is
// left out and counted.
func TestAssertionSize(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		withAssertion(c)
		c.Headers["X-Auth-Request-Name"] = Header{Claim: "name"}
		c.Headers["X-Auth-Request-Access-Token"] = Header{Claim: accessTokenValue}
	})
	many := people[0]
	many.Groups = nil
	for i := range 500 {
		many.Groups = append(many.Groups, fmt.Sprintf("%03d-%056d", i, i))
	}
	r.provider.SetPerson(many)
	answer := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, askedFor(signedIn(r, "alice"), "https://app.example.com/"))
	header := answer.Header()
	told := strings.Split(header.Get("X-Auth-Request-Groups"), ",")
	claims, _ := verified(t, publishedKeys(t, r.replicas[0]), header.Get(jwtHeader))
	if len(told) < 8 || !slices.Equal(told, many.Groups[:len(told)]) || fmt.Sprint(claims["groups"]) != fmt.Sprint(told) {
		t.Errorf("%d groups, and in the assertion %v", len(told), claims["groups"])
	}
	if size := headerBlock(header); size > 3500 || size < 2500 {
		t.Errorf("a header block of %d bytes", size)
	}
	r.shows(0, fmt.Sprintf(`authsvc_identity_values_dropped_total{reason="size"} %d`, 500-len(told)), `authsvc_identity_values_dropped_total{reason="token"} 1`)

	r.provider.SetPerson(idptest.Person{Subject: "bob", Name: strings.Repeat("ö", 1000), Groups: []string{"staff"}})
	cookie := signedIn(r, "bob")
	for range 3 {
		answer = ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, askedFor(cookie, "https://app.example.com/"))
		if header := answer.Header(); header.Get(jwtHeader) != "" || len(header.Get("X-Auth-Request-Name")) != 2000 || header.Get("X-Auth-Request-Groups") != "staff" || headerBlock(header) > 3500 {
			t.Errorf("%d bytes: %v", headerBlock(header), header)
		}
	}
	log := r.log.String()
	if n := strings.Count(log, "values were left out"); n != 2 || !strings.Contains(log, `"headers":["X-Auth-Request-Jwt","X-Auth-Request-Access-Token"]`) && !strings.Contains(log, `"headers":["X-Auth-Request-Jwt"`) {
		t.Errorf("the log tells of %d sessions:\n%s", n, log)
	}
	if strings.Contains(log, "öö") || strings.Contains(log, "000-") {
		t.Error("the log tells values")
	}
}

// headerBlock is the size of an answer's header block as nginx sees it.
func headerBlock(h http.Header) int {
	size := len("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n")
	for name, values := range h {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	return size
}

// TestAssertionWithoutRecord: who has no record, as a machine, has no name under which an assertion could be kept.
func TestAssertionWithoutRecord(t *testing.T) {
	r := newRig(t, 1, withAssertion)
	site, set := r.replicas[0].sites.Load().main, publishedKeys(t, r.replicas[0])
	for _, subject := range []string{"one", "two"} {
		s := &session.Session{Subject: subject, Issuer: "https://machines.example", Expires: r.now().Add(time.Minute)}
		values, err := r.replicas[0].tell(site, &asker{session: s}, site.identityOf(s, session.Tokens{}), session.Tokens{}, asked{Scheme: "https", Host: "app.example.com"}, r.now())
		if err != nil {
			t.Fatal(err)
		}
		claims, _ := verified(t, set, values[site.identities.assertions[0]])
		if claims["sub"] != subject || time.Unix(claims["exp"].(int64), 0).After(s.Expires) {
			t.Errorf("%v", claims)
		}
	}
}

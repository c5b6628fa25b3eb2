package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// dump returns everything that Redis holds: of each key its value, or the members of its list with what is noted of them.
func (s *stack) dump() map[string][][]byte {
	s.t.Helper()
	ctx, redis := context.Background(), s.redis.Client()
	held := map[string][][]byte{}
	for _, key := range s.allKeys() {
		kind, err := redis.Type(ctx, key).Result()
		check(s.t, err)
		switch kind {
		case "string":
			value, err := redis.Get(ctx, key).Bytes()
			check(s.t, err)
			held[key] = [][]byte{value}
		case "zset":
			members, err := redis.ZRangeWithScores(ctx, key, 0, -1).Result()
			check(s.t, err)
			for _, member := range members {
				held[key] = append(held[key], fmt.Append(nil, member.Member), fmt.Append(nil, int64(member.Score)))
			}
		case "hash":
			fields, err := redis.HGetAll(ctx, key).Result()
			check(s.t, err)
			for name, value := range fields {
				held[key] = append(held[key], []byte(name), []byte(value))
			}
		default:
			s.t.Fatalf("%s holds a %s, which this test cannot read", key, kind)
		}
	}
	return held
}

// guesses are all texts that somebody with a dump might try, as cookies and elsewhere.
func guesses(held map[string][][]byte) map[string]bool {
	texts := map[string]bool{}
	add := func(raw []byte) {
		for _, text := range []string{
			base64.RawURLEncoding.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw), hex.EncodeToString(raw),
			url.QueryEscape(string(raw)),
		} {
			if len(text) < 6000 {
				texts[text] = true
			}
		}
	}
	const token = 53 // bytes: the length of what a cookie carries
	for key, values := range held {
		texts[key] = true
		for _, part := range regexp.MustCompile(`[^:{}]+`).FindAllString(key, -1) {
			texts[part] = true
			if hash, err := base64.RawURLEncoding.DecodeString(part); err == nil {
				add(hash)
				for _, others := range held { // behind and before what belongs to tokens: format and key name
					for _, other := range others {
						add(append(append([]byte{1}, other[:min(len(other), 4)]...), hash...))
					}
				}
			}
		}
		for _, value := range values {
			add(value)
			if strings.Contains(key, ":tokens:") {
				value = value[:min(len(value), 200)]
			}
			for i := range value {
				texts[base64.RawURLEncoding.EncodeToString(value[i:min(i+token, len(value))])] = true
				if i%16 == 0 {
					add(value[i:])
				}
			}
		}
	}
	return texts
}

// dumpOpensNothing is Q37: whoever reads Redis signs in as nobody with it.
func dumpOpensNothing(t *testing.T, _ *stack) {
	s := newStack(t, options{})
	alice, bob := s.visitor("alice"), s.visitor("bob")
	alice.signIn()
	bob.signIn()
	callback, err := s.visitor("carol").toCallback("/")
	check(t, err)
	code := queryOf(t, callback).Get("code")
	held := s.dump()
	kinds := map[string]int{}
	for key, values := range held {
		kinds[strings.Split(key, ":")[1]]++
		value := bytes.Join(values, []byte("\n"))
		if strings.Contains(key, "alice") || strings.Contains(key, "example.com") {
			t.Errorf("a key is named %s", key)
		}
		for _, secret := range []string{"alice", "bob", "example.com", "staff", "eyJ", "127.0.0.1", "Go-http-client", s.settings["cookie.secret"], clientSecret} {
			if bytes.Contains(value, []byte(secret)) {
				t.Errorf("%s holds %q in the clear", key, secret)
			}
		}
	}
	for _, kind := range []string{"session", "tokens", "claim", "slot", "user", "sid"} {
		if kinds[kind] != 2 {
			t.Errorf("there are keys of these kinds: %v; want two of %s", kinds, kind)
		}
	}
	var texts []string
	for text := range guesses(held) {
		texts = append(texts, text)
	}
	t.Logf("%d guesses from %d keys", len(texts), len(held))
	monitor := s.redis.Monitor(t)
	check(t, together(len(texts), 8, func(i int) error {
		text, r := texts[i], s.replicas[i%len(s.replicas)]
		for _, header := range []http.Header{
			{"Cookie": {"authsvc=" + text}},
			{"Cookie": {"authsvc_login=" + text}, "Authorization": {"Bearer " + text}},
			{"Authorization": {"Basic " + text}},
			{"Cookie": {"authsvc=" + text + "; authsvc_login=" + text}, "X-Auth-Request-User": {"alice"}},
		} {
			if answer, err := r.auth("", header); err != nil || answer.status != http.StatusUnauthorized {
				return fmt.Errorf("%v: %d, %v", header, answer.status, err)
			}
		}
		query := url.Values{"state": {text}, "code": {code}, "iss": {s.provider.Issuer()}}
		answer, err := r.send("/callback?"+query.Encode(), http.Header{"Cookie": {"authsvc_login=" + text}})
		if err == nil && (answer.status != http.StatusBadRequest || len(answer.header["Set-Cookie"]) > 0) {
			err = fmt.Errorf("%q as state: %v", text, answer)
		}
		return err
	}))
	quiet(t, monitor, "guesses")

	// A true state with a login cookie from the dump: the login begins again, and the code is not spent.
	spent := s.provider.Count(idptest.Token)
	check(t, together(min(500, len(texts)), 8, func(i int) error {
		u, err := url.Parse(callback)
		if err != nil {
			return err
		}
		answer, err := s.replicas[0].send("/callback?"+u.RawQuery, http.Header{"Cookie": {"authsvc_login=" + texts[i] + "; authsvc=" + texts[i]}})
		if err == nil && (answer.status != http.StatusFound || !strings.HasPrefix(answer.header.Get("Location"), s.url+"/start")) {
			err = fmt.Errorf("%q as login cookie: %v", texts[i], answer)
		}
		return err
	}))
	if n := s.provider.Count(idptest.Token) - spent; n != 0 {
		t.Errorf("%d codes were spent", n)
	}
	check(t, s.signedInAs("alice", alice.cookie(sessionCookie)))
	check(t, s.signedInAs("bob", bob.cookie(sessionCookie)))
}

// TestMovedRecordsOpenNothing: somebody with a hand in Redis puts one user's record in the place of another's.
func TestMovedRecordsOpenNothing(t *testing.T) {
	s := newStack(t, options{})
	ctx := context.Background()
	redis := s.redis.Client()
	for name, move := range map[string]func(from, to string) error{
		"RENAME": func(from, to string) error { return redis.Rename(ctx, from, to).Err() },
		"COPY":   func(from, to string) error { return redis.Copy(ctx, from, to, 0, true).Err() },
		"the value, with the name in it made to fit": func(from, to string) error {
			value, err := redis.Get(ctx, from).Bytes()
			if err != nil {
				return err
			}
			old, err := redis.Get(ctx, to).Bytes()
			if err != nil {
				return err
			}
			copy(value[9:17], old[9:17]) // behind format and version: the first bytes of the ID
			return redis.SetXX(ctx, to, value, redis.PTTL(ctx, to).Val()).Err()
		},
	} {
		for _, parts := range [][]string{{"session"}, {"session", "tokens"}} {
			s.redis.Flush()
			alice, bob := s.visitor("alice"), s.visitor("bob")
			alice.signIn()
			ofAlice := idIn(t, s.keys())
			bob.signIn()
			var ofBob string
			for _, key := range s.keys() {
				if strings.Contains(key, ":session:") && !strings.Contains(key, ofAlice) {
					ofBob = idIn(t, []string{key})
				}
			}
			for _, part := range parts {
				check(t, move("authsvc:"+part+":{"+ofAlice+"}", "authsvc:"+part+":{"+ofBob+"}"))
			}
			for _, r := range s.replicas {
				answer, err := r.authCookie(bob.cookie(sessionCookie))
				if err != nil || answer.status == http.StatusOK || answer.header.Get("X-Auth-Request-User") != "" {
					t.Errorf("%s of %v: bob's cookie gets %d, user %q, %v", name, parts, answer.status, answer.header.Get("X-Auth-Request-User"), err)
				}
			}
		}
	}
}

// idIn returns the ID of the first session among the names of keys.
func idIn(t *testing.T, keys []string) string {
	t.Helper()
	for _, key := range keys {
		if id, found := strings.CutPrefix(key, "authsvc:session:{"); found {
			return strings.TrimSuffix(id, "}")
		}
	}
	t.Fatalf("no session among %v", keys)
	return ""
}

// persistedKeyDies is a part of Q39: taking the expiry from a key keeps nobody signed in beyond the session's own end.
func persistedKeyDies(t *testing.T) {
	s := newStack(t, options{settings: map[string]string{"session.idle_timeout": "4s", "session.absolute_timeout": "4s"}})
	v := s.visitor("alice")
	v.signIn()
	cookie := v.cookie(sessionCookie)
	key := "authsvc:session:{" + idIn(t, s.keys()) + "}"
	passed := 0
	storetest.WaitFor(t, "the session's end", func() error {
		if err := s.redis.Client().Persist(context.Background(), key).Err(); err != nil {
			return err
		}
		answer, err := s.replicas[0].authCookie(cookie)
		if err == nil && answer.status == http.StatusOK {
			passed++
			err = fmt.Errorf("it passes for the %d. time", passed)
		}
		return err
	})
	if passed == 0 {
		t.Error("the session never passed")
	}
	check(t, s.refused(cookie))
	if n := s.records(); n != 1 {
		t.Errorf("%d records are left; the test wants the persisted one", n)
	}
	s.redis.Flush()
}

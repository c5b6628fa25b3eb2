package redisstore

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// incumbentBytes is what OAuth2-Proxy 7.15 takes of Redis for one session with an ID token of 1.2 kB, an access token of 1.0 kB and a refresh token
// of 0.5 kB, without any index.
const incumbentBytes = 3338

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func randomText(n int) string { return base64.RawURLEncoding.EncodeToString(random(n)) }

func randomUUID() string {
	b := random(16)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// signed is a JWT as Keycloak makes it.
func signed(t *testing.T, algorithm string, signature int, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	header := `{"alg":"` + algorithm + `","typ" : "JWT","kid" : "nZ9Q5dJ0rPqX1kW7uY3bL8mC2vT6sE4a0fG5hD9xRzI"}`
	return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "." + randomText(signature)
}

// maker is a make of provider as a session's bytes know it. What is kept of its tokens follows from its metadata: see kept in package authsvc.
type maker struct {
	name string
	// sid says that its sessions have names, hint that its logout takes an ID token, and refresh makes refresh tokens.
	sid, hint bool
	refresh   func(t *testing.T, common map[string]any) string
}

// text makes refresh tokens that tell nothing, of n random bytes in base64url, behind what such tokens begin with.
func text(begin string, n int) func(*testing.T, map[string]any) string {
	return func(*testing.T, map[string]any) string { return begin + randomText(n) }
}

// signedRefresh makes refresh tokens that are JWTs.
func signedRefresh(t *testing.T, common map[string]any) string {
	return signed(t, "HS512", 64, with(common, map[string]any{"aud": common["iss"], "typ": "Refresh", "exp": time.Now().Unix() + 1800, "scope": "openid profile email"}))
}

func with(common, more map[string]any) map[string]any {
	maps.Copy(more, common)
	return more
}

// login is a session of a person like others, with an ID token of 1.2 kB and an access token of 1.0 kB.
func (p maker) login(t *testing.T, n int) (session.Session, session.Tokens) {
	t.Helper()
	const issuer = "https://sso.company.net/realms/main"
	now, name := time.Now(), fmt.Sprintf("person%d.surname", n)
	s := session.Session{
		Issuer: issuer, Subject: randomUUID(), ACR: "1", AuthTime: now,
		Claims: map[string]any{
			"email": name + "@company.net", "email_verified": true, "preferred_username": name, "groups": []any{"staff", "engineering"},
		},
		Label: name, Address: fmt.Sprintf("203.0.113.%d", n%256),
		UserAgent: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
	}
	common := map[string]any{"iss": issuer, "sub": s.Subject, "azp": "portal-gateway", "iat": now.Unix(), "exp": now.Unix() + 300, "auth_time": now.Unix(), "jti": randomUUID()}
	if p.sid {
		s.ProviderSession = randomUUID()
		common["sid"] = s.ProviderSession
	}
	return s, session.Tokens{
		IDToken: signed(t, "RS256", 256, with(common, map[string]any{
			"aud": "portal-gateway", "typ": "ID", "nonce": randomText(32), "at_hash": randomText(16), "acr": "1", "name": "Person Surname", "given_name": "Person", "family_name": "Surname",
			"email": name + "@company.net", "email_verified": true, "preferred_username": name,
		})),
		AccessToken: signed(t, "RS256", 256, with(common, map[string]any{
			"aud": "account", "typ": "Bearer", "acr": "1", "scope": "openid profile email",
			"allowed-origins": []string{"https://portal.company.net"}, "realm_access": map[string]any{"roles": []string{"offline_access", "uma_authorization"}},
		})),
		RefreshToken: p.refresh(t, common),
		Expiry:       now.Add(5 * time.Minute),
	}
}

// byDefault is what no setting but the default ones keeps.
func (p maker) byDefault(given session.Tokens) session.Tokens {
	given.AccessToken = ""
	if !p.hint {
		given.IDToken = "." + strings.Split(given.IDToken, ".")[1] + "."
	}
	return given
}

// What a session costs Redis: the record with its details, its lists, and what Redis spends on the names of keys and their expiry, by its own
// account. The README has these figures, of 1,500 sessions: of fewer they are up to a tenth off. The counts, which are not sent here, are some hundred kilobytes for all sessions together, and 20 bytes for each user.
func TestBytes(t *testing.T) {
	keys, err := session.NewKeyring([][]byte{make([]byte, session.MasterKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	keycloak := maker{"Keycloak", true, true, signedRefresh}
	worst := maker{"sid, and half a kilobyte that tells nothing", true, true, text("", 375)}
	all := func(given session.Tokens) session.Tokens { return given }
	none := func(session.Tokens) session.Tokens { return session.Tokens{} }
	const byDefault, everything, identity = incumbentBytes * 70 / 100, incumbentBytes * 90 / 100, 1300
	for _, tt := range []struct {
		maker
		kept string
		keep func(session.Tokens) session.Tokens
		most int64
	}{
		{keycloak, "no tokens", none, identity},
		{keycloak, "default", keycloak.byDefault, byDefault},
		{keycloak, "all tokens", all, everything},
		{worst, "default", worst.byDefault, byDefault},
		{worst, "all tokens", all, everything},
	} {
		each := bytesEach(t, keys, tt.maker, tt.keep, 800)
		t.Logf("%-44s %-12s %5d bytes, %.2f of the incumbent's", tt.name, tt.kept, each, float64(each)/incumbentBytes)
		if each > tt.most {
			t.Errorf("%s, %s: %d bytes a session, want at most %d", tt.name, tt.kept, each, tt.most)
		}
	}
	for _, p := range []maker{
		{"Entra ID", false, true, text("1.", 900)}, {"Okta", false, true, text("", 32)}, {"Auth0", true, true, text("v1.", 45)},
		{"Google", false, false, text("1//0", 72)}, {"GitLab", false, false, text("", 48)}, {"Dex", false, false, text("", 60)},
	} {
		each := bytesEach(t, keys, p, p.byDefault, 200)
		t.Logf("%-44s %-12s %5d bytes, %.2f of the incumbent's", p.name, "default", each, float64(each)/incumbentBytes)
		if each > incumbentBytes { // without the access token, but some of these refresh tokens are longer
			t.Errorf("%s: %d bytes a session, want at most %d", p.name, each, incumbentBytes)
		}
	}
}

// bytesEach returns what Redis spends on each of many sessions.
func bytesEach(t *testing.T, keys *session.Keyring, p maker, keep func(session.Tokens) session.Tokens, sessions int64) int64 {
	t.Helper()
	server := storetest.StartRedis(t) // a new one, in which nothing waits to be freed
	store := open(t, Options{URL: server.URL})
	m := &session.Manager{
		Store: store, Index: store, Counter: store, Keyring: keys, Site: "main", IdleTimeout: 8 * time.Hour, AbsoluteTimeout: 24 * time.Hour, Now: store.Now,
	}
	// The first few bring what all share: connections and scripts.
	const few = 10
	var empty int64
	for n := range int(few + sessions) {
		if n == few {
			empty = memoryOf(t, server)
		}
		s, tokens := p.login(t, n)
		if _, _, err := m.Begin(t.Context(), s, keep(tokens)); err != nil {
			t.Fatal(err)
		}
	}
	return (memoryOf(t, server) - empty) / sessions
}

// memoryOf returns what a server spends on all that it holds: its memory without that of connections and scripts, as it accounts for it.
func memoryOf(t *testing.T, server *storetest.Server) int64 {
	t.Helper()
	stats := pairs(server.Do("MEMORY", "STATS"))
	tables := pairs(stats["db.0"])
	return stats["dataset.bytes"].(int64) + tables["overhead.hashtable.main"].(int64) + tables["overhead.hashtable.expires"].(int64)
}

// pairs reads names and values by turns.
func pairs(reply any) map[string]any {
	fields := map[string]any{}
	for pair := range slices.Chunk(reply.([]any), 2) {
		fields[pair[0].(string)] = pair[1]
	}
	return fields
}

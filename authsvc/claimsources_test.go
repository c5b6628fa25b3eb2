package authsvc

import (
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

// stored returns the session of a browser as the store has it.
func (b *browser) stored() session.Session {
	b.t.Helper()
	site := b.rig.replicas[0].sites.Load().main
	token, err := site.keyring.ParseToken(session.PurposeSession, site.name, b.sessionCookie())
	if err != nil {
		b.t.Fatal(err)
	}
	s, err := site.sessions.Load(b.t.Context(), token)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// TestGroupShapes signs in with roles in all the shapes that providers have for them.
func TestGroupShapes(t *testing.T) {
	keycloak := map[string]any{
		"realm_access":    map[string]any{"roles": []any{"staff", "admins"}},
		"resource_access": map[string]any{"app": map[string]any{"roles": []any{"editor"}}, "my.app": map[string]any{"roles": []any{"dotted"}}, "other": map[string]any{"roles": []any{"theirs"}}},
	}
	for _, test := range []struct {
		name   string
		paths  []string
		claims map[string]any
		want   string
	}{
		{"realm roles", []string{"realm_access.roles"}, keycloak, "staff,admins"},
		{"client roles", []string{"resource_access.app.roles"}, keycloak, "editor"},
		{"client roles of a client with dots", []string{"resource_access.my.app.roles"}, keycloak, "dotted"},
		{"both", []string{"realm_access.roles", "resource_access.app.roles"}, keycloak, "staff,admins,editor"},
		{"namespaced", []string{"https://example.com/roles"}, map[string]any{"https://example.com/roles": []any{"a", "b"}}, "a,b"},
		{"colons", []string{"cognito:groups"}, map[string]any{"cognito:groups": []any{"a"}}, "a"},
		{"below a namespace", []string{"https://example.com/claims.roles"}, map[string]any{"https://example.com/claims": map[string]any{"roles": []any{"a"}}}, "a"},
		{"members of an object", []string{"urn:zitadel:iam:org:project:roles"}, map[string]any{"urn:zitadel:iam:org:project:roles": map[string]any{"user": map[string]any{"1": "x"}, "admin": map[string]any{}}}, "admin,user"},
		{"objects in a list", []string{"groups.value"}, map[string]any{"groups": []any{map[string]any{"value": "a", "display": "A"}, map[string]any{"value": "b"}, "no object"}}, "a,b"},
		{"lists in objects in a list", []string{"orgs.roles"}, map[string]any{"orgs": []any{map[string]any{"roles": []any{"a", "b"}}, map[string]any{"roles": "c"}, map[string]any{}}}, "a,b,c"},
		{"one text is one group", []string{"groups"}, map[string]any{"groups": "Domain Users"}, "Domain Users"},
		{"scope is words", []string{"scope"}, map[string]any{"scope": " read  write "}, "read,write"},
		{"scp is words", []string{"api.scp"}, map[string]any{"api": map[string]any{"scp": "read write"}}, "read,write"},
		{"words where the entry says so", []string{"split(roles)"}, map[string]any{"roles": "staff admins"}, "staff,admins"},
		{"a list is no words", []string{"split(roles)"}, map[string]any{"roles": []any{"Domain Users", "b"}}, "Domain Users,b"},
		{"numbers", []string{"gids"}, map[string]any{"gids": []any{int64(100), int64(101)}}, "100,101"},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, 1, func(c *Config) { c.OIDC.GroupsClaim = test.paths })
			r.provider.SetPerson(idptest.Person{Subject: "alice", Claims: test.claims})
			b := r.browser()
			b.signIn()
			if got := b.auth("").Header.Get("X-Auth-Request-Groups"); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
			for _, path := range test.paths {
				path, _ = groupsPath(path)
				if _, kept := b.stored().Claims[path]; !kept {
					t.Errorf("%s is not kept under its path: %v", path, b.stored().Claims)
				}
			}
		})
	}
}

// TestClaimSources tells which source of a claim counts.
func TestClaimSources(t *testing.T) {
	none := func(claims map[string]any) { delete(claims, "groups") }
	is := func(group string) func(map[string]any) {
		return func(claims map[string]any) { claims["groups"] = []string{group} }
	}
	for _, test := range []struct {
		name                           string
		idToken, userinfo, accessToken func(map[string]any)
		want                           string
		asked                          int // userinfo
	}{
		{"the ID token first", is("id"), is("info"), is("access"), "id", 0},
		{"then userinfo", none, is("info"), is("access"), "info", 1},
		{"then the access token", none, none, is("access"), "access", 1},
		{"nobody", none, none, none, "", 1},
		{"an empty list is told", func(claims map[string]any) { claims["groups"] = []string{} }, is("info"), is("access"), "", 0},
		{"an access token of another issuer", none, none, func(c map[string]any) { c["groups"], c["iss"] = []string{"x"}, "https://elsewhere.example" }, "", 1},
		{"an access token about somebody else", none, none, func(c map[string]any) { c["groups"], c["sub"] = []string{"x"}, "bob" }, "", 1},
		{"an access token without subject", none, none, func(c map[string]any) { c["groups"] = []string{"x"}; delete(c, "sub") }, "", 1},
		{"an access token that has expired", none, none, func(c map[string]any) { c["groups"], c["exp"] = []string{"x"}, time.Now().Add(-time.Hour).Unix() }, "", 1},
		{"an access token without end", none, none, func(c map[string]any) { c["groups"] = []string{"x"}; delete(c, "exp") }, "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			r.provider.EditIDToken(func(_, claims map[string]any) { test.idToken(claims) })
			r.provider.EditUserinfo(test.userinfo)
			r.provider.EditAccessToken(func(_, claims map[string]any) { test.accessToken(claims) })
			b := r.browser()
			b.signIn()
			reply := b.auth("")
			if got := reply.Header.Get("X-Auth-Request-Groups"); got != test.want || reply.Header.Get("X-Auth-Request-User") != "alice" {
				t.Errorf("%q, want %q", got, test.want)
			}
			if asked := r.provider.Count(idptest.Userinfo); asked != test.asked {
				t.Errorf("userinfo was asked %d times, want %d", asked, test.asked)
			}
		})
	}
	for name, forge := range map[string]func(p *idptest.Provider, token string) string{
		"opaque":                func(*idptest.Provider, string) string { return "opaque-canary" },
		"signed by another key": func(_ *idptest.Provider, token string) string { return idptest.BadSignature(token, nil) },
		"unsigned": func(p *idptest.Provider, token string) string {
			claims, _ := payloadOf(token)
			return idptest.Unsigned("none")("", claims)
		},
		"signed with a shared secret": func(p *idptest.Provider, token string) string {
			claims, _ := payloadOf(token)
			return idptest.HMACSigned(p.KeyID(), p.PublicKeyPEM())("", claims)
		},
	} {
		t.Run("an access token "+name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			r.provider.EditIDToken(func(_, claims map[string]any) { none(claims); delete(claims, "at_hash") })
			r.provider.EditUserinfo(none)
			r.provider.EditAccessToken(func(_, claims map[string]any) { claims["groups"] = []string{"x"} })
			r.provider.EditTokenResponse(func(answer map[string]any) {
				answer["access_token"] = forge(r.provider, answer["access_token"].(string))
			})
			b := r.browser()
			b.signIn()
			if reply := b.auth(""); reply.StatusCode != http.StatusOK || reply.Header.Get("X-Auth-Request-Groups") != "" {
				t.Errorf("%s %v", reply.Status, reply.Header)
			}
		})
	}
}

// TestSessionKeepsWhatIsNeeded: a provider's other claims are nobody's business, and would cost memory in Redis and in every replica.
func TestSessionKeepsWhatIsNeeded(t *testing.T) {
	everything := map[string]any{"picture": strings.Repeat("p", 20_000), "address": map[string]any{"city": "x"}, "team": map[string]any{"name": "blue", "secret": "x"}}
	for name, test := range map[string]struct {
		configure func(*Config)
		want      []string
	}{
		"by default": {nil, []string{"email", "email_verified", "groups", "preferred_username"}},
		"one header more": {func(c *Config) { c.Headers["X-Team"] = Header{Claim: "team.name"} },
			[]string{"email", "email_verified", "groups", "preferred_username", "team.name"}},
		"no headers": {func(c *Config) { clear(c.Headers) }, []string{"email", "email_verified", "groups"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, test.configure)
			alice := people[0]
			alice.Claims = everything
			r.provider.SetPerson(alice)
			b := r.browser()
			b.signIn()
			if got := slices.Sorted(maps.Keys(b.stored().Claims)); !slices.Equal(got, test.want) {
				t.Errorf("%q, want %q", got, test.want)
			}
			r.advance(6 * time.Minute)
			b.auth("")
			if got := slices.Sorted(maps.Keys(b.stored().Claims)); !slices.Equal(got, test.want) || b.stored().Version != 2 {
				t.Errorf("after a refresh %q, want %q", got, test.want)
			}
		})
	}
}

// TestLostGroups takes alice's last group away, for which most providers leave the claim out: it is over with the next refresh, unless a source that might have it
// cannot be asked.
func TestLostGroups(t *testing.T) {
	for name, test := range map[string]struct {
		place   idptest.ClaimsPlace
		inJWT   bool
		trouble func(*rig)
		want    string
	}{
		"in the ID token":     {idptest.ClaimsInIDToken, false, nil, ""},
		"in userinfo":         {idptest.ClaimsInUserinfo, false, nil, ""},
		"in the access token": {idptest.ClaimsInUserinfo, true, nil, ""},
		"userinfo cannot be asked": {idptest.ClaimsInUserinfo, false, func(r *rig) {
			r.provider.Intercept(idptest.Userinfo, idptest.Status(http.StatusBadGateway))
		}, alicesGroups},
		"no new ID token, which had them": {idptest.ClaimsInIDToken, false, func(r *rig) {
			r.provider.EditTokenResponse(func(answer map[string]any) { delete(answer, "id_token") })
		}, alicesGroups},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, nil)
			has := true
			groupless := func(claims map[string]any) { delete(claims, "groups") }
			r.provider.EditIDToken(func(_, claims map[string]any) {
				if test.place != idptest.ClaimsInIDToken || !has {
					groupless(claims)
				}
			})
			r.provider.EditUserinfo(func(claims map[string]any) {
				if test.place != idptest.ClaimsInUserinfo || test.inJWT || !has {
					groupless(claims)
				}
			})
			r.provider.EditAccessToken(func(_, claims map[string]any) {
				if !test.inJWT || !has {
					groupless(claims)
				}
			})
			b := r.browser()
			b.signIn()
			if got := b.auth("").Header.Get("X-Auth-Request-Groups"); got != alicesGroups {
				t.Fatalf("at the login %q", got)
			}
			r.provider.BeHonest()
			has = false
			r.provider.EditIDToken(func(_, claims map[string]any) { groupless(claims) })
			r.provider.EditUserinfo(groupless)
			r.provider.EditAccessToken(func(_, claims map[string]any) { groupless(claims) })
			if test.trouble != nil {
				test.trouble(r)
			}
			r.advance(6 * time.Minute)
			reply := b.auth("")
			if got := reply.Header.Get("X-Auth-Request-Groups"); got != test.want || reply.Header.Get("X-Auth-Request-Email") != "alice@example.com" {
				t.Errorf("groups %q, want %q; %v", got, test.want, reply.Header)
			}
		})
	}
}

// TestGroupsOverage: Entra ID leaves the groups out when there are too many, and says so.
func TestGroupsOverage(t *testing.T) {
	for name, mark := range map[string]func(claims map[string]any){
		"_claim_names": func(claims map[string]any) {
			claims["_claim_names"] = map[string]any{"groups": "src1"}
			claims["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "https://graph.example/canary"}}
		},
		"hasgroups": func(claims map[string]any) { claims["hasgroups"] = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 1, nil)
			groupless := func(claims map[string]any) { delete(claims, "groups") }
			r.provider.EditIDToken(func(_, claims map[string]any) { groupless(claims); mark(claims) })
			r.provider.EditUserinfo(groupless)
			r.provider.EditAccessToken(func(_, claims map[string]any) { groupless(claims) })
			for range 3 {
				r.browser().signIn()
			}
			r.shows(0, "authsvc_groups_overage_total 3")
			if log := r.log.String(); strings.Count(log, "Entra's overage") != 1 || strings.Contains(log, "canary") {
				t.Errorf("the log:\n%s", log)
			}
		})
	}
	t.Run("the groups are there all the same", func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.provider.EditIDToken(func(_, claims map[string]any) { claims["hasgroups"] = true })
		r.browser().signIn()
		r.shows(0, "authsvc_groups_overage_total 0")
	})
}

// TestChoose is the choice alone.
func TestChoose(t *testing.T) {
	never := func(string) bool { return false }
	always := func(string) bool { return true }
	shared := map[string]any{"realm": map[string]any{"roles": []any{"a"}, "x": "y"}, "other": "o"}
	for _, test := range []struct {
		name    string
		needed  neededClaims
		former  map[string]any
		over    func(string) bool
		sources []map[string]any
		want    map[string]any
	}{
		{"nothing", neededClaims{paths: []string{"a"}}, nil, never, []map[string]any{nil}, map[string]any{}},
		{"a former session's nested claims get their paths", neededClaims{paths: []string{"realm.roles"}}, shared, never, nil, map[string]any{"realm.roles": []any{"a"}}},
		{"over", neededClaims{paths: []string{"realm.roles"}}, shared, always, nil, map[string]any{}},
		{"all", neededClaims{paths: []string{"realm.roles"}, all: true}, shared, never, []map[string]any{{"other": "new"}},
			map[string]any{"realm": shared["realm"], "realm.roles": []any{"a"}, "other": "new"}},
		{"all, and over", neededClaims{paths: []string{"realm.roles"}, all: true}, shared, always, nil, map[string]any{"realm": map[string]any{"x": "y"}, "other": "o"}},
		{"an address and its word, from one source", neededClaims{paths: []string{"email"}},
			map[string]any{"email": "a@a", "email_verified": true}, never, []map[string]any{{"email_verified": true}, {"email": "b@b"}}, map[string]any{"email": "b@b"}},
		{"an address that stays keeps its word", neededClaims{paths: []string{"email"}},
			map[string]any{"email": "a@a", "email_verified": false}, never, []map[string]any{{"email_verified": true}}, map[string]any{"email": "a@a", "email_verified": false}},
		{"all, and an address with its word", neededClaims{paths: []string{"email"}, all: true},
			map[string]any{"email": "a@a", "email_verified": true}, never, []map[string]any{{"email": "b@b"}, {"email": "c@c", "email_verified": true}}, map[string]any{"email": "b@b"}},
	} {
		if got := test.needed.choose(test.former, test.over, test.sources...); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	if want := map[string]any{"realm": map[string]any{"roles": []any{"a"}, "x": "y"}, "other": "o"}; !reflect.DeepEqual(shared, want) {
		t.Errorf("what others share was changed: %v", shared)
	}
}

// TestClaimsOfExpressions: a session keeps the claims that an expression names, or all where it does not tell which.
func TestClaimsOfExpressions(t *testing.T) {
	for text, want := range map[string]struct {
		named []string
		all   bool
	}{
		`claims.level > 3`:                      {[]string{"level"}, false},
		`"a" in claims.realm_access.roles`:      {[]string{"realm_access"}, false},
		`claims["a.b"] == "x"`:                  {[]string{"a.b"}, false},
		`"a" in claims && has(claims.b)`:        {[]string{"a", "b"}, false},
		`claims[request.method] == "x"`:         {nil, true},
		`claims.exists(name, name == "x")`:      {nil, true},
		`claims.a == "x" && claims.size() == 3`: {[]string{"a"}, true},
		`request.method == "GET"`:               {nil, false},
	} {
		c, err := compileWhen(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !slices.Equal(c.claims, want.named) || c.anyClaim != want.all {
			t.Errorf("%s: %q, all: %t", text, c.claims, c.anyClaim)
		}
	}
}

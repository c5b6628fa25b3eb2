package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestTopologies: the same life wherever the sessions are.
func TestTopologies(t *testing.T) {
	const password = "a password, with + and %"
	for name, o := range map[string]options{
		"Redis Cluster": {store: func(t *testing.T) (keeper, string) { c := storetest.StartCluster(t); return c, c.URL }},
		"sentinels that ask for a password, and a user of the master's with the narrowest rights": {
			store: func(t *testing.T) (keeper, string) {
				g := storetest.StartSentinel(t)
				for _, server := range g.Servers {
					server.Do(append([]any{"ACL", "SETUSER", "authsvc", "on", ">" + password, "~authsvc:*"}, documentedRights(t)...)...)
				}
				for _, s := range g.Sentinels {
					s.Do(append([]any{"ACL", "SETUSER", "asking", "on", ">sentinels' own"}, documented(t, `(resetchannels &\+switch-master .*)\n`)...)...)
				}
				return g, strings.Replace(g.URL, "//", "//authsvc@", 1) + "/0?sentinel_user=asking&sentinel_password=sentinels'%20own"
			},
			settings: map[string]string{"store.password": password},
		},
		"TLS, and certificates on both sides": {store: func(t *testing.T) (keeper, string) {
			a := storetest.NewAuthority(t)
			a.Issue("client", time.Hour)
			server := storetest.StartRedisTLS(t, a)
			return server, server.TLSURL + a.Query("client")
		}},
		"sentinels over TLS": {store: func(t *testing.T) (keeper, string) {
			a := storetest.NewAuthority(t)
			g := storetest.StartSentinelTLS(t, a)
			return g, g.URL + a.Query("server")
		}},
		"another prefix": {settings: map[string]string{"store.prefix": "shop.authsvc:a_b-1"}},
		"a user with the narrowest rights, password in the settings": {
			storeURL: func(r *storetest.Server) string {
				r.Do(append([]any{"ACL", "SETUSER", "authsvc", "on", ">" + password, "~authsvc:*"}, documentedRights(t)...)...)
				return strings.Replace(r.URL, "//", "//authsvc:wrong@", 1)
			},
			settings: map[string]string{"store.password": password},
		},
		"a password in the URL": {
			redis: []string{"--requirepass", password},
			storeURL: func(r *storetest.Server) string {
				return strings.Replace(r.URL, "//", "//:a%20password,%20with%20+%20and%20%25@", 1)
			},
		},
		"a unix socket": {
			storeURL: func(r *storetest.Server) string { return "unix://" + r.Socket + "?db=0" },
		},
	} {
		t.Run(name, func(t *testing.T) { life(t, newStack(t, o)) })
	}
}

// documentedRights are the rights that the documentation of redisstore names.
func documentedRights(t *testing.T) []any {
	t.Helper()
	return documented(t, `(resetchannels( \+[a-z|]+)+)\n`)
}

// documented are the rights of a rule in the documentation of redisstore.
func documented(t *testing.T, rule string) (rights []any) {
	t.Helper()
	doc, err := os.ReadFile("../session/redisstore/doc.go")
	check(t, err)
	found := regexp.MustCompile(`ACL SETUSER authsvc .* ` + rule).FindStringSubmatch(string(doc))
	if found == nil {
		t.Fatal("redisstore's documentation names no rights")
	}
	for right := range strings.FieldsSeq(found[1]) {
		rights = append(rights, right)
	}
	return rights
}

// life is what sessions go through: several people, repeated logins, tabs at once, and logout.
func life(t *testing.T, s *stack) {
	t.Helper()
	people := []*visitor{s.visitor("alice"), s.visitor("bob"), s.visitor("carol")}
	for _, v := range people {
		v.signIn()
	}
	alice := people[0]
	for i := range 3 {
		old := alice.cookie(sessionCookie)
		path := fmt.Sprintf("/again?n=%d", i)
		check(t, alice.signInAgain(path))
		check(t, s.refused(old))
	}
	// Two tabs, whose logins began in the same state.
	var callbacks [2]string
	for i := range callbacks {
		var err error
		callbacks[i], err = alice.toCallback(fmt.Sprintf("/tab-%d", i))
		check(t, err)
	}
	check(t, together(len(callbacks), len(callbacks), func(i int) error {
		answer, err := alice.open(callbacks[i])
		if err == nil {
			_, err = alice.arrived(answer, fmt.Sprintf("/tab-%d", i))
		}
		return err
	}))
	if n := s.records(); n != len(people) {
		t.Errorf("%d session records of %d people", n, len(people))
	}
	for _, v := range people {
		check(t, s.signedInAs(v.person, v.cookie(sessionCookie)))
	}
	s.everyKeyEnds()

	_, err := alice.logOut()
	check(t, err)
	check(t, s.signedInAs("bob", people[1].cookie(sessionCookie)))
	if n := s.records(); n != len(people)-1 {
		t.Errorf("%d session records after a logout", n)
	}
}

package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// startProvider starts a provider for the configuration of variables.
func startProvider(t *testing.T) *idptest.Provider {
	t.Helper()
	return idptest.Start(t, idptest.Options{Clients: []idptest.Client{{ID: "app", Secret: "hush", RedirectURIs: []string{"https://app.example.com/sso/callback"}}}})
}

// expectOnline runs an online check and compares the lines that it prints with the beginnings that are wanted, one for each line after the first; "" is any
// line that is ok.
func expectOnline(t *testing.T, args string, environ []string, want ...string) {
	t.Helper()
	got := call(t, "check --online"+args, environ...)
	lines := strings.Split(strings.TrimSuffix(got.stdout, "\n"), "\n")
	code := 0
	if lines[0] != "configuration is good" || len(lines) != len(want)+1 {
		t.Fatalf("got %d lines, want %d: %+v", len(lines), len(want)+1, got)
	}
	for i, beginning := range want {
		if beginning == "" {
			beginning = "ok       "
		}
		if line := lines[i+1]; !strings.HasPrefix(line, beginning) {
			t.Errorf("got  %s\nwant %s", line, beginning)
		}
		if strings.HasPrefix(lines[i+1], "warning ") || strings.HasPrefix(lines[i+1], "problem ") {
			code = 1
		}
	}
	if got.code != code {
		t.Errorf("exit code %d, want %d: %s", got.code, code, got.stdout)
	}
	for _, secret := range []string{"hush", "AAECAwQ", "pass-canary"} {
		if strings.Contains(got.stdout+got.stderr, secret) {
			t.Errorf("it prints %s: %+v", secret, got)
		}
	}
}

// allRights are what redisstore's documentation grants; a test there holds them against what is used.
var allRights = strings.Fields("resetchannels +get +set +del +pttl +pexpire +pexpireat +time +ping +eval +evalsha +zadd +zrem +zrange +zcount +hgetall +hset +hdel +hincrby +client|tracking")

func TestCheckOnlineRedis(t *testing.T) {
	provider := startProvider(t)
	user := func(t *testing.T, server *storetest.Server, keys string, change ...string) string {
		t.Helper()
		rule := []any{"ACL", "SETUSER", "narrow", "reset", "on", ">pass-canary", "~" + keys}
		for _, right := range append(allRights, change...) {
			rule = append(rule, right)
		}
		server.Do(rule...)
		return strings.Replace(server.URL, "//", "//narrow:pass-canary@", 1)
	}
	set := func(server *storetest.Server, pairs ...any) {
		server.Do(append([]any{"CONFIG", "SET"}, pairs...)...)
	}
	for name, row := range map[string]struct {
		prepare func(t *testing.T, server *storetest.Server) (url string) // "" for the server's own
		want    []string
	}{
		"good": {nil, []string{"ok       redis: redis://", "ok       redis server: 127.0.0.1:", "ok       redis eviction: ", "ok       redis memory: ",
			"ok       redis rights: ", "ok       redis self-test: ", "ok       redis sessions: 0 of 0 users, 0 B"}},
		"narrow rights": {func(t *testing.T, server *storetest.Server) string { return user(t, server, "authsvc:*") },
			[]string{"", "skipped  redis server: ", "", "", ""}},
		"narrow rights and info": {func(t *testing.T, server *storetest.Server) string { return user(t, server, "authsvc:*", "+info") },
			[]string{"", "", "", "", "", "", ""}},
		"rights are missing": {func(t *testing.T, server *storetest.Server) string {
			return user(t, server, "authsvc:*", "+info", "-pexpire", "-hincrby")
		},
			[]string{"", "", "", "", "problem  redis rights: the user lacks +pexpire +hincrby; grant them: ACL SETUSER <user> +pexpire +hincrby"}},
		"another's keys": {func(t *testing.T, server *storetest.Server) string { return user(t, server, "other:*", "+info") },
			[]string{"", "", "", "", "problem  redis rights: the user lacks ~authsvc:*; "}},
		"evicts anyone": {func(_ *testing.T, server *storetest.Server) string {
			set(server, "maxmemory", "100mb", "maxmemory-policy", "allkeys-lru")
			return ""
		}, []string{"", "", "warning  redis eviction: maxmemory-policy of ", "", "", "", ""}},
		"evicts the idle": {func(_ *testing.T, server *storetest.Server) string {
			set(server, "maxmemory", "100mb", "maxmemory-policy", "volatile-ttl")
			return ""
		}, []string{"", "", "", "", "", "", ""}},
		"nearly full": {func(_ *testing.T, server *storetest.Server) string {
			server.Do("SET", "filler", strings.Repeat("x", 50_000_000)) // beside which what this test adds is nothing
			set(server, "maxmemory", server.Info("used_memory")*10/9)
			return ""
		}, []string{"", "", "", "warning  redis memory: ", "", "", ""}},
		"full": {func(_ *testing.T, server *storetest.Server) string { set(server, "maxmemory", "1"); return "" },
			[]string{"", "", "", "warning  redis memory: ", "problem  redis: redis selftest: OOM "}},
		"a replica": {func(_ *testing.T, server *storetest.Server) string {
			server.Do("REPLICAOF", "127.0.0.1", "1")
			return ""
		},
			[]string{"", "", "", "", "problem  redis: redis selftest: READONLY "}},
		"gone": {func(_ *testing.T, server *storetest.Server) string { server.Kill(); return "" },
			[]string{"problem  redis: redis ping: "}},
		"wrong password": {func(_ *testing.T, server *storetest.Server) string {
			return strings.Replace(server.URL, "//", "//nobody:pass-canary@", 1)
		}, []string{"problem  redis: redis ping: WRONGPASS "}},
		"no TLS": {func(_ *testing.T, server *storetest.Server) string {
			return strings.Replace(server.URL, "redis:", "rediss:", 1)
		},
			[]string{"problem  redis: redis ping: "}},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.StartRedis(t)
			url := ""
			if row.prepare != nil {
				url = row.prepare(t, server)
			}
			if url == "" {
				url = server.URL
			}
			environ := variables("AUTHSVC_STORE_URL="+url, "AUTHSVC_STORE_TIMEOUT=2s", "AUTHSVC_OIDC_ISSUER="+provider.Issuer())
			want, replicas := row.want, "ok       replicas: none runs"
			if name == "another's keys" {
				replicas = "problem  replicas: "
			}
			if !slices.ContainsFunc(want, func(line string) bool { return strings.HasPrefix(line, "problem  redis: redis ping:") }) {
				want = append(want, replicas)
			}
			expectOnline(t, "", environ, append(want, "ok       provider: ", "ok       provider keys: ", "ok       provider clock: ")...)
		})
	}
	t.Run("a Cluster", func(t *testing.T) {
		environ := variables("AUTHSVC_STORE_URL="+storetest.StartCluster(t).URL, "AUTHSVC_STORE_TIMEOUT=2s", "AUTHSVC_OIDC_ISSUER="+provider.Issuer())
		expectOnline(t, "", environ, "", "", "", "", "", "", "", "", "", "", "", "", "ok       redis sessions: ", "", "", "", "")
	})
	t.Run("memory", func(t *testing.T) {
		expectOnline(t, "", variables("AUTHSVC_OIDC_ISSUER="+provider.Issuer()), "skipped  redis: ", "", "", "")
	})
}

func TestCheckOnlineProvider(t *testing.T) {
	dated := func(ahead time.Duration) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			p.Intercept(idptest.JWKS, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header().Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
				next.ServeHTTP(w, r)
			})
		}
	}
	for name, row := range map[string]struct {
		prepare func(*idptest.Provider)
		want    []string
	}{
		"another issuer": {func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) { document["issuer"] = "https://other.example.com" })
		}, []string{"problem  provider: discovery: "}},
		"no keys": {func(p *idptest.Provider) {
			p.EditJWKS(func(document map[string]any) { document["keys"] = []any{} })
		}, []string{"problem  provider: "}},
		"broken": {func(p *idptest.Provider) { p.Intercept(idptest.Discovery, idptest.Status(500)) }, []string{"problem  provider: discovery: the answer's status is 500"}},
		"little that it tells of": {func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) {
				for _, name := range []string{"end_session_endpoint", "code_challenge_methods_supported"} {
					delete(document, name)
				}
				document["scopes_supported"] = []string{"openid", "profile"}
			})
		}, []string{"", "", "", "note     provider: the scope email is not among those that it tells of; if it answers",
			"note     provider: it does not tell of PKCE with S256, which is used all the same", "note     provider: it has no end_session endpoint: "}},
		"another way to authenticate": {func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) {
				document["token_endpoint_auth_methods_supported"] = []string{"client_secret_post", "private_key_jwt"}
			})
		}, []string{"", "", "", "warning  provider: clients authenticate there by client_secret_post, private_key_jwt, and oidc.client_auth is basic; "}},
		"a clock that is ahead": {dated(4 * time.Minute), []string{"", "",
			"problem  provider clock: differs by 4m0s from the one by which sessions are measured; beyond 1m0s logins fail"}},
		"a clock that is a little behind": {dated(-40 * time.Second), []string{"", "", "warning  provider clock: differs by 40s from "}},
		"a clock that tells no time": {func(p *idptest.Provider) {
			undated := func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				w.Header()["Date"] = nil
				next.ServeHTTP(w, r)
			}
			p.Intercept(idptest.JWKS, undated)
			p.Intercept(idptest.Discovery, undated)
		}, []string{"", "", "skipped  provider clock: "}},
	} {
		t.Run(name, func(t *testing.T) {
			provider := startProvider(t)
			row.prepare(provider)
			expectOnline(t, "", variables("AUTHSVC_OIDC_ISSUER="+provider.Issuer()), append([]string{"skipped  redis: "}, row.want...)...)
		})
	}
}

func TestCheckOnlineBearer(t *testing.T) {
	const secret = "hush-canary"
	provider := startProvider(t)
	issuer := idptest.Start(t, idptest.Options{Clients: []idptest.Client{{ID: "gate", Secret: secret}}})
	entry := func(address, secret string) string {
		return `{"issuer":"` + issuer.Issuer() + `","audiences":["api"],"introspection_url":"` + address + `","client_id":"gate","client_secret":"` + secret + `"}`
	}
	own := `{"issuer":"` + provider.Issuer() + `","audiences":["api"]}`
	asked := issuer.URL(idptest.Introspection)
	for name, row := range map[string]struct {
		bearer  string
		prepare func(*idptest.Provider)
		want    []string
	}{
		"keys":          {`[` + own + `]`, nil, []string{"ok       bearer: " + provider.Issuer() + ": 1 keys, for RS256"}},
		"introspection": {`[` + own + `,` + entry(asked, secret) + `]`, nil, []string{"", "ok       bearer: " + issuer.Issuer() + ": 1 keys, for RS256; it tells of opaque tokens"}},
		"wrong secret":  {`[` + entry(asked, "hush") + `]`, nil, []string{"problem  bearer: " + issuer.Issuer() + ": introspection: the answer's status is 401; check the client, "}},
		"anything is active": {`[` + entry(asked, secret) + `]`, func(p *idptest.Provider) {
			p.EditIntrospection(func(answer map[string]any) { answer["active"] = true })
		}, []string{"problem  bearer: " + issuer.Issuer() + ": introspection calls a token active that nobody has"}},
		"down": {`[` + entry(asked, secret) + `]`, func(p *idptest.Provider) { p.Intercept(idptest.Discovery, idptest.Status(502)) },
			[]string{"problem  bearer: " + issuer.Issuer() + ": discovery: "}},
	} {
		t.Run(name, func(t *testing.T) {
			issuer.BeHonest()
			if row.prepare != nil {
				row.prepare(issuer)
			}
			expectOnline(t, "", variables("AUTHSVC_OIDC_ISSUER="+provider.Issuer(), "AUTHSVC_BEARER="+row.bearer), append([]string{"skipped  redis: ", "", "", ""}, row.want...)...)
		})
	}
}

// TestCheckOnlineSites looks at what each site asks of the provider that all have, and at whose tokens each takes.
func TestCheckOnlineSites(t *testing.T) {
	provider, other := startProvider(t), startProvider(t)
	bearer := func(issuer *idptest.Provider) string {
		return `[{"issuer":"` + issuer.Issuer() + `","audiences":["api"]}]`
	}
	sites := `[{"hosts":["a.example.org"],"public_url":"https://a.example.org"},
		{"hosts":["b.example.org"],"public_url":"https://b.example.org","oidc":{"scopes":["openid","odd"]},"bearer":` + bearer(other) + `}]`
	expectOnline(t, "", variables("AUTHSVC_OIDC_ISSUER="+provider.Issuer(), "AUTHSVC_BEARER="+bearer(provider), "AUTHSVC_SITES="+sites),
		"skipped  redis: ", "", "", "", "", "", "", "note     provider: the scope odd is not among those",
		"ok       bearer: "+provider.Issuer(), "ok       bearer: "+other.Issuer())
}

package nginx_test

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// minimal is a site with nothing but what is required.
func minimal() nginx.Site {
	return nginx.Site{ServerName: siteName, Upstreams: []string{"127.0.0.1:3000"}, Replicas: []string{"127.0.0.1:4180"}}
}

// loginHost is a host with the login alone.
func loginHost() nginx.Site {
	return nginx.Site{ServerName: "login.example.com", LoginOnly: true, Prefix: "/sso", Replicas: []string{"127.0.0.1:4180"}}
}

// overTLS makes a site's replica one over TLS.
func overTLS(s *nginx.Site) {
	s.Replicas, s.ReplicaCA = []string{"https://auth.example:4180"}, "/ca.pem"
}

// The golden files are the configuration as people read it; each is what nginx itself accepts.
func TestGolden(t *testing.T) {
	certificate, key, _ := selfSigned(t)
	replicas := minimal()
	replicas.Replicas = []string{"127.0.0.1:4180", "127.0.0.1:4181", "unix:/run/authsvc/authsvc.sock"}
	tls := minimal()
	tls.Prefix = "/oauth2"
	tls.CookieName = "__Host-authsvc"
	tls.Replicas = append(tls.Replicas, "127.0.0.1:4181")
	tls.Certificate = "/etc/nginx/tls/app.example.com.crt"
	tls.CertificateKey = "/etc/nginx/tls/app.example.com.key"
	overTLS := tls
	overTLS.Replicas, overTLS.ReplicaCA = []string{"https://auth.internal.example:4180", "https://auth.internal.example:4181"}, "/etc/nginx/tls/internal.pem"
	overTLS.RedirectHTTP = []string{"80", "[::]:80"}
	cached := minimal()
	cached.MicroCache, cached.CORSPreflight = time.Second, true
	central := minimal()
	central.ServerName, central.LoginURL = "wiki.example.com", "https://login.example.com/sso"
	central.Certificate, central.CertificateKey = tls.Certificate, tls.CertificateKey
	central.AllowedGroups, central.AllowedEmailDomains = []string{"staff", "café & co"}, []string{"example.com"}
	central.MicroCache, central.NoRules = 2*time.Second, true
	for name, site := range map[string]nginx.Site{
		"minimal": minimal(), "replicas_unix": replicas, "prefix_tls": tls, "replicas_tls": overTLS,
		"cache_preflight": cached, "central_application": central, "central_login": loginHost(),
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, site)
			golden := filepath.Join("testdata", name+".conf")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what is rendered; look at the change, then: go test ./nginx -run Golden -update\n%s", golden, got)
			}
			// The same with an address and files that this machine has.
			here, plain := nginxtest.FreeAddress(t), nginxtest.FreeAddress(t)
			nginxtest.Check(t, strings.NewReplacer(
				"listen 80;", "listen "+plain+";", "    listen [::]:80;\n", "", "auth.internal.example", "127.0.0.1", overTLS.ReplicaCA, certificate, "listen 443 ssl;", "listen "+here+" ssl;",
				tls.Certificate, certificate, tls.CertificateKey, key, "proxy_cache_path /run/", "proxy_cache_path "+filepath.Dir(key)+"/",
			).Replace(string(want)))
		})
	}
}

// A name longer than those that the table of variables takes is no obstacle.
func TestLongNames(t *testing.T) {
	site := minimal()
	site.ServerName = strings.Repeat("very-", 8) + "long.example" // server names have a limit of their own
	site.Listen = []string{nginxtest.FreeAddress(t)}
	site.Headers = []string{"X-" + strings.Repeat("Long-", 12) + "A", "X-" + strings.Repeat("Long-", 12) + "B"}
	site.CookieName = strings.Repeat("c", 128)
	other := site
	other.ServerName = "another-" + site.ServerName[8:]
	nginxtest.Check(t, "server_names_hash_bucket_size 128;\n"+render(t, site)+render(t, other))
}

// What nginx takes and what Validate takes are the same on these.
func TestValidSites(t *testing.T) {
	for name, change := range map[string]func(*nginx.Site){
		"wildcard":          func(s *nginx.Site) { s.ServerName = "*.example.com" },
		"address":           func(s *nginx.Site) { s.ServerName = "192.0.2.1" },
		"one label":         func(s *nginx.Site) { s.ServerName = "localhost" },
		"punycode":          func(s *nginx.Site) { s.ServerName = "xn--bcher-kva.example" },
		"capitals":          func(s *nginx.Site) { s.ServerName = "App.Example.COM" },
		"IPv6":              func(s *nginx.Site) { s.Upstreams = []string{"[::1]:3000"} },
		"host name":         func(s *nginx.Site) { s.Replicas = []string{"localhost:4180"} },
		"several upstreams": func(s *nginx.Site) { s.Upstreams = []string{"127.0.0.1:3000", "unix:/run/app.sock"} },
		"deep prefix":       func(s *nginx.Site) { s.Prefix = "/a/b.c/d-e_f~g" },
		"no headers":        func(s *nginx.Site) { s.Headers = []string{} },
		"other headers":     func(s *nginx.Site) { s.Headers = []string{"Remote-User", "X-Forwarded-User", "Authorization"} },
		"long list":         func(s *nginx.Site) { s.AllowedGroups = []string{strings.Repeat("ä", 300)} },
		"nobody":            func(s *nginx.Site) { s.AllowedGroups = []string{} },
		"login elsewhere":   func(s *nginx.Site) { s.LoginURL = "http://localhost:8080/a/b" },
		"login at IPv6":     func(s *nginx.Site) { s.LoginURL = "https://[::1]:8443" },
		"login host":        func(s *nginx.Site) { listen := s.Listen; *s = loginHost(); s.Listen = listen },
		"short timeout":     func(s *nginx.Site) { s.CheckTimeout = time.Millisecond },
		"names of replicas": func(s *nginx.Site) {
			certificate, _, _ := selfSigned(t)
			s.ReplicaCA, s.ReplicaName, s.Replicas = certificate, "auth.example.com", []string{"https://127.0.0.1:4180", "https://[::1]:4180", "https://unix:/run/a.sock"}
		},
		"long timeout": func(s *nginx.Site) { s.CheckTimeout = time.Minute },
	} {
		t.Run(name, func(t *testing.T) {
			site := minimal()
			site.Listen = []string{nginxtest.FreeAddress(t)}
			change(&site)
			nginxtest.Check(t, render(t, site))
		})
	}
	for _, listen := range []string{"80", "*:8080", "127.0.0.1:80", "[::]:443", "localhost:80", "unix:/run/site.sock"} {
		site := minimal()
		site.Listen = []string{listen}
		if text := render(t, site); !strings.Contains(text, "\n    listen "+listen+";\n") {
			t.Errorf("listen %s is not rendered", listen)
		}
	}
}

// Every refusal names its field, says what would be right, and leaves nothing written.
func TestInvalidSites(t *testing.T) {
	long := strings.Repeat("a", 254)
	tests := []struct {
		field  string
		change func(*nginx.Site, string)
		values []string
	}{
		{"ServerName", func(s *nginx.Site, v string) { s.ServerName = v }, []string{"", "_", "https://app.example.com", "app.example.com:80", "a..b", "-a", "a-", "a_b", "*", "a.*.b", "~^x", "app.example.com other", "[::1]", long}},
		{"Listen", func(s *nginx.Site, v string) { s.Listen = []string{v} }, []string{"", "0", "65536", "080", "+80", "80 default_server", "127.0.0.1", "unix:", "unix:run", "*:x", "http://127.0.0.1:80"}},
		{"Upstreams", func(s *nginx.Site, v string) { s.Upstreams = []string{v} }, []string{"", "127.0.0.1", "http://127.0.0.1:3000", "a:b", ":3000", "127.0.0.1:0", "127.0.0.1:03", "unix:/", "unix:relative", "unix:/a//b", "[::1%eth0]:80", "[127.0.0.1]:80", "::1:80", "*:80", "user@host:80", "127.0.0.1:80 weight=5", "127.0.0.1:80/path"}},
		{"Replicas", func(s *nginx.Site, v string) { s.Replicas = []string{v} }, []string{"", "authsvc", "127.0.0.1:4180 down", "https://", "https://127.0.0.1", "http://127.0.0.1:4180", "https://127.0.0.1:4180/", "https://https://127.0.0.1:4180"}},
		{"ReplicaCA", func(s *nginx.Site, v string) { overTLS(s); s.ReplicaCA = v }, []string{"", "relative.pem", "/a b"}},
		{"ReplicaName", func(s *nginx.Site, v string) { overTLS(s); s.ReplicaName = v }, []string{"*.example.com", "a..b", "a:80", long}},
		{"RedirectHTTP", func(s *nginx.Site, v string) {
			s.RedirectHTTP, s.Certificate, s.CertificateKey = []string{v}, "/crt", "/key"
		}, []string{"", "0", "443", "80 default_server", "127.0.0.1"}},
		{"Certificate", func(s *nginx.Site, v string) { s.Certificate, s.CertificateKey = v, "/key" }, []string{"", "relative.pem", "/a b", "/a/", "/a//b"}},
		{"CertificateKey", func(s *nginx.Site, v string) { s.Certificate, s.CertificateKey = "/certificate", v }, []string{"", "engine:x:y", "data:x"}},
		{"Prefix", func(s *nginx.Site, v string) { s.Prefix = v }, []string{"/", "oauth2", "/oauth2/", "//oauth2", "/a/../b", "/.", "/..", "/a%2Fb", "/a b", "/(a|b)", "/a?b", "/a#b", "/ä"}},
		{"LoginURL", func(s *nginx.Site, v string) { s.LoginURL = v }, []string{"login.example.com", "https://", "https:///x", "ftp://login.example.com", "https://login.example.com/", "https://login.example.com:0", "https://login.example.com:", "https://user@login.example.com", "https://login.example.com/a?b", "https://login.example.com?b", "https://login.example.com/../x", "HTTPS://login.example.com", "https://unix:/run/a", "/start"}},
		{"MicroCachePath", func(s *nginx.Site, v string) { s.MicroCache, s.MicroCachePath = time.Second, v }, []string{"/", "cache", "/a b", "/a/"}},
		{"CookieName", func(s *nginx.Site, v string) { s.CookieName = v }, []string{"a b", "a=b", "a|b", "(a)", "a*", ".*", "[a]", "ä", strings.Repeat("a", 129)}},
		{"Headers", func(s *nginx.Site, v string) { s.Headers = []string{v} }, []string{"", "X_User", "X.User", "X User", "X-User:", "1", "-", strings.Repeat("X", 65), "Host", "cookie", "Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "X-Forwarded-For", "x-original-url", "X-Real-IP", "X-Auth-Request-Redirect"}},
	}
	// What would break out of nginx syntax is refused everywhere.
	breakouts := []string{
		"a;b", "a{b", "a}b", `a"b`, "a'b", "a$b", "a${b}", "a\nb", "a\rb", "a\tb", "a b", "a#b", `a\b`, "a\x00b", "a`b", "a\u2028b",
		"a.example;}}server{listen 1;", "/a;root /;", "127.0.0.1:80;include /etc/passwd", "a\n", "a\r\n",
	}
	for _, test := range tests {
		for _, value := range append(test.values, breakouts...) {
			site := minimal()
			test.change(&site, value)
			err := nginx.Render(onlyEmpty{t}, site)
			problem, ok := errors.AsType[*nginx.FieldError](err)
			if !ok {
				t.Errorf("%s %q: got %v, want a FieldError", test.field, value, err)
				continue
			}
			if problem.Field != test.field || problem.Want == "" || !strings.Contains(err.Error(), test.field) {
				t.Errorf("%s %q: the error is about %s: %v", test.field, value, problem.Field, err)
			}
		}
	}
	for name, change := range map[string]func(*nginx.Site){
		"no upstreams":            func(s *nginx.Site) { s.Upstreams = nil },
		"no replicas":             func(s *nginx.Site) { s.Replicas = nil },
		"replica twice":           func(s *nginx.Site) { s.Replicas = append(s.Replicas, s.Replicas[0]) },
		"header twice":            func(s *nginx.Site) { s.Headers = []string{"X-User", "x-user"} },
		"negative timeout":        func(s *nginx.Site) { s.CheckTimeout = -time.Second },
		"endless timeout":         func(s *nginx.Site) { s.CheckTimeout = time.Hour },
		"fine timeout":            func(s *nginx.Site) { s.CheckTimeout = time.Microsecond },
		"fraction of a ms":        func(s *nginx.Site) { s.CheckTimeout = time.Second + time.Microsecond },
		"cache of a moment":       func(s *nginx.Site) { s.MicroCache = time.Millisecond },
		"cache of 1.5 s":          func(s *nginx.Site) { s.MicroCache = 1500 * time.Millisecond },
		"cache of 6 s":            func(s *nginx.Site) { s.MicroCache = 6 * time.Second },
		"negative cache":          func(s *nginx.Site) { s.MicroCache = -time.Second },
		"folder without a cache":  func(s *nginx.Site) { s.MicroCachePath = "/run/verdicts" },
		"prefix of another login": func(s *nginx.Site) { s.LoginURL, s.Prefix = "https://login.example.com", "/sso" },
		"login of a login host":   func(s *nginx.Site) { *s = loginHost(); s.LoginURL, s.Prefix = "https://login.example.com", "" },
		"application of a login":  func(s *nginx.Site) { *s = loginHost(); s.Upstreams = []string{"127.0.0.1:3000"} },
		"cache of a login":        func(s *nginx.Site) { *s = loginHost(); s.MicroCache = time.Second },
		"group of nothing":        func(s *nginx.Site) { s.AllowedGroups = []string{""} },
		"two groups in one":       func(s *nginx.Site) { s.AllowedGroups = []string{"a,b"} },
		"group in spaces":         func(s *nginx.Site) { s.AllowedGroups = []string{"a "} },
		"address of two lines":    func(s *nginx.Site) { s.AllowedEmails = []string{"a@example.com\nb"} },
		"endless list":            func(s *nginx.Site) { s.AllowedEmailDomains = []string{strings.Repeat("ä", 400)} },
		"groups of a login":       func(s *nginx.Site) { *s = loginHost(); s.AllowedGroups = []string{"a"} },
		"preflight of a login":    func(s *nginx.Site) { *s = loginHost(); s.CORSPreflight = true },
		"certificate alone":       func(s *nginx.Site) { s.Certificate = "/certificate" },
		"redirect to nothing":     func(s *nginx.Site) { s.RedirectHTTP = []string{"80"} },
		"redirect at the site": func(s *nginx.Site) {
			s.Certificate, s.CertificateKey, s.Listen, s.RedirectHTTP = "/crt", "/key", []string{"8443"}, []string{"8443"}
		},
		"some over TLS":          func(s *nginx.Site) { overTLS(s); s.Replicas = append(s.Replicas, "127.0.0.1:4182") },
		"roots without TLS":      func(s *nginx.Site) { s.ReplicaCA = "/crt" },
		"name without TLS":       func(s *nginx.Site) { s.ReplicaName = "auth.example.com" },
		"address of no name":     func(s *nginx.Site) { overTLS(s); s.Replicas[0] = "https://127.0.0.1:4180" },
		"addresses of two names": func(s *nginx.Site) { overTLS(s); s.Replicas = append(s.Replicas, "https://other.example:4180") },
		"socket of no name":      func(s *nginx.Site) { overTLS(s); s.Replicas[0] = "https://unix:/run/a.sock" },
	} {
		site := minimal()
		change(&site)
		if _, ok := errors.AsType[*nginx.FieldError](site.Validate()); !ok {
			t.Errorf("%s: Validate accepts %+v", name, site)
		}
	}
}

// All problems are told at once.
func TestValidateTellsEverything(t *testing.T) {
	err := nginx.Site{Prefix: "x", CookieName: "a b"}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 5 {
		t.Fatalf("got %v, want five problems", err)
	}
	for _, field := range []string{"ServerName: ", "Upstreams: ", "Replicas: ", `Prefix: "x"; `, `CookieName: "a b"; `} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("%s is missing in:\n%v", field, err)
		}
	}
}

func TestRenderReportsTheWriter(t *testing.T) {
	if err := nginx.Render(full{}, minimal()); !errors.Is(err, errFull) {
		t.Errorf("got %v, want %v", err, errFull)
	}
}

// FuzzRender: whatever is accepted cannot add to the structure of the configuration.
func FuzzRender(f *testing.F) {
	f.Add("app.example.com", "80", "127.0.0.1:3000", "unix:/run/a", "/oauth2", "authsvc", "X-User", "/crt", "", "staff", "/run/a")
	f.Add("*.example.com", "[::1]:1", "host:1", "[::1]:2", "", "", "Remote-User", "", "https://login.example.com/sso", "a$b;{}#\"'\\", "/run/b")
	f.Add("a;", "80;", "a:1}", "a:1\n", "/a$", "a'", "a{", "/a\"", "https://a;", "\n", "/a;")
	f.Fuzz(func(t *testing.T, name, listen, upstream, replica, prefix, cookie, header, certificate, login, group, folder string) {
		site := nginx.Site{
			ServerName: name, Listen: []string{listen}, Upstreams: []string{upstream}, Replicas: []string{replica},
			Prefix: prefix, CookieName: cookie, Headers: []string{header}, Certificate: certificate, CertificateKey: certificate,
			LoginURL: login, AllowedGroups: []string{group}, MicroCache: time.Second, MicroCachePath: folder,
		}
		var text strings.Builder
		if err := nginx.Render(&text, site); err != nil {
			if _, ok := errors.AsType[*nginx.FieldError](err); !ok || text.Len() > 0 {
				t.Fatalf("got %v after %d bytes, want a FieldError and none", err, text.Len())
			}
			return
		}
		plain := minimal()
		plain.AllowedGroups, plain.MicroCache = []string{"staff"}, time.Second
		if login != "" {
			plain.LoginURL = "https://login.example.com"
		}
		plain.Headers = []string{"X-User"}
		if _, known := clearedAnyway[strings.ToLower(header)]; known {
			plain.Headers = []string{header}
		}
		plain.CookieName = cookie // its default has another regular expression
		if certificate != "" {
			plain.Certificate, plain.CertificateKey = "/crt", "/key"
		}
		if got, want := structure(text.String()), structure(render(t, plain)); got != want {
			t.Fatalf("%+v gives the structure\n%s\nwant\n%s", site, got, want)
		}
	})
}

// clearedAnyway are header names whose line exists whether they are chosen or not.
var clearedAnyway = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range append(nginx.DefaultHeaders(), "Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups",
		"X-Auth-Request-Access-Token", "X-Auth-Request-Jwt", "X-Forwarded-User", "X-Forwarded-Email",
		"X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token") {
		names[strings.ToLower(name)] = true
	}
	return names
}()

// structure is a text without all that is not nginx syntax.
func structure(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("{};\"'$#\n\r\t\x00", r) {
			return r
		}
		return -1
	}, text)
}

// onlyEmpty is a writer that nothing may be written to.
type onlyEmpty struct{ t *testing.T }

func (w onlyEmpty) Write(text []byte) (int, error) {
	w.t.Errorf("%d bytes were written for a site that is refused", len(text))
	return len(text), nil
}

var errFull = errors.New("disk full")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }

var _ io.Writer = full{}

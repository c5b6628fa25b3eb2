package lint

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The corpus: what stands in http{}, with every finding beside it. Each is configuration that nginx takes.
func TestCorpus(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) < len(rules) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".conf"), func(t *testing.T) {
			report, err := Files([]string{file}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			var text strings.Builder
			for _, f := range report.Findings {
				seen[f.Rule] = true
				f.File = filepath.Base(f.File)
				fmt.Fprintln(&text, f)
			}
			for _, i := range report.Ignored {
				i.File = filepath.Base(i.File)
				fmt.Fprintf(&text, "ignored: %s:%d: %s: %s\n", i.File, i.Line, i.Rule, i.Reason)
			}
			golden := strings.TrimSuffix(file, ".conf") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(text.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if text.String() != string(want) {
				t.Errorf("%s differs from what is found; look at the change, then: go test ./nginx/lint -run Corpus -update\n%s", golden, text.String())
			}
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			nginxtest.Check(t, onFreePorts(t, string(content)))
		})
	}
	for _, rule := range rules {
		if !seen[rule.Name] {
			t.Errorf("no file of the corpus has a finding of %s", rule.Name)
		}
	}
}

// onFreePorts lets a configuration listen where this machine has room.
func onFreePorts(t testing.TB, content string) string {
	return strings.ReplaceAll(content, "listen 80", "listen "+nginxtest.FreeAddress(t))
}

// What we render ourselves is clean in every form.
func TestRenderedIsClean(t *testing.T) {
	forms := map[string]func(*nginx.Site){
		"minimal":      func(*nginx.Site) {},
		"prefix":       func(s *nginx.Site) { s.Prefix = "/oauth2" },
		"deep prefix":  func(s *nginx.Site) { s.Prefix = "/a/b.c/d" },
		"replicas":     func(s *nginx.Site) { s.Replicas = []string{"127.0.0.1:4180", "10.0.0.2:4180", "unix:/run/a.sock"} },
		"socket alone": func(s *nginx.Site) { s.Replicas = []string{"unix:/run/a.sock"} },
		"IPv6":         func(s *nginx.Site) { s.Replicas, s.Upstreams = []string{"[::1]:4180"}, []string{"[::1]:3000"} },
		"upstreams":    func(s *nginx.Site) { s.Upstreams = []string{"127.0.0.1:3000", "unix:/run/app.sock"} },
		"TLS":          func(s *nginx.Site) { s.Certificate, s.CertificateKey = "/etc/app.crt", "/etc/app.key" },
		"redirect": func(s *nginx.Site) {
			s.Certificate, s.CertificateKey, s.RedirectHTTP = "/etc/app.crt", "/etc/app.key", []string{"80", "[::]:80"}
		},
		"replicas over TLS": func(s *nginx.Site) {
			s.Replicas, s.ReplicaCA, s.Prefix = []string{"https://auth.example.com:4180", "https://auth.example.com:4182"}, "/etc/ca.pem", "/oauth2"
		},
		"central, replicas over TLS": func(s *nginx.Site) {
			s.LoginURL, s.Replicas = "https://login.example.com/sso", []string{"https://192.0.2.1:4180", "https://unix:/run/a.sock"}
			s.ReplicaCA, s.ReplicaName, s.MicroCache = "/etc/ca.pem", "auth.example.com", time.Second
			s.AllowedGroups = []string{"staff"}
		},
		"wildcard":                func(s *nginx.Site) { s.ServerName = "*.example.com" },
		"address":                 func(s *nginx.Site) { s.ServerName = "192.0.2.1" },
		"cookie":                  func(s *nginx.Site) { s.CookieName = "__Host-sso" },
		"listen":                  func(s *nginx.Site) { s.Listen = []string{"8080", "[::]:8080", "unix:/run/site.sock"} },
		"headers":                 func(s *nginx.Site) { s.Headers = []string{"Remote-User", "X-Forwarded-User", "Authorization"} },
		"no headers":              func(s *nginx.Site) { s.Headers = []string{} },
		"one header":              func(s *nginx.Site) { s.Headers = []string{"X-Auth-Request-User"} },
		"fast check":              func(s *nginx.Site) { s.CheckTimeout = 150 * time.Millisecond },
		"slow check":              func(s *nginx.Site) { s.CheckTimeout = 10 * time.Second },
		"cache":                   func(s *nginx.Site) { s.MicroCache = time.Second },
		"long cache":              func(s *nginx.Site) { s.MicroCache, s.MicroCachePath = 5*time.Second, "/dev/shm/verdicts" },
		"cache for all addresses": func(s *nginx.Site) { s.MicroCache, s.NoRules = time.Second, true },
		"preflight":               func(s *nginx.Site) { s.CORSPreflight = true },
		"preflight and cache":     func(s *nginx.Site) { s.CORSPreflight, s.MicroCache, s.Prefix = true, time.Second, "/oauth2" },
		"central":                 func(s *nginx.Site) { s.LoginURL = "https://login.example.com" },
		"central, plain":          func(s *nginx.Site) { s.LoginURL = "http://login.example.com:8080/a/b" },
		"groups":                  func(s *nginx.Site) { s.AllowedGroups, s.Prefix = []string{"staff", "a b"}, "/oauth2" },
		"nobody":                  func(s *nginx.Site) { s.AllowedEmails = []string{} },
		"central, everything": func(s *nginx.Site) {
			s.LoginURL, s.CookieName = "https://login.example.com/sso", "__Secure-sso"
			s.Certificate, s.CertificateKey = "/etc/app.crt", "/etc/app.key"
			s.AllowedGroups, s.AllowedEmailDomains = []string{"staff"}, []string{"example.com"}
			s.MicroCache, s.NoRules, s.CORSPreflight = time.Second, true, true
		},
	}
	for name, form := range forms {
		t.Run(name, func(t *testing.T) {
			site := nginx.Site{ServerName: "app.example.com", Upstreams: []string{"127.0.0.1:3000"}, Replicas: []string{"127.0.0.1:4180"}}
			form(&site)
			prefix := site.Prefix
			if login, err := url.Parse(site.LoginURL); err == nil && site.LoginURL != "" {
				prefix = login.Path
			}
			for _, options := range []Options{{Headers: site.Headers}, {Headers: site.Headers, Prefix: &prefix}} {
				var text strings.Builder
				if err := nginx.Render(&text, site); err != nil {
					t.Fatal(err)
				}
				options.Stdin = strings.NewReader(text.String())
				report, err := Files([]string{"-"}, options)
				if err != nil {
					t.Fatal(err)
				}
				if len(report.Findings) > 0 || report.Servers != 1 {
					t.Errorf("found in %d servers: %v", report.Servers, report.Findings)
				}
			}
		})
	}
}

// A rendered site whose verdicts may take a minute is told so.
func TestRenderedSlowCheck(t *testing.T) {
	site := nginx.Site{ServerName: "app.example.com", Upstreams: []string{"127.0.0.1:3000"}, Replicas: []string{"127.0.0.1:4180"}, CheckTimeout: time.Minute}
	var text strings.Builder
	if err := nginx.Render(&text, site); err != nil {
		t.Fatal(err)
	}
	report, err := Files([]string{"-"}, Options{Stdin: strings.NewReader(text.String())})
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Rule != "check-timeout" {
		t.Errorf("got %v, %v", report, err)
	}
}

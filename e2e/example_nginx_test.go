package e2e

import (
	"cmp"
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

var update = flag.Bool("update", false, "write rendered files anew")

// nginxExample is a folder of examples that runs: its files, with nothing changed but where things are on this machine.
type nginxExample struct {
	*stack
	cookie string          // the session's
	plain  string          // where nginx sends people on from
	way    *http.Transport // of browsers, to which the hosts of the example are real
}

// exampleFiles tells what is in a folder.
type exampleFiles struct {
	folder           string
	clientID, cookie string
	url              string                             // public_url
	hosts            []string                           // that the sites serve
	sites            map[string]map[string]http.Handler // the files for nginx, each with the applications that it names
	replicas         []string                           // addresses, as the sites name them
	listen           string                             // what the sites listen on
	// start starts a replica of the folder; nil starts it with the folder's authsvc.yaml and secrets of this machine.
	start func(s *stack, address string) *replica
}

// nginxFiles are a folder with TLS, and two replicas with one configuration.
func nginxFiles(folder, clientID, cookie string, hosts []string, sites map[string]map[string]http.Handler) exampleFiles {
	return exampleFiles{
		folder: folder, clientID: clientID, cookie: cookie, url: "https://" + hosts[0], hosts: hosts, sites: sites,
		replicas: []string{"127.0.0.1:4180", "127.0.0.1:4182"}, listen: "443 ssl",
	}
}

// startNginxExample runs a folder.
func startNginxExample(t *testing.T, x exampleFiles) *nginxExample {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("../examples", x.folder))
	check(t, err)
	dir := t.TempDir()
	s := &stack{t: t, url: x.url, site: strings.TrimPrefix(strings.TrimPrefix(x.url, "https://"), "http://"), redis: storetest.StartRedis(t)}
	s.store = s.redis
	s.provider = idptest.Start(t, idptest.Options{
		Clients: []idptest.Client{{
			ID: x.clientID, Secret: clientSecret,
			RedirectURIs: []string{s.url + "/callback"}, PostLogoutRedirectURIs: []string{s.url + "/signed_out"},
		}},
		SignIn: func(r *http.Request) string { return r.Header.Get(personHeader) },
		People: []idptest.Person{person("alice")},
	})
	if x.start == nil {
		s.settings = exampleSettings(t, folder)
		s.settings["oidc.issuer"], s.settings["store.url"], s.settings["shutdown.delay"] = s.provider.Issuer(), s.redis.URL, "0"
		x.start = func(*stack, string) *replica { return newReplica(t, s.settings) }
	}

	certificate, key := pair(t, 1)
	certFile, keyFile := filepath.Join(dir, "site.pem"), filepath.Join(dir, "site.key")
	replace(t, certFile, certificate)
	replace(t, keyFile, key)
	gate, plain := nginxtest.FreeAddress(t), nginxtest.FreeAddress(t)
	_, withTLS, _ := strings.Cut(x.listen, " ")
	here := map[string]string{"listen " + x.listen + ";": strings.TrimSpace("listen "+gate+" "+withTLS) + ";"}
	if withTLS != "" {
		here["listen 80;"] = "listen " + plain + ";"
	}
	for _, address := range x.replicas {
		r := x.start(s, address)
		s.replicas = append(s.replicas, r)
		here["server "+address+" "] = "server " + r.address + " "
	}
	var config strings.Builder
	for name, applications := range x.sites {
		text, err := os.ReadFile(filepath.Join(folder, name))
		check(t, err)
		moved := maps.Clone(here)
		for address, application := range applications {
			server := httptest.NewServer(application)
			t.Cleanup(server.Close)
			moved["server "+address+";"] = "server " + server.Listener.Addr().String() + ";"
		}
		named := regexp.MustCompile(`(ssl_certificate|ssl_certificate_key) (\S+);`)
		for _, file := range named.FindAllStringSubmatch(string(text), -1) {
			moved[file[0]] = file[1] + " " + map[bool]string{true: keyFile, false: certFile}[strings.HasSuffix(file[1], "_key")] + ";"
		}
		for from, to := range moved {
			if n := strings.Count(string(text), from); n != 1 {
				t.Fatalf("%s: %q stands there %d times, want once", name, from, n)
			}
			text = []byte(strings.Replace(string(text), from, to, 1))
		}
		config.Write(text)
	}
	for _, r := range s.replicas {
		r.awaitReady()
	}
	s.nginx = nginxtest.Start(t, config.String())

	way := transport.Clone()
	way.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // nobody signed the certificate
	way.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, _, _ := strings.Cut(address, ":"); slices.Contains(x.hosts, host) {
			address = gate
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	t.Cleanup(way.CloseIdleConnections)
	return &nginxExample{s, x.cookie, plain, way}
}

// exampleSettings are what a folder's configuration leaves to the machine: secrets.
func exampleSettings(t *testing.T, folder string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	settings := map[string]string{
		"config":                  filepath.Join(folder, "authsvc.yaml"),
		"oidc.client_secret_file": filepath.Join(dir, "client-secret"),
		"cookie.secret_file":      filepath.Join(dir, "cookie-secret"),
	}
	replace(t, settings["oidc.client_secret_file"], clientSecret+"\n")
	replace(t, settings["cookie.secret_file"], newSecret()+"\n")
	return settings
}

// visitor is a browser with a person in front of it.
func (x *nginxExample) visitor(name string) *visitor {
	jar, err := cookiejar.New(nil)
	check(x.t, err)
	return &visitor{x.stack, name, &http.Client{Jar: jar, Transport: x.way, Timeout: patience, CheckRedirect: follow(0)}}
}

// redirects checks that a host over plain HTTP sends a browser on to its page over TLS.
func (x *nginxExample) redirects(host string) {
	x.t.Helper()
	request, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, "http://"+x.plain+"/a?b=c", nil)
	check(x.t, err)
	request.Host = host
	answer, err := exchange(direct, request)
	if err != nil || answer.status != http.StatusMovedPermanently || answer.header.Get("Location") != "https://"+host+"/a?b=c" {
		x.t.Errorf("http://%s: %s, %v", host, answer, err)
	}
}

// passes asks for a page with nothing but a cookie, and tells who the application says is there; "" if it was not asked.
func (x *nginxExample) passes(address, cookie string) string {
	x.t.Helper()
	request, err := http.NewRequestWithContext(x.t.Context(), http.MethodGet, address, nil)
	check(x.t, err)
	request.Header.Set("Cookie", cookie)
	answer, err := exchange(&http.Client{Transport: x.way, Timeout: patience, CheckRedirect: follow(0)}, request)
	check(x.t, err)
	if answer.status != http.StatusOK && answer.status != http.StatusUnauthorized {
		x.t.Fatalf("neither passed nor refused: %s", answer)
	}
	return answer.header.Get("X-Application-Saw")
}

// exampleApplication answers as the application of a stack, and says its name.
func exampleApplication(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Application-Saw", name+" "+r.Header.Get("X-Auth-Request-User"))
		(&application{}).ServeHTTP(w, r)
	})
}

// TestExampleNginx runs examples/nginx.
func TestExampleNginx(t *testing.T) {
	x := startNginxExample(t, nginxFiles("nginx", "app", "__Host-authsvc", []string{"app.example.com"}, map[string]map[string]http.Handler{
		"app.conf": {"127.0.0.1:3000": exampleApplication("app")},
	}))
	x.redirects("app.example.com")
	alice := x.visitor("alice")
	if answer, err := alice.send(http.MethodGet, "/data", http.Header{"Sec-Fetch-Mode": {"cors"}}); err != nil || answer.status != http.StatusUnauthorized {
		t.Errorf("a script that is signed out: %s, %v", answer, err)
	}
	alice.signIn()
	answer, err := alice.send(http.MethodGet, "/page", http.Header{"X-Auth-Request-User": {"mallory"}})
	if err != nil || answer.header.Get("X-Application-Saw") != "app alice" {
		t.Errorf("a forged identity: %s, %v", answer, err)
	}

	x.replicas[0].kill()
	for i := range 5 {
		_, err := alice.arrive(fmt.Sprintf("/page?n=%d", i))
		check(t, err)
	}

	x.leave(alice, map[string]string{"https://app.example.com/page": "app alice"})
}

// TestExampleNginxCentral runs examples/nginx-central: one login, and one logout, for two applications.
func TestExampleNginxCentral(t *testing.T) {
	const wiki, chat, login = "https://wiki.example.com", "https://chat.example.com", "https://login.example.com"
	x := startNginxExample(t, nginxFiles("nginx-central", "login", "__Secure-authsvc", []string{"login.example.com", "wiki.example.com", "chat.example.com"}, map[string]map[string]http.Handler{
		"login.conf": {},
		"wiki.conf":  {"127.0.0.1:3000": exampleApplication("wiki")},
		"chat.conf":  {"127.0.0.1:3001": exampleApplication("chat")},
	}))
	for _, host := range []string{"login.example.com", "wiki.example.com", "chat.example.com"} {
		x.redirects(host)
	}
	alice := x.visitor("alice")
	answer, err := alice.send(http.MethodGet, wiki+"/page?a=b&c=d", nil)
	if want := login + "/start?rd=" + url.QueryEscape(wiki+"/page?a=b&c=d"); err != nil || answer.status != http.StatusFound || answer.header.Get("Location") != want {
		t.Errorf("signed out: %s, %v; want %s", answer, err, want)
	}
	answer, err = alice.open(wiki + "/page?a=b&c=d")
	if err == nil {
		_, err = alice.arrived(answer, "/page?a=b&c=d")
	}
	if err != nil || answer.url.Host != "wiki.example.com" || answer.header.Get("X-Application-Saw") != "wiki alice" {
		t.Fatalf("after the login: %s, %v", answer, err)
	}

	// Signed in at one is signed in at the other, at once. Every path is the application's.
	for _, path := range []string{"/", "/start", "/logout", "/auth", "/callback?code=x"} {
		answer, err := alice.send(http.MethodGet, chat+path, nil)
		if err == nil {
			_, err = alice.arrived(answer, path)
		}
		if err != nil || answer.header.Get("X-Application-Saw") != "chat alice" {
			t.Errorf("at the other application: %s, %v", answer, err)
		}
	}
	// The login host has no application, and shows where alice is signed in.
	if answer, err := alice.open(login + "/"); err != nil || answer.status != http.StatusOK || answer.url.Path != "/sessions" {
		t.Errorf("the login host: %s, %v", answer, err)
	}
	if answer, err := alice.send(http.MethodGet, login+"/page", nil); err != nil || answer.status != http.StatusNotFound {
		t.Errorf("a page of the login host: %s, %v", answer, err)
	}
	if answer, err := alice.send(http.MethodGet, login+"/start?rd="+url.QueryEscape("https://example.org/"), nil); err != nil || answer.status != http.StatusBadRequest {
		t.Errorf("a login that leads away: %s, %v", answer, err)
	}
	if n := x.records(); n != 1 {
		t.Errorf("%d session records", n)
	}

	x.leave(alice, map[string]string{wiki + "/page": "wiki alice", chat + "/page": "chat alice"})
	for _, site := range []string{wiki, chat} {
		if answer, err := alice.send(http.MethodGet, site+"/page", nil); err != nil || answer.status != http.StatusFound || !strings.HasPrefix(answer.header.Get("Location"), login+"/start?rd=") {
			t.Errorf("signed out at %s: %s, %v", site, answer, err)
		}
	}
}

// leave signs out at the login, and checks that the cookie passed at every page until then and at none from then on.
func (x *nginxExample) leave(v *visitor, pages map[string]string) {
	x.t.Helper()
	cookie := x.cookie + "=" + v.cookie(x.cookie)
	for address, want := range pages {
		if saw := x.passes(address, cookie); saw != want {
			x.t.Errorf("%s with the cookie: the application saw %q, want %q", address, saw, want)
		}
	}
	answer, err := v.send(http.MethodPost, "/logout", http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if err != nil || answer.status != http.StatusSeeOther || v.cookie(x.cookie) != "" {
		x.t.Fatalf("signing out: %s, %v, cookies %v", answer, err, v.cookies())
	}
	for address := range pages {
		storetest.WaitFor(x.t, address+" to refuse the cookie of before the logout", func() error { // once the push has come
			if saw := x.passes(address, cookie); saw != "" {
				return fmt.Errorf("the application saw %q", saw)
			}
			return nil
		})
	}
	if n := x.records(); n != 0 {
		x.t.Errorf("%d session records after the logout", n)
	}
}

// TestExamplesNginxAreRendered: the files are what the commands of the READMEs print, and lint finds nothing in them.
func TestExamplesNginxAreRendered(t *testing.T) {
	command := regexp.MustCompile(`(?m)^ *\$ (?:sudo authsvc|docker compose run -T --rm --no-deps authsvc-1) (nginx render .*) > (\S+\.conf)$`)
	for folder, want := range map[string]int{"nginx": 1, "nginx-central": 3, "compose": 1} {
		folder = filepath.Join("../examples", folder)
		readme, err := os.ReadFile(filepath.Join(folder, "README.md"))
		check(t, err)
		environ := variables(exampleSettings(t, folder))
		lines := command.FindAllStringSubmatch(strings.ReplaceAll(string(readme), "\\\n", ""), -1)
		if len(lines) != want {
			t.Errorf("%s renders %d files, want %d", folder, len(lines), want)
		}
		for _, line := range lines {
			args := strings.Replace(line[1], " authsvc.yaml ", " "+filepath.Join(folder, "authsvc.yaml")+" ", 1)
			got := run(t, args, environ...)
			file := filepath.Join(folder, line[2])
			if *update {
				check(t, os.WriteFile(file, []byte(got.stdout), 0o644))
			}
			text, err := os.ReadFile(file)
			check(t, err)
			if got.code != 0 || got.stderr != "" || got.stdout != string(text) {
				t.Errorf("%s is not what its README renders: %s", file, cmp.Or(got.stderr, "look at the change, then: go test ./e2e -run ExamplesNginx -update"))
			}
			if got := run(t, "nginx lint "+file); got.code != 0 {
				t.Errorf("%s: %+v", file, got)
			}
		}
		if got := run(t, "check", environ...); got.code != 0 || got.stderr != "" {
			t.Errorf("%s: check: %+v", folder, got)
		}
	}
}

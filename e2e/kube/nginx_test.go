package kube

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

// patience is how long a program may take to listen.
const patience = 30 * time.Second

// freeAddress is one that nobody listens on now, below the ports that the system gives away by itself.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_240+rand.IntN(22_000))
		if listener, err := net.Listen("tcp", address); err == nil {
			listener.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// start runs a program until the test is over, and waits until it listens. It returns a function that ends it early.
func start(t *testing.T, address string, environ []string, program string, args ...string) (stop func()) {
	t.Helper()
	var log bytes.Buffer
	command := exec.Command(program, args...)
	command.Env, command.Stderr, command.Stdout = environ, &log, &log
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	stop = func() {
		command.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		select {
		case err := <-ended:
			ended <- err
		case <-time.After(patience):
			command.Process.Kill()
			t.Errorf("%s does not end", program)
		}
	}
	t.Cleanup(stop)
	for deadline := time.Now().Add(patience); ; {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return stop
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s: %v\n%s", program, err, log.String())
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen on %s\n%s", program, address, log.String())
		}
	}
}

// ask asks a gateway on this machine for a page of a host, by "Name: value" lines, and returns the answer and the headers that the
// application said it had got; nil if it was not asked.
func ask(t *testing.T, gate, address string, lines ...string) (*http.Response, http.Header) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		request.Header[name] = append(request.Header[name], value) // spelt as it stands
	}
	way := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, gate)
	}}
	answer, err := way.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Header.Get("X-Application") == "" {
		return answer, nil
	}
	saw := make(http.Header)
	for line := range strings.Lines(string(body)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		saw[name] = append(saw[name], value)
	}
	return answer, saw
}

// newApplication tells what headers it gets. Below /status/500 it fails.
func newApplication(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Application", "yes")
		if r.URL.Path == "/status/500" {
			w.WriteHeader(http.StatusInternalServerError)
		}
		r.Header.Write(w)
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// newVerdicts answers as /auth does: by the Cookie, which says the status.
func newVerdicts(t *testing.T) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Header.Get("Cookie") {
		case "session=200":
			for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username"} {
				w.Header().Set(name, "alice")
			}
			w.Header()["X-Auth-Request-Groups"] = []string{""}
		case "session=403":
			w.WriteHeader(http.StatusForbidden)
		case "session=503":
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			asked := r.Header.Get("X-Original-Url")
			w.Header().Set("X-Auth-Login-Url", "https://login.example.com/start?rd="+asked)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// startNginx runs nginx with lines inside http{}.
func startNginx(t *testing.T, address, lines string) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx.conf")
	temporary := ""
	for _, path := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temporary += fmt.Sprintf("%s_temp_path %s/%s;\n", path, dir, path)
	}
	write(t, file, fmt.Sprintf("pid %s/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n%s%s}\n", dir, temporary, lines))
	start(t, address, nil, nginxProgram(t), "-e", "stderr", "-p", dir, "-c", file, "-g", "daemon off;")
}

// nginxProgram finds nginx, which Debian keeps where only root looks.
func nginxProgram(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("nginx is missing; apt-get install nginx")
	return ""
}

// verdictCases are what a browser gets, and the application sees, where nginx asks.
func verdictCases(t *testing.T, gate string) {
	t.Helper()
	const page = "http://app.example.com/page?a=b&c=d"
	const navigate = "Sec-Fetch-Mode: navigate"
	if _, saw := ask(t, gate, page, "Cookie: session=200", "X-Auth-Request-User: mallory", "X-Auth-Request-Groups: admins", "X_Auth_Request_User: mallory", "X-Auth-Request-Jwt: mallory"); saw.Get("X-Auth-Request-User") != "alice" || saw["X-Auth-Request-Jwt"] != nil || saw.Get("X-Auth-Request-Groups") != "" || saw["X_Auth_Request_User"] != nil {
		t.Errorf("signed in: the application saw %v", saw)
	}
	if answer, saw := ask(t, gate, "http://app.example.com/status/500", "Cookie: session=200"); answer.StatusCode != 500 || saw == nil {
		t.Errorf("the application's own 500 comes as %d", answer.StatusCode)
	}
	if _, saw := ask(t, gate, page, "Cookie: session=200", "Upgrade: WebSocket"); saw == nil {
		t.Error("WebSocket does not pass")
	}
	for _, test := range []struct {
		name   string
		lines  []string
		status int
		header string
		want   string
	}{
		{"signed out, a page", []string{navigate}, 302, "Location", "https://login.example.com/start?rd=http://app.example.com/page?a=b&c=d"},
		{"signed out, a script", []string{"Sec-Fetch-Mode: cors"}, 401, "X-Auth-Login-Url", "https://login.example.com/start?rd=http://app.example.com/page?a=b&c=d"},
		{"signed out, a forged address", []string{navigate, "X-Original-Url: https://evil.example/", "X-Forwarded-Host: evil.example"}, 302, "Location", "https://login.example.com/start?rd=http://app.example.com/page?a=b&c=d"},
		{"may not", []string{navigate, "Cookie: session=403"}, 403, "Location", ""},
		{"nobody can tell", []string{navigate, "Cookie: session=503"}, 503, "Retry-After", "5"},
		{"a tunnel", []string{"Cookie: session=200", "Upgrade: h2c"}, 400, "Location", ""},
	} {
		answer, saw := ask(t, gate, page, test.lines...)
		if answer.StatusCode != test.status || answer.Header.Get(test.header) != test.want || saw != nil {
			t.Errorf("%s: %d, %v; want %d, %s: %s", test.name, answer.StatusCode, answer.Header, test.status, test.header, test.want)
		}
	}
}

// TestSnippetsFilter: the lines do what they are for, where NGINX Gateway Fabric puts them.
func TestSnippetsFilter(t *testing.T) {
	texts := snippets(t, through(t, "none", "gateway-api"))
	here := strings.NewReplacer("http://"+fullname+"."+namespace+".svc.cluster.local:80/", "http://"+newVerdicts(t)+"/")
	gate := freeAddress(t)
	startNginx(t, gate, here.Replace(fmt.Sprintf(`%s
server {
    listen %s;
    server_name app.example.com;
    %s
    location / {
        %s
        proxy_http_version 1.1;
        proxy_set_header Host "$http_host";
        proxy_set_header X-Forwarded-Proto "$scheme";
        proxy_pass http://%s;
    }
}
`, texts["http"], gate, texts["http.server"], texts["http.server.location"], newApplication(t))))
	verdictCases(t, gate)
}

// TestIngressSnippets: beside what ingress-nginx makes of the annotations, the snippets turn its 500 into a 503, and leave the
// application's own alone.
func TestIngressSnippets(t *testing.T) {
	notes := ingress(t, through(t, "everything", "ingress-nginx"), fullname+"-application").Annotations
	verdicts, gate := newVerdicts(t), freeAddress(t)
	startNginx(t, gate, fmt.Sprintf(`
server {
    listen %s;
    server_name app.example.com;
    %s
    location = /_external-auth {
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_pass http://%s;
    }
    location / {
        auth_request /_external-auth;
        %s
        proxy_pass http://%s;
    }
}
`, gate, notes[annotation+"server-snippet"], verdicts, notes[annotation+"configuration-snippet"], newApplication(t)))
	for cookie, want := range map[string]int{"session=200": 200, "session=403": 403, "session=503": 503, "": 401} {
		answer, saw := ask(t, gate, "http://app.example.com/", "Cookie: "+cookie)
		if answer.StatusCode != want || (saw != nil) != (want == 200) || (answer.Header.Get("Retry-After") != "") != (want == 503) {
			t.Errorf("%s: %d, %v; want %d", cookie, answer.StatusCode, answer.Header, want)
		}
	}
	if answer, saw := ask(t, gate, "http://app.example.com/status/500", "Cookie: session=200"); answer.StatusCode != 500 || saw == nil {
		t.Errorf("the application's own 500 comes as %d", answer.StatusCode)
	}
	for protocol, want := range map[string]int{"h2c": 400, "websocket": 200} {
		if answer, _ := ask(t, gate, "http://app.example.com/", "Cookie: session=200", "Upgrade: "+protocol); answer.StatusCode != want {
			t.Errorf("Upgrade: %s: %d, want %d", protocol, answer.StatusCode, want)
		}
	}
}

// TestSidecar starts the pod's containers in their order, with what their volumes hold: the init container renders the site, authsvc
// serves, nginx asks it.
func TestSidecar(t *testing.T) {
	values := valuesOf(t, "nginx-sidecar", nil)
	r := render(t, values)
	dir := t.TempDir()
	gate, replica, application := freeAddress(t), freeAddress(t), newApplication(t)

	args, environ := containerHere(t, r, "render", dir)
	for i, arg := range args {
		args[i] = strings.NewReplacer("--listen=8080", "--listen="+gate, "127.0.0.1:3000", application, "127.0.0.1:4180", replica).Replace(arg)
	}
	mkdir(t, filepath.Join(dir, "/etc/nginx/site"))
	mkdir(t, filepath.Join(dir, "/tmp"))
	if _, stderr, code := authsvc(t, dir, environ, args...); code != 0 || stderr != "" {
		t.Fatalf("render %q: exit code %d: %s", args, code, stderr)
	}
	if _, stderr, code := authsvc(t, dir, nil, "nginx", "lint", filepath.Join(dir, "/etc/nginx/site/site.conf")); code != 0 {
		t.Errorf("lint: %s", stderr)
	}

	file, err := program()
	if err != nil {
		t.Fatal(err)
	}
	args, environ = containerHere(t, r, "authsvc", dir)
	environ = append(environ, "AUTHSVC_LISTEN="+replica, "AUTHSVC_ADMIN_LISTEN=", "AUTHSVC_STORE_URL=memory:", "AUTHSVC_OIDC_ISSUER=http://"+freeAddress(t))
	stop := start(t, replica, environ, file, args...)

	args, _ = containerHere(t, r, "nginx", dir)
	start(t, gate, nil, nginxProgram(t), args[1:]...)

	const page = "http://app.example.com/page?a=b"
	// Behind TLS, so that is where a login comes back to.
	const login = "https://app.example.com/start?rd=https%3A%2F%2Fapp.example.com%2Fpage%3Fa%3Db"
	if answer, saw := ask(t, gate, page, "Sec-Fetch-Mode: navigate", "X-Auth-Request-User: mallory"); answer.StatusCode != 302 || answer.Header.Get("Location") != login || saw != nil {
		t.Errorf("signed out, a page: %d, %v", answer.StatusCode, answer.Header)
	}
	if answer, saw := ask(t, gate, page, "Sec-Fetch-Mode: cors"); answer.StatusCode != 401 || answer.Header.Get("X-Auth-Login-Url") != login || saw != nil {
		t.Errorf("signed out, a script: %d, %v", answer.StatusCode, answer.Header)
	}
	if answer, _ := ask(t, gate, "http://app.example.com/session"); answer.StatusCode != 401 || answer.Header.Get("Content-Type") != "application/json" {
		t.Errorf("an endpoint of authsvc: %d, %v", answer.StatusCode, answer.Header)
	}
	stop()
	if answer, saw := ask(t, gate, page, "Sec-Fetch-Mode: navigate"); answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || saw != nil {
		t.Errorf("without authsvc: %d, %v", answer.StatusCode, answer.Header)
	}
}

// TestSidecarSites: what the init container renders for each sidecar listens where the pod says, and lint has nothing to say.
func TestSidecarSites(t *testing.T) {
	for name, values := range valueFiles(t) {
		if values["gateway"] != "nginx-sidecar" {
			continue
		}
		r := render(t, values)
		pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
		dir := t.TempDir()
		args, environ := containerHere(t, r, "render", dir)
		mkdir(t, filepath.Join(dir, "/etc/nginx/site"))
		if _, stderr, code := authsvc(t, dir, environ, args...); code != 0 || stderr != "" {
			t.Errorf("%s: render: exit code %d: %s", name, code, stderr)
			continue
		}
		site := readFile(t, filepath.Join(dir, "/etc/nginx/site/site.conf"))
		port := portOf(pod.Containers, pod.Containers[0].ReadinessProbe.TCPSocket.Port)
		for _, want := range []string{fmt.Sprintf("listen %d", port), fmt.Sprintf("server 127.0.0.1:%d;", container(t, pod, "application").Ports[0].ContainerPort), "server 127.0.0.1:4180 "} {
			if !bytes.Contains(site, []byte(want)) {
				t.Errorf("%s: no %q in\n%s", name, want, site)
			}
		}
		if stdout, stderr, code := authsvc(t, dir, nil, "nginx", "lint", filepath.Join(dir, "/etc/nginx/site/site.conf")); code != 0 {
			t.Errorf("%s: lint: %s%s", name, stdout, stderr)
		}
	}
}

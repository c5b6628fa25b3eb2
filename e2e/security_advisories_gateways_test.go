package e2e

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// ofGateways are the advisories on gateways, and on libraries that peers are made of.
var ofGateways = []advisory{
	{"CVE-2019-20372", "requests hidden in others", (*lab).smuggling},
	{"CVE-2025-24514 CVE-2025-1097 CVE-2026-24512", "directives in what a configuration is rendered from", (*lab).injectedDirectives},
	{"CVE-2026-24513", "no recipe turns a 401 into a success", (*lab).refusalsStay},
	{"CVE-2024-45410 CVE-2026-29054", "Connection lists our headers", func(l *lab) {
		for _, name := range []string{"nginx", "caddy", "haproxy"} {
			f := l.gate(name)
			_, line := f.signedInLine("alice")
			f.connectionLists(line)
		}
		l.connectionDirect()
	}},
	{"CVE-2026-35051 CVE-2026-54764", "X-Forwarded-Prefix and Port mean nothing", (*lab).prefixAndPort},
	{"CVE-2026-39858 CVE-2026-33433 CVE-2026-54763 Traefik-dot-alias", "eight spellings through Caddy and HAProxy and of the asked address", func(l *lab) {
		l.gate("caddy").spelled()
		l.gate("haproxy").spelled()
		l.spelledAddress()
	}},
	{"CVE-2026-40912 CVE-2026-48020 CVE-2026-65600 CVE-2026-67309 CVE-2025-66490 CVE-2025-32431 CVE-2023-47106", "the judged path is that of the application through other gateways", func(l *lab) {
		for _, g := range gateways[1:] {
			l.Run(g.name, func(t *testing.T) { gatewayPaths(t, g) })
		}
	}},
	{"CVE-2026-26998", "verdicts are short and tell their length", (*lab).shortVerdicts},
	{"CVE-2026-41181 CVE-2026-71326", "two people in lock-step are never each other", (*lab).lockStep},
	{"CVE-2021-32777 CVE-2021-32779", "repeated headers and fragments", (*lab).repeatedHeaders},
	{"CVE-2023-27488 CVE-2024-23324", "bytes that are no UTF-8", (*lab).invalidUTF8},
	{"CVE-2023-27496 CVE-2023-35941 CVE-2022-29226", "callbacks with each parameter absent or empty or doubled", (*lab).callbackParameters},
	{"CVE-2026-33496 CVE-2026-33494 CVE-2026-33495 CVE-2021-32701 GHSA-w9mr-28mw-j8hg", "who may here is asked again there", (*lab).ownDecisions},
	{"CVE-2024-21492..21500", "100,000 tokens without a pattern", (*lab).tokens},
	{"CVE-2024-28180 CVE-2025-27144 CVE-2026-34986 CVE-2025-30204 CVE-2025-29923 CVE-2025-58186", "tokens that cost and replies of others", (*lab).costlyTokens},
}

func TestSecurityAdvisoriesGateways(t *testing.T) { runAdvisories(t) }

// smuggled are requests in which one reader sees a second one, to /hidden.
func smuggled(host string) map[string]string {
	const hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\nX-Ignore: "
	inner := hidden + "x\r\n\r\n"
	post := func(body string, header ...string) string {
		return "POST /page HTTP/1.1\r\nHost: " + host + "\r\n" + strings.Join(header, "\r\n") + "\r\n\r\n" + body
	}
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d", n) }
	const zero = "0\r\n\r\n"
	corpus := map[string]string{
		"CL.TE":                     post(zero+inner, length(len(zero+inner)), chunked),
		"TE.CL":                     post(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner), chunked, length(4)),
		"two lengths":               post("abc"+inner, length(3), length(3+len(inner))),
		"two equal lengths":         post(inner, length(len(inner)), length(len(inner))),
		"a list of lengths":         post("abc"+inner, "Content-Length: 3, "+fmt.Sprint(3+len(inner))),
		"a signed length":           post(inner, "Content-Length: +0"),
		"a negative length":         post(inner, "Content-Length: -1"),
		"a hexadecimal length":      post(inner, "Content-Length: 0x0"),
		"a length with a space":     post(inner, "Content-Length : 0"),
		"a length after obs-fold":   post(inner, "Content-Length:\r\n 0"),
		"a long chunk size":         post("00000000000000000000000000000001\r\na\r\n0\r\n\r\n"+inner, chunked),
		"a chunk size too large":    post("ffffffffffffffff1\r\n"+inner, chunked),
		"a chunk extension":         post("0;a=\"\r\n\"\r\n\r\n"+inner, chunked, length(len(inner))),
		"a chunk ended by LF":       post("0\n\n"+inner, chunked, length(5)),
		"trailers":                  post("0\r\nContent-Length: 5\r\nHost: b\r\n\r\n"+inner, chunked, length(10)),
		"GET with a body":           "GET /page HTTP/1.1\r\nHost: " + host + "\r\n" + length(len(inner)) + "\r\n\r\n" + inner,
		"HEAD with a body":          "HEAD /page HTTP/1.1\r\nHost: " + host + "\r\n" + length(len(inner)) + "\r\n\r\n" + inner,
		"HTTP/1.0 and chunks":       "POST /page HTTP/1.0\r\nHost: " + host + "\r\nConnection: keep-alive\r\n" + chunked + "\r\n\r\n0\r\n\r\n" + inner,
		"HTTP/0.9":                  "GET /hidden\r\n\r\n",
		"an upgrade":                "GET /page HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + inner,
		"HTTP/2 without TLS":        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + inner,
		"CR in the request line":    "GET /page\rGET /hidden HTTP/1.1\r\nHost: " + host + "\r\n\r\n",
		"a line in a header":        "GET /page HTTP/1.1\r\nHost: " + host + "\r\nX: a\n\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
		"Expect and a body at once": post(inner, length(len(inner)), "Expect: 100-continue"),
	}
	for i, encoding := range []string{
		"Transfer-Encoding : chunked", "Transfer-Encoding:\tchunked", "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity, chunked", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x", "Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
		"Transfer-Encoding:\x0bchunked", "Transfer-Encoding: \x00chunked", "transfer-encoding: CHUNKED", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding:\r\n chunked", " Transfer-Encoding: chunked", "X: y\r\n Transfer-Encoding: chunked", "Transfer_Encoding: chunked", "Transfer-Encoding: chunked;a=b", "Transfer-Encoding: chunk", "Transfer-Encoding\x00: chunked",
	} {
		corpus[fmt.Sprintf("TE %d %q, body of chunks", i, encoding)] = post(zero+inner, encoding, length(len(zero+inner)))
		corpus[fmt.Sprintf("TE %d %q, short length", i, encoding)] = post(fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(inner), inner), encoding, length(4))
	}
	return corpus
}

// smuggling sends the corpus, with a session and without, to nginx as it is rendered and to the service itself. What is signed in stands in the
// outer request alone, so nobody may see the hidden one.
func (l *lab) smuggling() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	exchange := func(address, text string) (answers int, statuses []int) {
		conn, err := net.Dial("tcp", address)
		check(l.T, err)
		defer conn.Close()
		check(l.T, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, text)
		check(l.T, err)
		check(l.T, conn.(*net.TCPConn).CloseWrite())
		all, _ := io.ReadAll(conn) // a reset ends it too
		reader := bufio.NewReader(strings.NewReader(string(all)))
		for {
			response, err := http.ReadResponse(reader, nil)
			if err != nil {
				return len(statuses), statuses
			}
			io.Copy(io.Discard, response.Body) // of our own text
			if response.StatusCode != http.StatusContinue {
				statuses = append(statuses, response.StatusCode)
			}
		}
	}
	corpus := smuggled(f.site)
	for what, text := range corpus {
		for who, cookie := range map[string]string{"signed out": "A: b", "alice": line} {
			first, rest, _ := strings.Cut(text, "\r\n")
			f.backend.forget()
			_, statuses := exchange(f.site, first+"\r\n"+cookie+"\r\n"+rest)
			for _, saw := range f.backend.requests() {
				if who == "signed out" || saw.URI != "/page" || strings.Contains(fmt.Sprint(saw.Header), "/hidden") {
					l.Errorf("%s, %s: the application saw %s %s of %d answers", what, who, saw.Method, saw.URI, len(statuses))
				}
			}
			for _, status := range statuses {
				if who == "signed out" && status == http.StatusOK {
					l.Errorf("%s, %s: %v", what, who, statuses)
				}
			}
		}
		// To the service: nobody passes by it, whoever is signed in outside.
		direct := strings.NewReplacer("/page", "/auth", "/hidden", "/userinfo").Replace(text)
		first, rest, _ := strings.Cut(direct, "\r\n")
		if _, statuses := exchange(f.replicas[0].address, first+"\r\n"+rest); slices.Contains(statuses, http.StatusOK) {
			l.Errorf("%s, to the service: %v", what, statuses)
		}
		if _, statuses := exchange(f.replicas[0].address, first+"\r\n"+line+"\r\n"+rest); len(statuses) > 1 && slices.Contains(statuses[1:], http.StatusOK) {
			l.Errorf("%s, to the service as alice: %v", what, statuses)
		}
	}
	l.Logf("%d requests", len(corpus))
}

// injectedDirectives: what a site is rendered from has a narrow alphabet. TestBadValues in e2e/kube holds the Helm chart to the same.
func (l *lab) injectedDirectives() {
	good := map[string]string{"--server-name": "app.example.com", "--upstream": "127.0.0.1:3000", "--replica": "127.0.0.1:4180"}
	render := func(flag, value string) result {
		args := []string{"nginx", "render"}
		for name, text := range good {
			if name != flag {
				args = append(args, name+"="+text)
			}
		}
		if flag != "" {
			args = append(args, flag+"="+value)
		}
		cmd := exec.CommandContext(l.Context(), program, args...)
		var stdout, stderr strings.Builder
		cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = environment(), &stdout, &stderr, dieWithTest()
		cmd.Run() // its code tells
		return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
	if got := render("", ""); got.code != 0 {
		l.Fatalf("%+v", got)
	}
	for _, flag := range []string{"--server-name", "--upstream", "--replica", "--listen", "--prefix", "--cookie-name", "--allowed-group", "--login-url", "--certificate"} {
		for _, odd := range []string{";", "}", "{", "\n", "\r\n", `"`, "'", "$host", "#", "\\", " ", "; return 200", "}\nserver { return 200; }", "`", "%0a", "*/ ;"} {
			plain := map[string]string{"--server-name": "app.example.com", "--upstream": "127.0.0.1:3000", "--replica": "127.0.0.1:4180", "--listen": "127.0.0.1:80", "--prefix": "/oauth2", "--cookie-name": "a", "--allowed-group": "staff", "--login-url": "https://login.example.com", "--certificate": "/a.pem"}[flag]
			got := render(flag, plain+odd)
			switch {
			case got.code == 2 && got.stdout == "" && got.stderr != "":
			case got.code == 0 && strings.TrimSpace(odd) == "" && got.stdout == render(flag, plain).stdout: // a list's entries lose the space around them
			case got.code == 0 && flag == "--allowed-group" && regexp.MustCompile(`\?allowed_groups=staff[%+][^ ]*;\n`).MatchString(got.stdout) && !strings.Contains(got.stdout, "return 200"): // a group may have any name
			default:
				l.Errorf("%s=%q: exit code %d, %d bytes: %s", flag, plain+odd, got.code, len(got.stdout), got.stderr)
			}
		}
	}
}

// refusalsStay: where a recipe of ours has another answer for a 401, that is a redirect or a 401 again, and no application is asked.
func (l *lab) refusalsStay() {
	errorPage := regexp.MustCompile(`error_page[^;]*\b40[13]\b[^;]*;`)
	found := 0
	for _, pattern := range []string{"../examples/*/*.conf", "../examples/*/*.yaml", "../examples/*/*/*.yaml", "../examples/*/README.md", "../nginx/testdata/*.conf"} {
		files, err := filepath.Glob(pattern)
		check(l.T, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			check(l.T, err)
			for _, line := range errorPage.FindAllString(string(text), -1) {
				found++
				_, name, named := strings.Cut(line, "= @")
				body := locationNamed(string(text), strings.TrimSuffix(name, ";"))
				if !named || body == "" || strings.Contains(body, "proxy_pass") || strings.Contains(body, "return 200") || !strings.Contains(body, "return ") {
					l.Errorf("%s: %s leads to %q", file, line, body)
				}
			}
		}
	}
	if found < 6 {
		l.Errorf("only %d pages for refusals", found)
	}
	f := l.anyone()
	for _, lines := range [][]string{nil, pageHeaders, {"X-Code: 401", "X-Format: text/html"}, {"X-Code: 200"}, {"X-Original-URI: /", "X-Namespace: a"}} {
		f.sure(f.site, "GET", "/page", lines, "").nobody(l.T, fmt.Sprint(lines))
	}
	for name, f := range map[string]*fleet{"nginx": l.gate("nginx"), "caddy": l.gate("caddy"), "haproxy": l.gate("haproxy")} {
		a := f.sure(f.site, "GET", "/a", nil, "")
		if a.status != http.StatusUnauthorized || len(a.seen) > 0 {
			l.Errorf("%s: %d", name, a.status)
		}
	}
}

// locationNamed returns what stands in a named location of an nginx configuration, "" if there is none. Its brace is closed as far to the left as the
// location stands, or on its line.
func locationNamed(text, name string) (body string) {
	inside := ""
	for line := range strings.Lines(text) {
		at := strings.Index(line, "location @"+name+" {")
		switch {
		case at >= 0 && strings.Contains(line, "}"):
			return line
		case at >= 0:
			inside = line[:at] + "}"
		case inside != "" && strings.HasPrefix(line, inside):
			return body
		case inside != "":
			body += line
		}
	}
	return body
}

func (l *lab) connectionDirect() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, list := range []string{"X-Original-URL", "x-original-url, x-original-method", "X-Forwarded-Host, X-Forwarded-Uri", "Cookie", "close, X-Original-Url", "X-Auth-Request-User"} {
		for target, want := range map[string]int{"/alice/x": 200, "/bob/x": 403, "/page/x": 200} {
			if a := f.ask(f.url+target, alice, "Connection: "+list); a.status != want {
				l.Errorf("Connection: %s, %s: %d, want %d", list, target, a.status, want)
			}
		}
		f.ask(f.url+"/page/x", "Connection: "+list).nobody(l.T, "Connection: "+list)
		f.sure(f.site, "GET", "/page/x", []string{"Connection: " + list}, "").nobody(l.T, "through nginx, Connection: "+list)
	}
}

func (l *lab) prefixAndPort() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, lines := range [][]string{{"X-Forwarded-Prefix: /open"}, {"X-Forwarded-Port: 8443"}, {"X-Forwarded-Port: 80"}, {"X-Forwarded-Prefix: /open", "X-Forwarded-Port: 443"}, {"X-Script-Name: /open"}, {"X-Forwarded-Path: /open"}, {"X-Forwarded-Server: public.example.com"}, {"X-Forwarded-Scheme: https"}, {"X-Scheme: https"}, {"X-Forwarded-Ssl: on"}} {
		for target, want := range map[string]int{"/alice/x": 200, "/bob/x": 403} {
			if a := f.ask(f.url+target, append(lines, alice)...); a.status != want {
				l.Errorf("%v, %s: %d, want %d", lines, target, a.status, want)
			}
			forward := []string{"X-Forwarded-Uri: " + target, "X-Forwarded-Host: " + f.site, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET", alice}
			if a := f.sure(f.replicas[0].address, "GET", "/forward", append(forward, lines...), ""); a.status != want {
				l.Errorf("/forward, %v, %s: %d, want %d", lines, target, a.status, want)
			}
		}
		f.ask(f.url+"/page/x", lines...).nobody(l.T, fmt.Sprint(lines))
		a := f.sure(f.replicas[0].address, "GET", "/start", append(lines, "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"), "")
		u, err := url.Parse(a.header.Get("Location"))
		if err != nil || a.status != http.StatusFound || u.Query().Get("redirect_uri") != f.url+"/callback" {
			l.Errorf("%v: a login goes to %v", lines, a.header)
		}
	}
}

// spelledAddress: what was asked stands in headers of exactly their names, so other spellings mean nothing, and do not hide the right one.
func (l *lab) spelledAddress() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, name := range []string{"X-Original-URL", "X-Original-URI", "X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Method", "X-Original-Method", "Cookie"} {
		value := map[string]string{"X-Original-URL": f.url + "/open/x", "X-Original-URI": "/open/x", "X-Forwarded-Uri": "/open/x", "X-Forwarded-Host": "public.example.com", "Cookie": strings.TrimPrefix(alice, "Cookie: ")}[name]
		for spelling, lines := range spellings(name, value) {
			if spelling == "mixed case" || spelling == "trailing space" || spelling == "duplicate" {
				continue // which are the header itself: a duplicate or a second opinion
			}
			if name == "Cookie" && (spelling == "-" || spelling == "_" || spelling == "." || spelling == "one _" || spelling == "obs-fold") {
				continue // its name has nothing to spell otherwise
			}
			if spelling != "-" && spelling != "obs-fold" {
				if a := f.ask(f.url+"/bob/x", append(lines, alice)...); a.status != http.StatusForbidden {
					l.Errorf("%s, %s: %d, want 403", name, spelling, a.status)
				}
			}
			f.ask(f.url+"/page/x", lines...).nobody(l.T, name+", "+spelling)
			f.sure(f.site, "GET", "/page/x", lines, "").nobody(l.T, "through nginx: "+name+", "+spelling)
		}
	}
}

func (l *lab) shortVerdicts() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, endpoint := range []string{"/auth", "/forward", "/envoy/page/x", "/envoy/bob/x", "/envoy/open/x"} {
		for who, lines := range map[string][]string{"alice": {alice}, "nobody": nil, "a forgery": {"Cookie: authsvc=x"}} {
			for kind, headers := range map[string][]string{"a page load": pageHeaders, "a script": {"Sec-Fetch-Mode: cors"}} {
				for _, target := range []string{"/page/x", "/bob/x", "/open/x"} {
					asked := about(f.url + target)
					if endpoint == "/forward" {
						asked = []string{"X-Forwarded-Uri: " + target, "X-Forwarded-Host: " + f.site, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET"}
					}
					a := f.sure(f.replicas[0].address, "GET", endpoint, slices.Concat(asked, lines, headers), "")
					// A person who is refused at /forward or /envoy/ gets a page, whose size is bounded, too.
					most := 0
					if endpoint != "/auth" && kind == "a page load" && a.status != http.StatusOK {
						most = 16 << 10
					}
					if len(a.body) > most || a.header.Get("Content-Length") != fmt.Sprint(len(a.body)) || a.header.Get("Transfer-Encoding") != "" {
						l.Errorf("%s, %s, %s, %s: %d with %d bytes, Content-Length %q", endpoint, who, kind, target, a.status, len(a.body), a.header.Get("Content-Length"))
					}
				}
			}
		}
	}
}

// lockStep asks for two people in turn and at once. TestLockStep in authsvc asks a million times: go test ./authsvc -run LockStep -verdicts 1000000.
func (l *lab) lockStep() {
	f := l.anyone()
	var cookies []string
	people := []string{"alice", "bob"}
	for _, name := range people {
		_, line := f.signedInLine(name)
		cookies = append(cookies, strings.TrimPrefix(line, "Cookie: "))
	}
	const verdicts, workers = 10_000, 8
	var asking sync.WaitGroup
	errs := make([]error, workers)
	var told [2]atomic.Int64 // how often each was told who they are
	for worker := range workers {
		asking.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: patience}
			defer client.CloseIdleConnections()
			for i := 0; i < verdicts/workers && errs[worker] == nil; i++ {
				who := (i + worker) % 2
				request, err := http.NewRequest(http.MethodGet, "http://"+f.replicas[(i/2+worker)%2].address+"/auth", nil)
				if err != nil {
					errs[worker] = err
					return
				}
				request.Header.Set("Cookie", cookies[who])
				answer, err := exchange(client, request)
				switch {
				case err != nil:
					errs[worker] = err
				case answer.status == http.StatusServiceUnavailable: // the store is late on a busy machine: nobody is told to be anybody
				case answer.status != http.StatusOK || answer.header.Get("X-Auth-Request-User") != people[who] || answer.header.Get("X-Auth-Request-Email") != people[who]+"@example.com":
					errs[worker] = fmt.Errorf("%s is told %d %v", people[who], answer.status, answer.header)
				default:
					told[who].Add(1)
				}
			}
		})
	}
	asking.Wait()
	check(l.T, join(errs))
	if told[0].Load() == 0 || told[1].Load() == 0 {
		l.Errorf("alice has passed %d times, bob %d", told[0].Load(), told[1].Load())
	}
}

func (l *lab) repeatedHeaders() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	_, bob := f.signedInLine("bob")
	at := f.replicas[0].address
	for _, lines := range [][]string{{alice, bob}, {bob, alice}, {alice + "; " + strings.TrimPrefix(bob, "Cookie: ")}, {bob + "; " + strings.TrimPrefix(alice, "Cookie: ")}, {"Cookie: a=b", alice, bob}} {
		if a := f.ask(f.url+"/page/x", lines...); a.status != http.StatusUnauthorized {
			l.Errorf("two people at once: %d", a.status)
		}
		f.sure(f.site, "GET", "/page/x", lines, "").nobody(l.T, "two people through nginx")
	}
	for _, lines := range [][]string{{alice, alice}, {"Cookie: authsvc=junk", alice}, {alice, "Cookie: authsvc=junk"}, {"Cookie: a=b", alice, "Cookie: c=d"}} {
		if a := f.ask(f.url+"/page/x", lines...); a.status != http.StatusOK || a.header.Get("X-Auth-Request-User") != "alice" {
			l.Errorf("alice and nobody else, %d lines: %d", len(lines), a.status)
		}
	}
	// An address that is told twice is not known, in either order.
	for _, pair := range [][2]string{{"/open/x", "/page/x"}, {"/page/x", "/open/x"}, {"/open/x", "/open/x"}} {
		lines := append(about(f.url+pair[0]), "X-Original-URL: "+f.url+pair[1])
		f.sure(at, "GET", "/auth", lines, "").nobody(l.T, fmt.Sprint(lines))
		if a := f.sure(at, "GET", "/auth", append(lines, alice), ""); a.status != http.StatusForbidden {
			l.Errorf("%v: %d, want 403", lines, a.status)
		}
		forward := []string{"X-Forwarded-Uri: " + pair[0], "X-Forwarded-Uri: " + pair[1], "X-Forwarded-Host: " + f.site, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET"}
		f.sure(at, "GET", "/forward", forward, "").nobody(l.T, fmt.Sprint(forward))
	}
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Method"} {
		lines := []string{"X-Forwarded-Uri: /open/x", "X-Forwarded-Host: " + f.site, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET", name + ": https", name + ": GET"}
		f.sure(at, "GET", "/forward", lines, "").nobody(l.T, "repeated "+name)
	}
	a := f.sure(at, "GET", "/auth", append(about(f.url+"/open/x"), "Host: public.example.com"), "")
	if a.status != http.StatusBadRequest {
		l.Errorf("two Host headers: %d", a.status)
	}
	for _, target := range []string{"/page/x#/open/x", "/open/x#/../page/x", "/open#/x", "/page/x#", "/page/x%23/open/x"} {
		f.ask(f.url+target).nobody(l.T, target)
		f.sure(at, "GET", "/envoy"+target, nil, "").nobody(l.T, "/envoy"+target)
		f.sure(f.site, "GET", target, nil, "").nobody(l.T, "through nginx: "+target)
	}
}

func (l *lab) invalidUTF8() {
	f := l.rules()
	for _, odd := range []string{"\xff", "\xfe\xff", "\xc0\xaf", "\xc0\xae\xc0\xae/", "\xed\xa0\x80", "\xf8\x88\x80\x80\x80", "\x80", "\xe2\x28\xa1"} {
		for _, target := range []string{"/open/" + odd, "/open/" + odd + "/../page", "/page/" + odd, odd + "/open/x"} {
			f.sure(f.replicas[0].address, "GET", "/envoy"+target, nil, "").nobody(l.T, fmt.Sprintf("/envoy%q", target))
			f.ask(f.url+target).nobody(l.T, fmt.Sprintf("%q", target))
			f.sure(f.site, "GET", target, nil, "").nobody(l.T, fmt.Sprintf("%q through nginx", target))
		}
		for _, name := range []string{"X-Forwarded-Proto", "X-Forwarded-Host", "Cookie", "Authorization", "X-Request-Id", "Accept", "User-Agent"} {
			f.sure(f.replicas[0].address, "GET", "/envoy/page/x", []string{name + ": a" + odd}, "").nobody(l.T, fmt.Sprintf("%s: %q", name, odd))
		}
	}
}

func (l *lab) callbackParameters() {
	f := l.anyone()
	v := f.visitor("alice")
	callback, err := v.toCallback("/page")
	check(l.T, err)
	good, records, before := queryOf(l.T, callback), f.records(), f.tokenRequests()
	parameters := []string{"state", "code", "iss"}
	for _, name := range parameters {
		if good.Get(name) == "" {
			l.Fatalf("a callback without %s: %v", name, good)
		}
		for what, values := range map[string][]string{"absent": nil, "empty": {""}, "doubled": {good.Get(name), good.Get(name)}, "doubled with nothing": {good.Get(name), ""}, "doubled the other way": {"", good.Get(name)}, "long": {strings.Repeat("a", 20_000)}} {
			query := url.Values{}
			for other, value := range good {
				query[other] = value
			}
			if query[name] = values; values == nil {
				delete(query, name)
			}
			if name == "code" && what == "long" {
				continue // which the provider has to judge
			}
			answer, err := v.send(http.MethodGet, "/callback?"+query.Encode(), nil)
			check(l.T, err)
			if answer.status < 400 || v.cookie(sessionCookie) != "" {
				l.Errorf("%s %s: %s", name, what, answer)
			}
		}
	}
	for _, query := range []string{"", "?", "?state", "?code=x", "?error", "?error=", "?error=access_denied", "?%zz", "?state=%00", "?=", "?&&&", "?state=a;code=b"} {
		f.refusedLogin(v, query, f.callback(f.url+"/callback"+query), before)
	}
	if n := f.tokenRequests() - before; n != 0 || f.records() != records {
		l.Errorf("%d codes were spent, %d records, before %d", n, f.records(), records)
	}
	answer, err := v.open(callback)
	if err == nil {
		_, err = v.arrived(answer, "/page")
	}
	check(l.T, err)
}

// ownDecisions: a verdict on one address or for one restriction is none on another, whatever is kept in memory.
func (l *lab) ownDecisions() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for i := range 40 {
		for target, want := range map[string]int{"/alice/x": 200, "/bob/x": 403, "/nowhere": 403, "/alice/../bob/x": 403, "/alice%2f..%2fbob/x": 403, "/page/x": 200} {
			if a := f.sure(f.replicas[i%2].address, "GET", "/auth", append(about(f.url+target), alice), ""); a.status != want {
				l.Errorf("%s: %d, want %d", target, a.status, want)
			}
		}
		for query, want := range map[string]int{"?allowed_groups=staff": 200, "?allowed_groups=team-bob": 403, "?rule=for-alice": 200, "?rule=for-bob": 403, "?allowed_emails=bob@example.com": 403} {
			if a := f.sure(f.replicas[i%2].address, "GET", "/auth"+query, append(about(f.url+"/page/x"), alice), ""); a.status != want {
				l.Errorf("%s: %d, want %d", query, a.status, want)
			}
		}
	}
	for _, proto := range []string{"https", "ftp", "http, https", "HTTP"} { // told against X-Original-URL, or not at all
		a := f.ask(f.url+"/bob/x", alice, "X-Forwarded-Proto: "+proto)
		a.nobody(l.T, "X-Forwarded-Proto: "+proto)
	}
}

func (l *lab) tokens() {
	f := l.anyone()
	ring := keyring(l.T, f.settings["cookie.secret"])
	const count = 100_000
	starts := make(map[string]bool, count)
	var bits [256]int
	for range count {
		secret := randomPart(l.T, ring.NewToken(session.PurposeSession, "main").Reveal())
		starts[string(secret[:8])] = true
		for i := range bits {
			bits[i] += int(secret[i/8] >> (i % 8) & 1)
		}
	}
	if len(starts) != count {
		l.Errorf("%d tokens begin as another does", count-len(starts))
	}
	for i, n := range bits {
		if n < count/2-2000 || n > count/2+2000 { // twelve standard deviations
			l.Errorf("bit %d is set in %d of %d", i, n, count)
		}
	}
	// Those that the service itself makes share no more than what they begin with.
	var ours []string
	for range 50 {
		answer, err := f.visitor("alice").at(f.replicas[0], http.MethodGet, "/start")
		check(l.T, err)
		for _, c := range answer.cookies() {
			ours = append(ours, c.Value)
		}
	}
	if len(ours) != 50 {
		l.Fatalf("%d login cookies", len(ours))
	}
	first := randomPart(l.T, ours[0])
	var changes [256]bool
	for _, other := range ours[1:] {
		secret := randomPart(l.T, other)
		for i := range changes {
			changes[i] = changes[i] || (secret[i/8]^first[i/8])>>(i%8)&1 == 1
		}
	}
	if i := slices.Index(changes[:], false); i >= 0 {
		l.Errorf("bit %d is the same in all login cookies", i)
	}
}

// randomPart is what of a token nobody can know: its 32 bytes behind the format and the key's name.
func randomPart(t *testing.T, token string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(token)
	check(t, err)
	if len(raw) != 1+4+32+16 {
		t.Fatalf("a token of %d bytes", len(raw))
	}
	return raw[1+4 : 1+4+32]
}

// costlyTokens: what is refused is refused cheaply, and a value of the store that belongs to another key is nobody's.
func (l *lab) costlyTokens() {
	f := l.anyone()
	defer f.provider.BeHonest()
	dotted := strings.Repeat("a.", 1<<19)
	for what, token := range map[string]string{"a megabyte of dots": dotted, "many dots": strings.Repeat(".", 100_000), "five parts of a megabyte": strings.Repeat(strings.Repeat("a", 200_000)+".", 4) + "a", "a bomb": "eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIiwiemlwIjoiREVGIn0..AAAA." + strings.Repeat("A", 200_000) + ".AAAA"} {
		f.provider.ReplaceIDToken(idptest.Text(token))
		begun := time.Now()
		f.failedLogin(what)
		if took := time.Since(begun); took > 5*time.Second {
			l.Errorf("%s: the login took %v", what, took)
		}
		for _, lines := range [][]string{{"Authorization: Bearer " + token}, {"Cookie: authsvc=" + token}} {
			if status := f.post(f.replicas[0].address, "GET", "/auth", lines, ""); status != http.StatusUnauthorized && status != http.StatusRequestHeaderFieldsTooLarge {
				l.Errorf("%s: %d", what, status)
			}
		}
		if status := f.post(f.replicas[0].address, "POST", "/backchannel-logout", []string{"Content-Type: application/x-www-form-urlencoded"}, "logout_token="+token); status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge {
			l.Errorf("%s as logout token: %d", what, status)
		}
	}
	f.provider.BeHonest()

	// A reply of another's: the store gives bob's record for alice's key.
	f.redis.Flush()
	ctx, redis := context.Background(), f.redis.Client()
	alice, _ := f.signedInLine("alice")
	first := idIn(l.T, f.keys())
	bob, _ := f.signedInLine("bob")
	for _, key := range f.keys() {
		id, found := strings.CutPrefix(strings.TrimSuffix(key, "}"), "authsvc:session:{")
		if !found || id == first {
			continue
		}
		value, err := redis.Get(ctx, key).Bytes()
		check(l.T, err)
		check(l.T, redis.SetXX(ctx, "authsvc:session:{"+first+"}", value, time.Minute).Err())
	}
	for _, r := range f.replicas {
		storetest.WaitFor(l.T, "a replica to read what is stored", func() error {
			answer, err := r.authCookie(alice.cookie(sessionCookie))
			user := answer.header.Get("X-Auth-Request-User")
			if err == nil && user == "alice" {
				return errors.New("alice passes by what the replica remembers")
			}
			if err == nil && (answer.status == http.StatusOK || user != "") {
				l.Errorf("with bob's record alice's cookie gets %d, user %q", answer.status, user)
			}
			return err
		})
	}
	f.knows("bob", bob.cookie(sessionCookie))
}

package pages

import (
	"bytes"
	"flag"
	"html/template"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

var update = flag.Bool("update", false, "write the golden file anew")

// get lets Write answer a request with the given method and Accept-Language.
func get(t *testing.T, method, acceptLanguage string, status int, p Page) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "/callback", nil)
	if acceptLanguage != "" {
		r.Header.Set("Accept-Language", acceptLanguage)
	}
	w := httptest.NewRecorder()
	if err := Write(w, r, status, p); err != nil {
		t.Fatalf("Write(%s): %v", p.Kind, err)
	}
	return w.Result()
}

func read(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// elements collects the elements of a document by name, in order.
func elements(t *testing.T, source string) map[string][]*html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(source))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]*html.Node{}
	for n := range doc.Descendants() {
		if n.Type == html.ElementNode {
			out[n.Data] = append(out[n.Data], n)
		}
	}
	return out
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// wellFormed fails unless every element that is opened is closed in its turn: html.Parse mends silently what a
// person wrote wrong, the tokenizer does not.
func wellFormed(t *testing.T, source string) {
	t.Helper()
	var open []string
	for z := html.NewTokenizer(strings.NewReader(source)); ; {
		switch z.Next() {
		case html.ErrorToken:
			if z.Err() != io.EOF || len(open) != 0 {
				t.Errorf("ends with %v, still open: %v", z.Err(), open)
			}
			return
		case html.StartTagToken:
			if name := z.Token().Data; name != "meta" && name != "input" {
				open = append(open, name)
			}
		case html.EndTagToken:
			name := z.Token().Data
			if len(open) == 0 || open[len(open)-1] != name {
				t.Fatalf("</%s> closes %v", name, open)
			}
			open = open[:len(open)-1]
		}
	}
}

func TestEveryPageInEveryLanguage(t *testing.T) {
	for _, kind := range slices.Sorted(maps.Keys(appearances)) {
		for _, c := range catalogues() {
			t.Run(string(kind)+"/"+c.lang, func(t *testing.T) {
				p := Page{Kind: kind, RequestID: "req-1", Action: "/go?a=1&b=%2Fx", SignOut: "/logout", Cookie: "__Host-authsvc_login"}
				source := read(t, get(t, "GET", c.lang, 200, p))
				wellFormed(t, source)
				e := elements(t, source)

				if lang, dir := attribute(e["html"][0], "lang"), attribute(e["html"][0], "dir"); lang != c.lang || dir != c.texts["dir"] {
					t.Errorf("lang=%q dir=%q; want %q, %q", lang, dir, c.lang, c.texts["dir"])
				}
				if len(e["h1"]) != 1 || text(e["h1"][0]) != c.texts[string(kind)+".title"] || text(e["title"][0]) != text(e["h1"][0]) {
					t.Errorf("want one h1, %q, equal to the title", c.texts[string(kind)+".title"])
				}
				if len(e["main"]) != 1 {
					t.Errorf("%d main elements; want 1", len(e["main"]))
				}
				for name, nodes := range e {
					for _, n := range nodes {
						if (name == "p" || name == "li" || name == "button" || name == "a") && text(n) == "" {
							t.Errorf("an empty %s", name)
						}
					}
				}
				if got := text(e["footer"][0]); got != c.texts["request_id"]+" req-1" {
					t.Errorf("footer %q", got)
				}
				if kind != ChooseProvider { // see TestChoicesInEveryLanguage
					checkActions(t, kind, c, e)
				}
			})
		}
	}
}

// checkActions holds a page to one main action, which comes first, and to its label, method and address.
func checkActions(t *testing.T, kind Kind, c *catalogue, e map[string][]*html.Node) {
	t.Helper()
	var focusable []*html.Node
	for n := range e["html"][0].Descendants() {
		if n.Type == html.ElementNode && (n.Data == "a" || n.Data == "button" || n.Data == "input" && attribute(n, "type") != "hidden") {
			focusable = append(focusable, n)
		}
	}
	if len(focusable) == 0 {
		t.Fatal("no action")
	}
	first := focusable[0]
	if attribute(first, "class") != "main" || text(first) != c.texts[string(kind)+".button"] {
		t.Errorf("the first action is %q of class %q; want %q, main", text(first), attribute(first, "class"), c.texts[string(kind)+".button"])
	}
	address, method := attribute(first, "href"), "get"
	if first.Data == "button" {
		address, method = attribute(first.Parent, "action"), attribute(first.Parent, "method")
	}
	wantMethod := "get"
	if kind == SignOut || kind == LogoutUnavailable || kind == Sessions {
		wantMethod = "post"
	}
	if address != "/go?a=1&b=%2Fx" || method != wantMethod {
		t.Errorf("action %s %q; want %s", method, address, wantMethod)
	}
	switch {
	case kind == NotAllowed && len(focusable) == 2:
		if form := focusable[1].Parent; attribute(form, "action") != "/logout" || attribute(form, "method") != "post" || attribute(focusable[1], "class") != "second" {
			t.Error("the second button does not post to SignOut")
		}
	case kind == NotAllowed || len(focusable) != 1:
		t.Errorf("%d actions", len(focusable))
	}
}

func TestNoPageRefersToAnythingOutside(t *testing.T) {
	for kind := range appearances {
		source := read(t, get(t, "GET", "en", 200, Page{Kind: kind, Action: "/go", SignOut: "/logout", Cookie: "c"}))
		for name, nodes := range elements(t, source) {
			if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "base", "use", "image"}, name) {
				t.Errorf("%s: a %s element", kind, name)
			}
			for _, n := range nodes {
				for _, a := range n.Attr {
					switch {
					case a.Key == "href" || a.Key == "action":
						if !strings.HasPrefix(a.Val, "/") {
							t.Errorf("%s: %s=%q", kind, a.Key, a.Val)
						}
					case a.Key == "src", a.Key == "style", a.Key == "srcset", strings.HasPrefix(a.Key, "on"), strings.HasPrefix(a.Key, "xlink"):
						t.Errorf("%s: attribute %s", kind, a.Key)
					}
				}
			}
		}
	}
	for _, word := range []string{"url(", "@import", "//", "expression", "</"} {
		if strings.Contains(style, word) {
			t.Errorf("style.css holds %q", word)
		}
	}
}

func TestWhatStrangersSendIsOnlyText(t *testing.T) {
	attacks := []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onfocus=alert(1) autofocus='`, `javascript:alert(1)`,
		`</code></style><svg onload=alert(1)>`, `/"><script>alert(1)</script>`, `/x" onclick="alert(1)`, "data:text/html,<script>alert(1)</script>",
		"{{.Style}}", "\x00<b>", "\xff\xfe<script>", `/'><base href=//evil.example>`, `https://evil.example/"><script>`,
	}
	for _, attack := range attacks {
		for kind := range appearances {
			plain := Page{Kind: kind, RequestID: "id", Action: "/go", SignOut: "/logout", Cookie: "c"}
			hostile := map[string]Page{
				"RequestID":   {Kind: kind, RequestID: attack, Action: "/go", SignOut: "/logout", Cookie: "c"},
				"Action":      {Kind: kind, RequestID: "id", Action: attack, SignOut: "/logout", Cookie: "c"},
				"SignOut":     {Kind: kind, RequestID: "id", Action: "/go", SignOut: attack, Cookie: "c"},
				"Cookie":      {Kind: kind, RequestID: "id", Action: "/go", SignOut: "/logout", Cookie: attack},
				"FormTargets": {Kind: kind, RequestID: "id", Action: "/go", SignOut: "/logout", Cookie: "c", FormTargets: []string{attack}},
			}
			want := elements(t, read(t, get(t, "GET", "", 400, plain)))
			for field, p := range hostile {
				resp := get(t, "GET", "", 400, p)
				source := read(t, resp)
				wellFormed(t, source)
				got := elements(t, source)
				for name, nodes := range got {
					if len(nodes) > len(want[name]) {
						t.Errorf("%s, %s=%q: %d %s elements, without the attack %d", kind, field, attack, len(nodes), name, len(want[name]))
					}
					for _, n := range nodes {
						for _, a := range n.Attr {
							if strings.HasPrefix(a.Key, "on") || a.Key == "autofocus" || strings.HasPrefix(a.Val, "javascript:") {
								t.Errorf("%s, %s=%q: attribute %s=%q", kind, field, attack, a.Key, a.Val)
							}
						}
					}
				}
				if csp := resp.Header.Get("Content-Security-Policy"); strings.Count(csp, ";") != 4 || strings.Contains(csp, "script") {
					t.Errorf("%s, %s=%q: policy %q", kind, field, attack, csp)
				}
			}
		}
	}
}

func TestAnUnknownKindIsInternal(t *testing.T) {
	want := read(t, get(t, "GET", "en", 500, Page{Kind: Internal, RequestID: "r"}))
	for _, kind := range []Kind{"", "<b>", "sign_out.title"} {
		if got := read(t, get(t, "GET", "en", 500, Page{Kind: kind, RequestID: "r"})); got != want {
			t.Errorf("kind %q is not the page of Internal", kind)
		}
	}
}

func TestStartAgainNamesTheCookieOnlyWhereOneIsMissing(t *testing.T) {
	with := elements(t, read(t, get(t, "GET", "en", 400, Page{Kind: StartAgain, Cookie: "__Host-authsvc_login"})))
	if len(with["li"]) != 3 || len(with["code"]) != 1 || text(with["code"][0]) != "__Host-authsvc_login" {
		t.Errorf("with a cookie: %d reasons, %d names", len(with["li"]), len(with["code"]))
	}
	without := elements(t, read(t, get(t, "GET", "en", 400, Page{Kind: StartAgain})))
	if len(without["li"]) != 0 || text(without["p"][0]) != catalogues()[0].texts["start_again.what"] {
		t.Errorf("without a cookie: %q", text(without["p"][0]))
	}
	other := read(t, get(t, "GET", "en", 400, Page{Kind: BadRequest, Cookie: "__Host-authsvc_login"}))
	if strings.Contains(other, "__Host") {
		t.Error("another kind shows the cookie")
	}
}

func TestLongFieldsAreCut(t *testing.T) {
	long := strings.Repeat("ä<", 1<<20)
	targets := make([]string, 1000)
	for i := range targets {
		targets[i] = "https://" + strconv.Itoa(i) + ".example"
	}
	for kind := range appearances {
		resp := get(t, "GET", "en", 400, Page{
			Kind: kind, RequestID: long, Cookie: long, FormTargets: targets,
			Action: "/" + strings.Repeat(`"`, maxAddress-1), SignOut: "/" + strings.Repeat(`"`, maxAddress-1),
		})
		if body := read(t, resp); len(body) > 64<<10 || !strings.Contains(body, "</html>") {
			t.Errorf("%s: %d bytes", kind, len(body))
		}
		if n := len(resp.Header.Get("Content-Security-Policy")); n > 1024 {
			t.Errorf("%s: a policy of %d bytes", kind, n)
		}
	}
	if got := shown(strings.Repeat("a", 127) + "ä"); got != strings.Repeat("a", 127) {
		t.Errorf("cut inside a character: %q", got)
	}
}

func TestATemplateErrorSendsNoHalfPage(t *testing.T) {
	broken := template.Must(template.New("broken").Parse(`<h1>{{.Title}}</h1>{{.NoSuchField}}`))
	w := httptest.NewRecorder()
	err := write(w, httptest.NewRequest("GET", "/", nil), 503, Page{Kind: StoreUnavailable, RequestID: "req-<1>"}, broken)
	if err == nil || !strings.Contains(err.Error(), "NoSuchField") {
		t.Errorf("error %v", err)
	}
	resp := w.Result()
	body := read(t, resp)
	if resp.StatusCode != 503 || body != "503 Service Unavailable\nreq-<1>\n" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	for name, want := range map[string]string{"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Retry-After": "5"} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q; want %q", name, got, want)
		}
	}
}

func TestHeadHasTheHeadersOfGetAndNoBody(t *testing.T) {
	p := Page{Kind: SignOut, Action: "/logout", RequestID: "r"}
	got, head := get(t, "GET", "de", 200, p), get(t, "HEAD", "de", 200, p)
	body := read(t, got)
	if read(t, head) != "" {
		t.Error("HEAD has a body")
	}
	if !maps.EqualFunc(got.Header, head.Header, slices.Equal) {
		t.Errorf("GET %v\nHEAD %v", got.Header, head.Header)
	}
	if n := got.Header.Get("Content-Length"); n != strconv.Itoa(len(body)) {
		t.Errorf("Content-Length %s of %d bytes", n, len(body))
	}
}

func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		status int
		after  time.Duration
		want   string
	}{
		{503, 0, "5"}, {503, -time.Second, "5"}, {503, time.Millisecond, "1"}, {503, 1500 * time.Millisecond, "2"}, {503, 30 * time.Second, "30"},
		{200, 30 * time.Second, ""}, {400, 0, ""}, {502, time.Second, ""},
	} {
		resp := get(t, "GET", "", test.status, Page{Kind: StoreUnavailable, RetryAfter: test.after})
		if got := resp.Header.Get("Retry-After"); got != test.want || resp.StatusCode != test.status {
			t.Errorf("status %d, %v: %d, Retry-After %q; want %q", test.status, test.after, resp.StatusCode, got, test.want)
		}
	}
}

func TestHeadersOfOthersStay(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Cookie")
	w.Header().Set("Allow", "GET, POST")
	w.Header().Set("Cache-Control", "public")
	if err := Write(w, httptest.NewRequest("GET", "/", nil), 405, Page{Kind: MethodNotAllowed}); err != nil {
		t.Fatal(err)
	}
	h := w.Result().Header
	if got := h.Values("Vary"); !slices.Equal(got, []string{"Cookie", "Accept-Language"}) || h.Get("Allow") != "GET, POST" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%v", h)
	}
}

func TestGolden(t *testing.T) {
	got := read(t, get(t, "GET", "en", 400, Page{
		Kind: StartAgain, RequestID: "01J8ZK3V9Q", Action: "/oauth2/start?rd=%2Freports%3Fa%3D1%26b%3D2", Cookie: "__Host-authsvc_login",
	}))
	const file = "testdata/start_again.en.html"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, []byte(got)) {
		t.Errorf("differs from %s; look at the page and run with -update if it is right\n%s", file, got)
	}
}

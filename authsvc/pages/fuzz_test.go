package pages

import (
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
	"golang.org/x/net/html"
)

// FuzzPage writes a page with whatever strangers can put into it: it stays the page of its kind, its button leads where a browser and we agree that it
// leads, its policy is one, and it is in one of our languages.
func FuzzPage(f *testing.F) {
	for _, seed := range []string{"/a", "//a", `/\a`, "https://a.example/", "https:a", "/\t/a", "javascript:x", "https://a@b/", "https://a;b", "http://[::1]", "https://a:80", "x", "/./%2e//a"} {
		f.Add(seed, "id", "de")
	}
	f.Add("/", "<script>alert(1)</script>", "de-CH;q=0.5, *;q=0.1")
	f.Add("/\"><script>", "\"'><img src=x onerror=y>", "x-y-z")
	f.Add("/a", "\x00\xff</code>", "zh-Hant-TW-u-co-pinyin;q=")
	source := regexp.MustCompile(`^https?://[a-z0-9.-]+(:[0-9]{1,5})?$`)
	f.Fuzz(func(t *testing.T, address, text, languages string) {
		r := httptest.NewRequest("GET", "/callback", nil)
		r.Header["Accept-Language"] = []string{languages}
		w := httptest.NewRecorder()
		targets := []string{address}
		if err := Write(w, r, 400, Page{Kind: NotAllowed, Action: address, SignOut: "/logout", RequestID: text, FormTargets: targets}); err != nil {
			t.Fatal(err)
		}
		for _, o := range origins(targets) {
			if !source.MatchString(o) {
				t.Fatalf("%q gives the source %q", address, o)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); strings.Count(policy, ";") != 4 || strings.ContainsAny(policy, "\r\n,") {
			t.Fatalf("%q gives the policy %q", address, policy)
		}
		if !slices.ContainsFunc(catalogues(), func(c *catalogue) bool { return c.lang == w.Header().Get("Content-Language") }) {
			t.Fatalf("%q gives the language %q", languages, w.Header().Get("Content-Language"))
		}
		document, err := html.Parse(strings.NewReader(w.Body.String()))
		if err != nil {
			t.Fatal(err)
		}
		told := ""
		for n := range document.Descendants() {
			if n.Type == html.ElementNode && !slices.Contains([]string{
				"html", "head", "meta", "title", "style", "body", "main", "svg", "path", "circle", "rect", "h1", "p", "a", "form", "button", "footer", "code", "bdi",
			}, n.Data) {
				t.Fatalf("%q and %q make a <%s>", address, text, n.Data)
			}
			if n.Type == html.TextNode && n.Parent.Data == "bdi" {
				told = n.Data
			}
			for _, attribute := range n.Attr {
				if strings.HasPrefix(attribute.Key, "on") {
					t.Fatalf("%q and %q make an attribute %s", address, text, attribute.Key)
				}
				if n.Data == "a" && attribute.Key == "href" {
					leadsWhereItSays(t, address, attribute.Val)
				}
			}
		}
		// An HTML parser drops NUL, and reads CR as LF.
		plain := strings.NewReplacer("\x00", "", "\r\n", "\n", "\r", "\n", "\ufffd", "")
		if plain.Replace(told) != plain.Replace(shown(text)) {
			t.Fatalf("%q is told as %q", text, told)
		}
	})
}

// leadsWhereItSays follows a button as a browser on our page does.
func leadsWhereItSays(t *testing.T, address, href string) {
	t.Helper()
	if !safeAddress(address) {
		t.Fatalf("%q has become a button", address)
	}
	to, err := whatwg.ParseRef("https://own.example/callback", href)
	if err != nil {
		return // then it leads nowhere
	}
	ours := to.Scheme() == "https" && to.Host() == "own.example"
	if strings.HasPrefix(address, "/") && !ours {
		t.Fatalf("%q leads to %s", address, to)
	}
	if scheme := to.Scheme(); scheme != "http" && scheme != "https" || to.Username() != "" || to.Password() != "" {
		t.Fatalf("%q leads to %s", address, to)
	}
}

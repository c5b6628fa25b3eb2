package lint

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"authsvc/nginx/nginxtest"
)

// The location that we find for a path is the one that nginx answers from.
func TestLocateAsNginx(t *testing.T) {
	locations := []string{
		"= /exact", "/", "/a", "/a/b/", "^~ /plain/", "/mixed/", `~ \.php$`, `~* \.(?:gif|PNG)$`, "~ ^/mixed/inner/(?<rest>.*)$", "=/tight", "^~/tighter/",
	}
	var text strings.Builder
	for i, l := range locations {
		inner := ""
		if l == "/a/b/" {
			inner = `location = /a/b/exact { return 200 "exact within"; } location /a/b/c/ { return 200 "prefix within"; location ~ \.txt$ { return 200 "expression within two"; } } location ~ \.gif$ { return 200 "expression within"; }`
		}
		if l == `~ \.php$` {
			inner = `location ~ ^/admin/ { return 200 "expression within an expression"; }`
		}
		fmt.Fprintf(&text, "location %s { %s return 200 %q; }\n", l, inner, fmt.Sprint(i))
	}
	address := nginxtest.FreeAddress(t)
	config := fmt.Sprintf("server {\nlisten %s;\ndefault_type text/plain;\n%s}\n", address, text.String())
	nginxtest.Start(t, config)

	r := &reader{source: memory(map[string]string{"/a": config})}
	trees, err := r.read([]string{"/a"})
	if err != nil {
		t.Fatal(err)
	}
	s := newServers(trees[0], Options{})[0]
	for _, path := range []string{
		"/", "/other", "/exact", "/exact/", "/exactly", "/a", "/ab", "/a/b", "/a/b/", "/a/b/x", "/a/b/exact", "/a/b/exactly", "/a/b/c/", "/a/b/c/x",
		"/a/b/c/x.txt", "/a/b/x.txt", "/a/b/x.gif", "/a/b/c/x.gif", "/a/b/x.png", "/a/b/x.php", "/x.php", "/x.PHP", "/admin/x.php", "/x.gif", "/x.GIF", "/x.png",
		"/plain/x.php", "/plain/", "/plain", "/mixed/x", "/mixed/inner/x", "/mixed/inner/x.php", "/mixed/x.php", "/tight", "/tighter/x.php",
	} {
		response, err := http.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		want, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		got := "none"
		if l := s.locate(path); l != nil {
			got = l.own("return")[0].arg(1)
		}
		if got != string(want) {
			t.Errorf("%s is in %q, nginx takes %q", path, got, want)
		}
	}
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"authsvc/nginx/nginxtest"
)

// origin is where a browser says that an address leads; nil for nowhere.
type origin struct{ Protocol, Hostname, Port string }

// mayLead reports whether an origin is the gate, or among the hosts of a list. It is written from the documentation of redirect.allowed_hosts
// and shares nothing with what the program does.
func (o *origin) mayLead(hosts string) bool {
	if o == nil {
		return true // no address: the browser stays
	}
	if o.Protocol != "http:" && o.Protocol != "https:" {
		return false
	}
	if o.Hostname == gate && o.Port == "" {
		return true
	}
	for entry := range strings.SplitSeq(hosts, ",") {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), "*")
		host, port := entry, ""
		if at := strings.LastIndex(entry, ":"); at > strings.LastIndex(entry, "]") {
			host, port = entry[:at], entry[at+1:]
		}
		own := map[string]string{"http:": "80", "https:": "443"}[o.Protocol]
		if port != "*" && port != o.Port && !(o.Port == "" && port == own) {
			continue
		}
		apex, below := strings.CutPrefix(host, ".")
		if o.Hostname == apex || below && strings.HasSuffix(o.Hostname, host) {
			return true
		}
	}
	return false
}

// parsed has the browser parse each address on a page of the gate, by http and by https.
func (b *tab) parsed(addresses []string) (origins [][2]*origin, err error) {
	list, err := json.Marshal(addresses)
	if err != nil {
		return nil, err
	}
	return chromedp.Run(b.ctx, chromedp.Evaluate[[][2]*origin](fmt.Sprintf(`%s.map(address => ["http", "https"].map(scheme => {
		try {
			const {protocol, hostname, port} = new URL(address, scheme + "://%s/oauth2/callback?code=c&state=s")
			return {protocol, hostname, port}
		} catch {
			return null
		}
	}))`, list, gate)))
}

// inChromium is what a real browser makes of the addresses: its parser of every one that any entry point has sent, and its tab of those of one replica,
// behind a real nginx.
func (g *returnRig) inChromium(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<title>landed</title>") })
	landed, landedTLS := httptest.NewServer(page), httptest.NewTLSServer(page)
	t.Cleanup(landed.Close)
	t.Cleanup(landedTLS.Close)
	rendered := run(t, fmt.Sprintf("nginx render --server-name %s --prefix /oauth2 --listen %s --upstream %s --replica %s", gate, g.site, landed.Listener.Addr(), g.widest.address))
	if rendered.code != 0 {
		t.Fatal(rendered.stderr)
	}
	nginxtest.Start(t, rendered.stdout)
	c := newChromium(t, chromedp.IgnoreCertErrors, chromedp.Flag("host-resolver-rules",
		fmt.Sprintf("MAP %s:80 %s, MAP *:443 %s, MAP * %s, EXCLUDE 127.0.0.1", gate, g.site, landedTLS.Listener.Addr(), landed.Listener.Addr())))
	b, err := c.newTab()
	check(t, err)

	t.Run("its parser", func(t *testing.T) {
		var sent []landing
		var addresses []string
		for l := range g.landed {
			sent, addresses = append(sent, l), append(addresses, l.address)
		}
		if len(sent) < 90 {
			t.Errorf("only %d addresses were sent", len(sent))
		}
		origins, err := b.parsed(addresses)
		check(t, err)
		for i, l := range sent {
			for _, o := range origins[i] {
				if o == nil || !o.mayLead(l.hosts) {
					t.Errorf("%s was sent to %q, which Chromium takes for %+v", g.landed[l], l.address, o)
				}
			}
		}
		// What is refused is worth it: sent as it stands, much of it would lead away. And nothing of it is sent.
		var refused []string
		var vectors []returnVector
		for _, v := range g.vectors {
			if !v.allow {
				refused, vectors = append(refused, v.raw), append(vectors, v)
			}
		}
		origins, err = b.parsed(refused)
		check(t, err)
		away := 0
		for i, v := range vectors {
			if !origins[i][0].mayLead(v.hosts) || !origins[i][1].mayLead(v.hosts) {
				away++
			}
		}
		if away < 200 {
			t.Errorf("Chromium takes only %d of the %d refused addresses for others' hosts", away, len(refused))
		}
		t.Logf("%d addresses were sent; of the %d that are refused, %d lead away", len(sent), len(refused), away)
	})

	t.Run("its tab", func(t *testing.T) {
		// Who is signed in and asks for a login again is led over the provider and back.
		loaded := 0
		for i, v := range g.vectors {
			scheme, host, _, _ := v.askedAbout()
			tlsElsewhere := scheme == "https" && strings.Contains(host, ":") // than where it is served
			if v.replica != g.widest || v.allow && tlsElsewhere || i%map[bool]int{true: 3, false: 30}[v.allow] != 0 {
				continue
			}
			loaded++
			check(t, b.open(gateURL+"/start?rd="+v.encoded))
			at, err := chromedp.Run(b.ctx, chromedp.Evaluate[[]string](`[location.protocol, location.hostname, location.port, location.href]`))
			check(t, err)
			o := origin{at[0], at[1], at[2]}
			switch {
			case !o.mayLead(v.hosts):
				t.Errorf("row %d, %q: the tab is at %s", v.row, v.raw, at[3])
			case !v.allow && at[3] != gateURL+"/start?rd="+v.encoded && v.raw != "":
				t.Errorf("row %d, %q: refused, but the tab is at %s", v.row, v.raw, at[3])
			case v.allow && strings.HasPrefix(at[3], gateURL):
				t.Errorf("row %d, %q: the tab is still at %s", v.row, v.raw, at[3])
			case v.allow && !v.isPath():
				if want, err := url.Parse(v.raw); err != nil || net.JoinHostPort(o.Hostname, o.Port) != net.JoinHostPort(want.Hostname(), want.Port()) {
					t.Errorf("row %d, %q: the tab is at %s", v.row, v.raw, at[3])
				}
			}
		}
		if loaded < 25 {
			t.Errorf("only %d vectors were loaded", loaded)
		}
		t.Logf("%d vectors were loaded", loaded)
	})
}

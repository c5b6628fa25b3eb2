package nginx

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"time"
)

//go:embed *.conf.tmpl
var templates embed.FS

// conf is parsed where something is rendered: the service is the same program and renders nothing.
var conf = sync.OnceValue(func() *template.Template { return template.Must(template.ParseFS(templates, "*.conf.tmpl")) })

// endpoints are the paths below the prefix that browsers, and the provider, ask authsvc for. /auth is
// not one of them: nginx alone asks it.
var endpoints = []string{
	"start", "sign_in", "callback",
	"logout", "sign_out", "signed_out",
	"session", "sessions", "userinfo",
	"backchannel-logout", "jwks.json",
}

// centralCheck is where an application asks whose login is at another host: a path that no application has.
const centralCheck = "/.authsvc/auth"

// cookiePasses is how many of our cookies can be taken out of one Cookie header. A browser has two;
// four, while the same names also exist for a parent domain. With more, none of the header is passed.
const cookiePasses = 4

// Render writes the configuration of one site, to be included in http{}: upstreams, maps, a cache if
// one is wanted, and one server, no line that concerns other sites. Several sites may be included beside each other as long
// as their server names differ. The text depends on the site alone.
//
// A site that [Site.Validate] refuses gives its error, and nothing is written. Any other error is w's.
func Render(w io.Writer, site Site) error {
	if err := site.Validate(); err != nil {
		return fmt.Errorf("site cannot be rendered: %w", err)
	}
	var text bytes.Buffer
	name := "site.conf.tmpl"
	if site.LoginOnly {
		name = "login.conf.tmpl"
	}
	if err := conf().ExecuteTemplate(&text, name, newPage(site)); err != nil {
		return fmt.Errorf("render site: %w", err)
	}
	if _, err := w.Write(text.Bytes()); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return nil
}

// page is what the template reads: a Site with its defaults filled in, and the texts derived from it.
type page struct {
	Site
	Name          string   // of upstreams and variables, unlike any other site's
	Identity      []header // set from the verdict
	CookieRegexp  string   // one of our cookies: name, spaces and the equals sign
	Passes        []pass
	Endpoints     string   // regular expression of the public endpoints
	Check         string   // path of the location that asks for the verdict
	Ask           string   // what it asks
	Login         string   // what /start and /logout are below: a path or another host's address
	Cache         *cache   // nil without MicroCache
	CheckWait     string   // CheckTimeout as nginx writes it
	CheckTotal    string   // after that long, no further replica is asked
	Scheme        string   // what visitors came by, as nginx writes it
	ReplicaScheme string   // of the replicas
	Servers       []string // the replicas without it
	Secure        string   // where RedirectHTTP leads, without the path

	ClearForCheck, ClearForEndpoints, ClearForApplication []string
}

// header is one identity header and the nginx variable that carries it.
type header struct{ Name, Variable, Answer string }

// cache is the cache of verdicts.
type cache struct {
	Name, Path string
	Keep       string   // how long, as nginx writes it
	Late       string   // how late a logout is by it
	Fixed      []string // parts of the key
	Sent       []string // parts of the key that visitors write
	TooLong    string   // regular expression of what visitors write and makes no key
}

// Key is what verdicts are kept under: all that one depends on. No part holds a newline, so none can end in
// another's place.
func (c cache) Key() string { return strings.Join(slices.Concat(c.Fixed, c.Sent), `\n`) }

// Length is as long as what visitors write.
func (c cache) Length() string { return strings.Join(c.Sent, "") }

// pass is one map of the chain that takes our cookies out, one at a time.
type pass struct{ From, To string }

func newPage(site Site) page {
	if len(site.Listen) == 0 {
		site.Listen = []string{"80"}
		if site.Certificate != "" {
			site.Listen = []string{"443"}
		}
	}
	if site.Headers == nil {
		site.Headers = DefaultHeaders()
	}
	site.CheckTimeout = cmp.Or(site.CheckTimeout, defaultCheckTimeout)

	p := page{
		Site:         site,
		Name:         "authsvc_" + identifier(site.ServerName),
		CookieRegexp: cookieRegexp(site.CookieName),
		Endpoints:    endpointsRegexp(site.Prefix),
		Check:        site.Prefix + "/auth",
		Login:        site.Prefix,
		CheckWait:    duration(site.CheckTimeout),
		CheckTotal:   duration(site.CheckTimeout + time.Second),
		Scheme:       "$scheme",

		ClearForCheck:       without(foreignHeaders, []string{"X-Original-URL", "X-Original-Method"}),
		ClearForEndpoints:   without(foreignHeaders, []string{"X-Forwarded-Proto", "X-Forwarded-Host"}),
		ClearForApplication: without(append(without(foreignHeaders, []string{"X-Forwarded-Proto", "X-Forwarded-Host"}), identityHeaders...), site.Headers),
	}
	if site.BehindTLS {
		p.Scheme = "https"
	}
	p.ReplicaScheme, p.Servers = "http", site.Replicas
	if site.overTLS() {
		p.ReplicaScheme, p.Servers = "https", site.tlsReplicas()
		p.ReplicaName = cmp.Or(site.ReplicaName, commonHost(p.Servers))
	}
	p.Ask = p.ReplicaScheme + "://" + p.Name
	if site.LoginURL != "" {
		p.Check, p.Login = centralCheck, site.LoginURL
		p.Ask += pathOf(site.LoginURL) + "/auth"
	}
	if query := site.query(); query != "" {
		if site.LoginURL == "" {
			p.Ask += p.Check
		}
		p.Ask += query
	}
	if site.MicroCache != 0 {
		p.Cache = newCache(site, p.Name+"_verdicts")
	}
	for _, name := range site.Headers {
		p.Identity = append(p.Identity, header{
			Name:     name,
			Variable: "identity_" + shorten(underscored(name), name, 37),
			Answer:   "upstream_http_" + underscored(name),
		})
	}
	p.Secure = "https://" + site.ServerName + securePort(site.Listen)
	if p.Wildcard() {
		p.Secure = "https://$host" + securePort(site.Listen)
	}
	from := "http_cookie"
	for i := range cookiePasses {
		to := fmt.Sprintf("%s_cookie_%d", p.Name, i+1)
		p.Passes = append(p.Passes, pass{From: from, To: to})
		from = to
	}
	return p
}

// newCache puts a method and an address beside the credentials, unless no rule is about them. $uri is the
// check's own address.
func newCache(site Site, name string) *cache {
	c := &cache{
		Name: name, Path: cmp.Or(site.MicroCachePath, "/run/"+name), TooLong: ".{8000}",
		Keep: duration(site.MicroCache), Late: duration(site.MicroCache + time.Second),
		Fixed: []string{"$scheme", "$uri" + site.query()}, Sent: []string{"$authsvc_host"},
	}
	if !site.NoRules {
		c.Sent = append(c.Sent, "$request_method", "$request_uri")
	}
	c.Sent = append(c.Sent, "$http_authorization", "$http_cookie")
	return c
}

// Hosts matches the site's own, as $host has them: in lower case, without port and final dot.
func (p page) Hosts() string {
	name := strings.ToLower(p.ServerName)
	if domain, wildcard := strings.CutPrefix(name, "*"); wildcard {
		return regexp.QuoteMeta(domain) + "$"
	}
	return "^" + regexp.QuoteMeta(name) + "$"
}

// Wildcard tells whether the site has all hosts below a domain.
func (p page) Wildcard() bool { return strings.HasPrefix(p.ServerName, "*.") }

// LastPass is the variable that holds the Cookie header after every pass.
func (p page) LastPass() string { return p.Passes[len(p.Passes)-1].To }

// cookieRegexp matches the names of our cookies up to the equals sign, spaces as lenient backends
// take them.
func cookieRegexp(name string) string {
	names := "(?:__Host-|__Secure-)?authsvc"
	if name != "" {
		names = regexp.QuoteMeta(name)
	}
	return `[ \t]*` + names + `(?:_login)?[ \t]*=`
}

// endpointsRegexp matches the public endpoints and no other path.
func endpointsRegexp(prefix string) string {
	quoted := make([]string, len(endpoints))
	for i, name := range endpoints {
		quoted[i] = regexp.QuoteMeta(name)
		if name == "callback" {
			quoted[i] += "(?:/[a-z0-9-]+)?" // one for each provider, where there are several
		}
	}
	return "^" + regexp.QuoteMeta(prefix) + "/(?:" + strings.Join(quoted, "|") + ")$"
}

// pathOf returns the path of a valid LoginURL, "" without one.
func pathOf(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	if at := strings.Index(rest, "/"); at >= 0 {
		return rest[at:]
	}
	return ""
}

// identifier makes a part of an nginx name from a host name, a different one for each: no label of a
// host name begins or ends with a hyphen.
func identifier(host string) string {
	host = strings.ToLower(host)
	return shorten(strings.NewReplacer(".", "_", "-", "__", "*", "any").Replace(host), host, 28)
}

// shorten keeps names of nginx variables to 46 bytes: longer ones need another
// variables_hash_bucket_size than the default of 64. A hash of the original keeps cut names apart.
func shorten(text, original string, limit int) string {
	if len(text) <= limit {
		return text
	}
	sum := sha256.Sum256([]byte(original))
	return text[:limit-9] + "_" + hex.EncodeToString(sum[:4])
}

// underscored is a header's name as nginx spells it in $http_name and $upstream_http_name.
func underscored(header string) string { return strings.ReplaceAll(strings.ToLower(header), "-", "_") }

// duration is a time as nginx writes it.
func duration(d time.Duration) string {
	if d%time.Second == 0 {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return fmt.Sprintf("%dms", d.Milliseconds())
}

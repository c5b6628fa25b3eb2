package e2e

import (
	"errors"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

// traefikProgram adds Traefik to the gateways: it takes minutes to build, so make test-traefik asks for it, and make test does not.
var traefikProgram = flag.String("traefik", "", "run the gateways' cases through this Traefik, too")

const traefikStatic, traefikDynamic = "../examples/traefik/traefik.yaml", "../examples/traefik/app.yaml"

// traefikGateway runs the example's files, with nothing changed but where things are on this machine.
var traefikGateway = gateway{"traefik", func(t *testing.T, address string, replicas []string, app, restrict string) {
	t.Helper()
	dir := t.TempDir()
	static, dynamic := filepath.Join(dir, "traefik.yaml"), filepath.Join(dir, "app.yaml")
	checks := nginxtest.FreeAddress(t)
	moveExample(t, traefikStatic, static, map[string]string{"127.0.0.1:8080": address, "127.0.0.1:4179": checks, "app.yaml\n": dynamic + "\n"})
	moveExample(t, traefikDynamic, dynamic, map[string]string{
		"http://127.0.0.1:4179/oauth2/forward": "http://" + checks + "/oauth2/forward" + strings.TrimSuffix(restrict, "?"),
		"127.0.0.1:3000":                       app, "127.0.0.1:4180": replicas[0], "127.0.0.1:4182": replicas[1],
	})
	startGateway(t, address, *traefikProgram, []string{"--configfile=" + static})
	storetest.WaitFor(t, "Traefik to read its routes", func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/", nil)
		check(t, err)
		answer, err := exchange(direct, request)
		if err == nil && answer.body == "404 page not found\n" { // Traefik's own
			err = errors.New("no route")
		}
		return err
	})
}, gatewayDiffers{passesOurCookie: true, obeysConnection: true, semicolon: "%3B"}}

// What the example uses of Traefik's static and dynamic configuration, named as Traefik names it. Traefik itself refuses other names,
// which make test-traefik shows.
type (
	traefikFile struct {
		EntryPoints map[string]struct {
			Address string
			HTTP    struct {
				SanitizePath          *bool `yaml:"sanitizePath"`
				EncodeQuerySemicolons bool  `yaml:"encodeQuerySemicolons"`
			}
			ForwardedHeaders struct {
				TrustedIPs []string `yaml:"trustedIPs"`
			} `yaml:"forwardedHeaders"`
		} `yaml:"entryPoints"`
		Providers struct{ File struct{ Filename string } }
		Global    map[string]bool
	}
	traefikApp struct {
		HTTP struct {
			Routers           map[string]traefikRouter
			Middlewares       map[string]traefikMiddleware
			Services          map[string]traefikService
			ServersTransports map[string]struct {
				ForwardingTimeouts map[string]string `yaml:"forwardingTimeouts"`
			} `yaml:"serversTransports"`
		}
	}
	traefikRouter struct {
		EntryPoints   []string `yaml:"entryPoints"`
		Rule, Service string
		Priority      int
		Middlewares   []string
	}
	traefikMiddleware struct {
		ForwardAuth *struct {
			Address                  string
			TrustForwardHeader       *bool    `yaml:"trustForwardHeader"`
			MaxResponseBodySize      int      `yaml:"maxResponseBodySize"`
			AuthResponseHeaders      []string `yaml:"authResponseHeaders"`
			AuthResponseHeadersRegex string   `yaml:"authResponseHeadersRegex"`
		} `yaml:"forwardAuth"`
		Headers *struct {
			CustomRequestHeaders map[string]string `yaml:"customRequestHeaders"`
		}
		Retry *struct{ Attempts int }
	}
	traefikService struct {
		LoadBalancer struct {
			ServersTransport string `yaml:"serversTransport"`
			Servers          []struct{ URL string }
		} `yaml:"loadBalancer"`
	}
)

// decodeStrictly reads YAML in which nothing stands that into does not know.
func decodeStrictly(t *testing.T, file string, into any) {
	t.Helper()
	content, err := os.Open(file)
	check(t, err)
	defer content.Close()
	decoder := yaml.NewDecoder(content)
	decoder.KnownFields(true)
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// TestExampleTraefik holds what examples/traefik promises against its files, without Traefik: whoever edits them finds out in make test.
func TestExampleTraefik(t *testing.T) {
	var static traefikFile
	var dynamic traefikApp
	decodeStrictly(t, traefikStatic, &static)
	decodeStrictly(t, traefikDynamic, &dynamic)

	if got := static.EntryPoints["check"]; !strings.HasPrefix(got.Address, "127.0.0.1:") || !slices.Equal(got.ForwardedHeaders.TrustedIPs, []string{"127.0.0.1/32"}) {
		t.Errorf("others than this machine are believed: %+v", got)
	}
	if got := static.EntryPoints["site"]; len(got.ForwardedHeaders.TrustedIPs) > 0 || got.HTTP.SanitizePath == nil || *got.HTTP.SanitizePath {
		t.Errorf("browsers are believed, or judged by another path: %+v", got)
	}
	if static.Providers.File.Filename != filepath.Base(traefikDynamic) {
		t.Errorf("another file: %q", static.Providers.File.Filename)
	}

	forward := dynamic.HTTP.Middlewares["authsvc"].ForwardAuth
	if forward == nil || forward.TrustForwardHeader == nil || *forward.TrustForwardHeader || forward.MaxResponseBodySize == 0 {
		t.Fatalf("forwardAuth: %+v", forward)
	}
	if want := nginx.DefaultHeaders(); !slices.Equal(forward.AuthResponseHeaders, want) {
		t.Errorf("the application learns %q, want %q", forward.AuthResponseHeaders, want)
	}
	taken := regexp.MustCompile(forward.AuthResponseHeadersRegex)
	for _, name := range append(nginx.DefaultHeaders(), "X-Auth-Request-Access-Token", "X-Auth-Request-Jwt", "Remote-User", "X-Forwarded-User", "X-Original-Url") {
		for _, spelling := range []string{name, strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1)} {
			if spelling = http.CanonicalHeaderKey(spelling); !taken.MatchString(spelling) {
				t.Errorf("a visitor's %s reaches the application", spelling)
			}
		}
	}
	for _, name := range []string{"Cookie", "Content-Type", "Host", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Content-Length", "Authorization"} {
		if taken.MatchString(name) {
			t.Errorf("the application does not get %s", name)
		}
	}

	protected := 0
	for name, router := range dynamic.HTTP.Routers {
		for _, used := range router.Middlewares {
			if _, found := dynamic.HTTP.Middlewares[used]; !found {
				t.Errorf("%s uses %s, which is nowhere", name, used)
			}
		}
		service, found := dynamic.HTTP.Services[router.Service]
		if _, known := dynamic.HTTP.ServersTransports[service.LoadBalancer.ServersTransport]; !found || router.Service != "app" && !known {
			t.Errorf("%s: its service %s: %+v", name, router.Service, service)
		}
		if router.Service == "app" {
			protected++
			tunnel := strings.Contains(router.Rule, "`(?i)^websocket$`")
			if want := map[bool][]string{true: {"no-hearsay", "authsvc"}, false: {"no-hearsay", "no-tunnel", "authsvc"}}[tunnel]; !slices.Equal(router.Middlewares, want) {
				t.Errorf("%s: the application is behind %q, want %q", name, router.Middlewares, want)
			}
		}
	}
	if protected != 2 {
		t.Errorf("%d ways to the application", protected)
	}

	_, quoted, _ := strings.Cut(dynamic.HTTP.Routers["sign-in"].Rule, "PathRegexp(`")
	signIn := regexp.MustCompile(strings.TrimSuffix(quoted, "`)"))
	for path, want := range map[string]bool{
		"/oauth2/start": true, "/oauth2/callback": true, "/oauth2/callback/staff": true, "/oauth2/jwks.json": true, "/oauth2/sessions": true, "/oauth2/backchannel-logout": true,
		"/oauth2/auth": false, "/oauth2/forward": false, "/oauth2/envoy/a": false, "/oauth2/jwksxjson": false, "/x/oauth2/start": false, "/oauth2/start/x": false,
	} {
		if signIn.MatchString(path) != want {
			t.Errorf("%s needs no verdict: %t, want %t", path, !want, want)
		}
	}
}

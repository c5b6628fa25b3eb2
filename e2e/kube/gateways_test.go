package kube

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

const annotation = "nginx.ingress.kubernetes.io/"

// through renders a file's values for another gateway, and with these providers in the place of its own.
func through(t *testing.T, file, gateway string, providers ...string) rendering {
	t.Helper()
	changes := map[string]any{
		"gateway": gateway, "gatewayAPI.parentRefs": []any{map[string]any{"name": "main"}}, "application.service": "app",
	}
	var several []any
	for _, name := range providers {
		several = append(several, map[string]any{"name": name, "issuer": "https://" + name + ".example.com", "client_id": "app"})
	}
	if len(several) > 0 {
		changes["config.oidc"], changes["config.providers"], changes["clientSecret.existingSecret"] = map[string]any{}, several, ""
	}
	return render(t, valuesOf(t, file, changes))
}

// forwarded are the identity headers that each gateway passes on, with a file's values.
func forwarded(t *testing.T, file string) map[string][]string {
	t.Helper()
	headers := map[string][]string{
		"ingress-nginx": strings.Split(ingress(t, through(t, file, "ingress-nginx"), fullname+"-application").Annotations[annotation+"auth-response-headers"], ","),
		"traefik":       forwardAuth(t, through(t, file, "traefik")).Spec.ForwardAuth.AuthResponseHeaders,
		"envoy-gateway": one[*securityPolicy](t, through(t, file, "envoy-gateway")).Spec.ExtAuth.HTTP.HeadersToBackend,
	}
	for _, set := range regexp.MustCompile(`(?m)^proxy_set_header (\S+) \$web_authsvc_`).FindAllStringSubmatch(snippets(t, through(t, file, "gateway-api"))["http.server.location"], -1) {
		headers["gateway-api"] = append(headers["gateway-api"], set[1])
	}
	return headers
}

func ingress(t *testing.T, r rendering, name string) *networkingv1.Ingress {
	t.Helper()
	for _, object := range all[*networkingv1.Ingress](r) {
		if object.Name == name {
			return object
		}
	}
	t.Fatalf("no Ingress %s", name)
	return nil
}

// forwardAuth is the Middleware that asks.
func forwardAuth(t *testing.T, r rendering) *middleware {
	t.Helper()
	for _, object := range all[*middleware](r) {
		if object.Spec.ForwardAuth != nil {
			return object
		}
	}
	t.Fatal("no Middleware asks")
	return nil
}

// snippets are the lines of the SnippetsFilter, by their contexts.
func snippets(t *testing.T, r rendering) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, snippet := range one[*snippetsFilter](t, r).Spec.Snippets {
		texts[snippet.Context] = snippet.Value
	}
	return texts
}

// anyProvider is what stands behind callback in authsvc's own nginx configuration, where it is one of several providers that answers.
const anyProvider = "(?:/[a-z0-9-]+)?"

// endpoints are the paths that authsvc's own nginx configuration leads to it, below a prefix, where there are these providers.
func endpoints(t *testing.T, prefix string, providers ...string) []string {
	t.Helper()
	site, stderr, code := authsvc(t, t.TempDir(), nil, "nginx", "render", "--server-name=app.example.com", "--upstream=127.0.0.1:1", "--replica=127.0.0.1:2")
	found := regexp.MustCompile(`location ~ \^/\(\?:(.*)\)\$ \{`).FindStringSubmatch(site)
	if code != 0 || found == nil {
		t.Fatalf("no endpoints: %s%s", stderr, site)
	}
	var paths []string
	for name := range strings.SplitSeq(found[1], "|") {
		name, callback := strings.CutSuffix(name, anyProvider)
		paths = append(paths, prefix+"/"+strings.ReplaceAll(name, `\`, ""))
		for _, provider := range providers {
			if callback {
				paths = append(paths, prefix+"/"+name+"/"+provider)
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// TestSignInPaths: each gateway leads to authsvc what is for browsers and the provider, and the checks are for nobody but itself.
func TestSignInPaths(t *testing.T) {
	for _, test := range []struct {
		file, prefix string
		providers    []string
	}{{"none", "", nil}, {"everything", "/oauth2", nil}, {"none", "", []string{"staff", "customers-2"}}} {
		file, want := test.file, endpoints(t, test.prefix, test.providers...)
		through := func(gateway string) rendering { return through(t, file, gateway, test.providers...) }
		got := make(map[string][]string)
		for _, path := range ingress(t, through("ingress-nginx"), fullname).Spec.Rules[0].HTTP.Paths {
			if *path.PathType != networkingv1.PathTypeExact || path.Backend.Service.Name != fullname {
				t.Errorf("ingress-nginx: %+v", path)
			}
			got["ingress-nginx"] = append(got["ingress-nginx"], path.Path)
		}
		for _, route := range all[*ingressRoute](through("traefik")) {
			for _, path := range regexp.MustCompile("Path\\(`([^`]+)`\\)").FindAllStringSubmatch(route.Spec.Routes[0].Match, -1) {
				got["traefik"] = append(got["traefik"], path[1])
			}
		}
		for _, gateway := range []string{"gateway-api", "envoy-gateway"} {
			for _, rule := range httpRoute(t, through(gateway), fullname).Spec.Rules {
				for _, match := range rule.Matches {
					if *match.Path.Type != gatewayv1.PathMatchExact || len(rule.Filters) != 0 || string(rule.BackendRefs[0].Name) != fullname {
						t.Errorf("%s: %+v", gateway, rule)
					}
					got[gateway] = append(got[gateway], *match.Path.Value)
				}
			}
		}
		for gateway, paths := range got {
			if slices.Sort(paths); !slices.Equal(paths, want) {
				t.Errorf("%s, %s, %q: %q lead to authsvc, want %q", file, gateway, test.providers, paths, want)
			}
		}
		if len(got) != 4 {
			t.Errorf("%s: %d gateways", file, len(got))
		}
	}
}

func httpRoute(t *testing.T, r rendering, name string) *gatewayv1.HTTPRoute {
	t.Helper()
	for _, route := range all[*gatewayv1.HTTPRoute](r) {
		if route.Name == name {
			return route
		}
	}
	t.Fatalf("no HTTPRoute %s", name)
	return nil
}

// TestTheApplicationIsProtected: each gateway asks before the application gets anything, at the address of the Service and in its own dialect,
// and lets nobody pass where there is no answer.
func TestTheApplicationIsProtected(t *testing.T) {
	const host = "wiki.example.com"
	asks := func(t *testing.T, r rendering, address, path string) {
		t.Helper()
		at, err := url.Parse(address)
		var service *corev1.Service
		for _, candidate := range all[*corev1.Service](r) {
			if candidate.Name == fullname {
				service = candidate
			}
		}
		if err != nil || at.Scheme != "http" || at.Hostname() != service.Name+"."+namespace+".svc.cluster.local" || at.Port() != "80" || service.Spec.Ports[0].Port != 80 || at.Path != path {
			t.Errorf("asks at %s: %v", address, err)
		}
	}

	r := through(t, "everything", "ingress-nginx")
	application := ingress(t, r, fullname+"-application")
	asks(t, r, application.Annotations[annotation+"auth-url"], "/oauth2/auth")
	if got := application.Annotations[annotation+"auth-signin"]; got != "https://login.example.com/oauth2/start" {
		t.Errorf("ingress-nginx sends to %s", got)
	}
	if application.Spec.Rules[0].Host != host || application.Annotations[annotation+"auth-cache-key"] != "" {
		t.Errorf("ingress-nginx: %+v", application)
	}
	if open := ingress(t, r, fullname); open.Annotations[annotation+"auth-url"] != "" {
		t.Error("ingress-nginx: nobody gets to the sign-in without being signed in")
	}

	r = through(t, "everything", "traefik")
	forward := forwardAuth(t, r).Spec.ForwardAuth
	asks(t, r, forward.Address, "/oauth2/forward")
	if *forward.TrustForwardHeader {
		t.Error("traefik takes a visitor's word")
	}
	there := make(map[string]bool)
	for _, object := range all[*middleware](r) {
		there[object.Name] = true
	}
	for _, route := range all[*ingressRoute](r) {
		for _, rule := range route.Spec.Routes {
			last := rule.Middlewares[len(rule.Middlewares)-1].Name
			if protected := last == fullname; protected != (rule.Services[0].Name == "app") || protected && !strings.HasPrefix(rule.Match, "Host(`"+host+"`)") {
				t.Errorf("traefik: %+v", rule)
			}
			tunnels := !slices.ContainsFunc(rule.Middlewares, func(m reference) bool { return m.Name == fullname+"-no-tunnel" })
			if last == fullname && tunnels != strings.Contains(rule.Match, "websocket") {
				t.Errorf("traefik: what lets connections be taken over: %+v", rule)
			}
			for _, m := range rule.Middlewares {
				if !there[m.Name] {
					t.Errorf("traefik: no Middleware %s", m.Name)
				}
			}
		}
	}

	r = through(t, "everything", "gateway-api")
	address := regexp.MustCompile(`proxy_pass (\S+);`).FindStringSubmatch(snippets(t, r)["http.server"])
	asks(t, r, address[1], "/oauth2/auth")
	for _, rule := range httpRoute(t, r, fullname+"-application").Spec.Rules {
		if len(rule.Filters) != 1 || rule.Filters[0].ExtensionRef.Kind != "SnippetsFilter" || string(rule.Filters[0].ExtensionRef.Name) != one[*snippetsFilter](t, r).Name {
			t.Errorf("gateway-api: %+v", rule)
		}
	}

	r = through(t, "everything", "envoy-gateway")
	policy := one[*securityPolicy](t, r).Spec
	service := policy.ExtAuth.HTTP.BackendRefs[0]
	if policy.ExtAuth.HTTP.Path != "/oauth2/envoy" || string(service.Name) != fullname || *service.Port != 80 || *policy.ExtAuth.FailOpen || *policy.ExtAuth.StatusOnError != 503 {
		t.Errorf("envoy-gateway: %+v", policy.ExtAuth)
	}
	if string(policy.TargetRefs[0].Name) != httpRoute(t, r, fullname+"-application").Name {
		t.Errorf("envoy-gateway: %+v", policy.TargetRefs)
	}
	for _, name := range []string{"cookie", "accept", "x-forwarded-proto", "sec-fetch-mode", "upgrade", "x-requested-with"} {
		if !slices.Contains(policy.ExtAuth.HeadersToExtAuth, name) {
			t.Errorf("envoy-gateway does not tell %s", name)
		}
	}
}

// TestTraefikStripsEverySpelling: Traefik takes away what matches this before it copies what authsvc says. The spellings are those of
// CVE-2025-64484; an application may read each of them as ours.
func TestTraefikStripsEverySpelling(t *testing.T) {
	strips := regexp.MustCompile(forwardAuth(t, render(t, valueFiles(t)["traefik"])).Spec.ForwardAuth.AuthResponseHeadersRegex)
	for name, want := range map[string]bool{
		"X-Auth-Request-User": true, "X_auth_request_user": true, "X.auth.request.user": true, "X-Auth_request.email": true,
		"X-Auth-Request-Access-Token": true, "Remote-User": true, "Remote_user": true, "Remote.user": true,
		"X-Forwarded-User": true, "X-Forwarded-Uri": true, "X-Original-Url": true, "Forwarded": true,
		"X-Auth": false, "Cookie": false, "X-Remote-User": false, "X-Forwarded-For": false, "X-Forwarded-Host": false, "Authorization": false,
	} {
		if strips.MatchString(name) != want {
			t.Errorf("%s is taken away: %v, want %v", name, !want, want)
		}
	}
}

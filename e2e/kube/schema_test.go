package kube

import (
	"strings"
	"testing"
)

// TestBadValues: what cannot be right is refused before anything is installed, and told by its path.
func TestBadValues(t *testing.T) {
	secret := "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU="
	for _, test := range []struct {
		path  string
		value any
		told  string // what the message says; "" is the path, in the schema's way
	}{
		{"gatway", "traefik", "gatway"},
		{"gateway", "nginx", ""},
		{"trustedProxies", nil, "trustedProxies: is missing"},
		{"trustedProxies", []any{}, "trustedProxies: is missing"},
		{"trustedProxies", []any{"gateway.example.com"}, "/trustedProxies/0"},
		{"trustedProxies", "10.0.0.0/8", ""},
		{"config.public_url", "", "config.public_url: is missing"},
		{"config.public_url", "app.example.com", ""},
		{"config.public_url", "https://app.example.com/a\";return 200;#", ""},
		{"config.public_url", "https://app.example.com/a\nb", ""},
		{"config.public_url", "https://app.example.com/a}b", ""},
		{"config.public_url", "https://app.example.com/?a=b", ""},
		{"config.oidc.issuer", "", "config.oidc.issuer: is missing"},
		{"config.oidc.client_id", "", "config.oidc.client_id: is missing"},
		{"config.oidc.client_secret", secret, ""},
		{"config.providers", []any{map[string]any{"name": "staff", "client_secret": secret}}, "/config/providers/0/client_secret"},
		{"config.providers", []any{map[string]any{"name": "a`) || Path(`/"}}, "/config/providers/0/name"},
		{"config.providers", []any{map[string]any{"name": "staff"}}, "clientSecret.existingSecret: is for config.oidc"},
		{"config.bearer", []any{map[string]any{"client_secret": secret}}, "/config/bearer/0/client_secret"},
		{"config.sites", []any{map[string]any{"oidc": map[string]any{"client_secret": secret}}}, "/config/sites/0/oidc/client_secret"},
		{"config.cookie.secret", secret, ""},
		{"config.store.password", secret, ""},
		{"config.store.url", "", "config.store.url: is missing"},
		{"config.store.url", "redis://user:" + secret + "@redis/0", ""},
		{"config.store.url", "redis+sentinel://a,b/main?sentinel_password=" + secret, ""},
		{"config.admin_token", secret, ""},
		{"config.listen", "127.0.0.1:4180", ""},
		{"config.admin_listen", "", ""},
		{"config.trusted_proxies", []any{"0.0.0.0/0"}, ""},
		{"config.shutdown", map[string]any{"delay": "1s"}, ""},
		{"config.headers", map[string]any{"X-A;return": "sub"}, ""},
		{"config.headers", map[string]any{"X_A": "sub"}, ""},
		{"storeURL.existingSecret", "redis", "storeURL.existingSecret: config.store.url is set as well"},
		{"cookieSecret.existingSecret", "Not A Name", ""},
		{"cookieSecret.value", secret, "value"},
		{"application.service", "app;return", ""},
		{"application.host", "app.example.com\nx", ""},
		{"application.port", 0, ""},
		{"sidecar.application.port", 70000, ""},
		{"sidecar.application.hostNetwork", true, "hostNetwork"},
		{"ingress.snippets", "yes", ""},
		{"image.tag", "a tag", ""},
		{"image.pullPolicy", "Sometimes", ""},
		{"replicas", -1, ""},
		{"replicas", "two", ""},
		{"shutdown.delaySeconds", "5s", ""},
		{"podDisruptionBudget.maxUnavailable", 0, ""},
		{"networkPolicy.enabled", true, "networkPolicy.gateway: is missing"},
		{"serviceMonitor.interval", "often", ""},
		{"env", []any{map[string]any{"name": "AUTHSVC_COOKIE_SECRET", "value": secret}}, "/env/0"},
		{"clusterDomain", "cluster.local;", ""},
	} {
		told := test.told
		if told == "" {
			told = "/" + strings.ReplaceAll(test.path, ".", "/")
		}
		_, err := renderChart(valuesOf(t, "none", map[string]any{test.path: test.value}))
		if err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("%s: %v: the error is %v, want one with %s", test.path, test.value, err, told)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error tells the secret: %v", test.path, err)
		}
	}
	for _, gateway := range []string{"gateway-api", "envoy-gateway"} {
		if _, err := renderChart(valuesOf(t, "none", map[string]any{"gateway": gateway})); err == nil || !strings.Contains(err.Error(), "gatewayAPI.parentRefs: is missing") {
			t.Errorf("%s without a Gateway: %v", gateway, err)
		}
	}
	for path, told := range map[string]string{"autoscaling.enabled": "sidecar.application.resources.requests.cpu: is missing", "sidecar.application.image": "sidecar.application.image: is missing", "application.service": "application.service: is not for nginx-sidecar", "trustedProxies": "trustedProxies: is missing"} {
		value := map[string]any{"autoscaling.enabled": true, "sidecar.application.image": "", "application.service": "app"}[path]
		if _, err := renderChart(valuesOf(t, "nginx-sidecar", map[string]any{path: value})); err == nil || !strings.Contains(err.Error(), told) {
			t.Errorf("nginx-sidecar, %s: %v, want %s", path, err, told)
		}
	}
}

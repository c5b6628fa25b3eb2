package authsvc

import (
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestIssuerOfAnother tells whoever wrote an issuer that the provider does not call itself by what to write.
func TestIssuerOfAnother(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.replicas[0].sites.Load().main.providers[0]
	for _, row := range []struct {
		name, told string
		says       string
	}{
		{"a slash more", p.issuer + "/", `the provider calls itself "` + p.issuer + `/", and oidc.issuer is "` + p.issuer + `"; write the former`},
		{"Entra ID for any tenant", "https://login.microsoftonline.com/{tenantid}/v2.0", "write your tenant's ID in its place"},
		{"Entra ID's older tokens", "https://sts.windows.net/2c3b5d3e-77f3-4a0e-a3c5-3f1f8fb0b0aa/", "the provider calls itself"},
		{"none", "", "have no issuer"},
		{"a long one", "https://" + strings.Repeat("x", 5000), "the provider calls itself"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.provider.EditDiscovery(func(document map[string]any) { document["issuer"] = row.told })
			err := p.discover(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.says) || len(err.Error()) > 700 {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestMetadataThatAreOdd reads what we need, whatever else the document holds.
func TestMetadataThatAreOdd(t *testing.T) {
	r := newRig(t, 1, nil)
	p := r.replicas[0].sites.Load().main.providers[0]
	r.provider.EditDiscovery(func(document map[string]any) {
		document["scopes_supported"] = "openid email"
		document["token_endpoint_auth_methods_supported"] = map[string]any{}
		document["code_challenge_methods_supported"] = []any{"S256", 5}
		document["response_modes_supported"] = nil
	})
	if err := p.discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found := p.discovered.Load(); found.Scopes != nil || found.AuthMethods != nil || found.ChallengeMethods != nil || found.ResponseModes != nil {
		t.Errorf("%+v", found.discoveryDocument)
	}
	if landed := r.browser().signIn(); landed.Header.Get("Location") != "/landed?a=b&c=d" {
		t.Errorf("the login: %s", landed.Status)
	}
	for _, member := range []string{"pushed_authorization_request_endpoint", "mtls_endpoint_aliases"} {
		r.provider.EditDiscovery(func(document map[string]any) {
			document[member] = "http://login.example.com/elsewhere"
		})
		if err := p.discover(t.Context()); err == nil {
			t.Errorf("%s on plain http, or a text, was taken", member)
		}
	}
	r.provider.Intercept(idptest.Discovery, idptest.Status(404))
	if err := p.discover(t.Context()); err == nil || !strings.Contains(err.Error(), "status is 404; oidc.issuer is what /.well-known/openid-configuration follows") {
		t.Errorf("%v", err)
	}
}

package authsvc

import "testing"

// TestBearerSecretsStayWithTheirIssuer takes new secrets from a configuration whose entries have been moved, too.
func TestBearerSecretsStayWithTheirIssuer(t *testing.T) {
	entry := func(issuer, client string, secret Secret) Bearer {
		return Bearer{Issuer: issuer, ClientID: client, ClientSecret: secret}
	}
	config := func(entries ...Bearer) *Config { return &Config{Bearer: entries} }
	current := config(entry("a", "gate", "one"), entry("b", "gate", "two"), entry("c", "", ""))
	moved := config(entry("b", "gate", "two"), entry("c", "", ""), entry("a", "gate", "one"), entry("d", "gate", "four"))
	if !moved.SameSecrets(current) {
		t.Error("entries in another order count as new secrets")
	}
	renewed := config(entry("b", "gate", "new"), entry("c", "another", "three"), entry("a", "other", "other"))
	if renewed.SameSecrets(current) {
		t.Error("a new secret is none")
	}
	got := current.WithSecretsOf(renewed).Bearer
	if got[0].ClientSecret != "one" || got[1].ClientSecret != "new" || got[2].ClientSecret != "" || current.Bearer[1].ClientSecret != "two" {
		t.Errorf("%q %q %q", got[0].ClientSecret.Reveal(), got[1].ClientSecret.Reveal(), got[2].ClientSecret.Reveal())
	}
}

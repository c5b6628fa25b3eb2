package authsvc

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestProviderNotes(t *testing.T) {
	dir := t.TempDir()
	rsaFile, ecFile := filepath.Join(dir, "rsa.key"), filepath.Join(dir, "ec.key")
	writeKey(t, rsaFile, newKey(t, "RSA"))
	writeKey(t, ecFile, newKey(t, "P-256"))
	certFile, keyFile := writePair(t, dir, newPair(t)) // good for an hour
	usual := discoveryDocument{
		EndSession: "https://id.example.com/end", ChallengeMethods: words{"plain", "S256"}, Scopes: words{"openid", "email", "profile", "groups"},
		AuthMethods: words{"client_secret_basic", "private_key_jwt", "self_signed_tls_client_auth"}, AuthAlgorithms: words{"RS256", "ES256"},
	}
	for _, row := range []struct {
		name   string
		change func(*discoveryDocument, *OIDC)
		later  time.Duration // than now
		want   []string      // weight and the beginning of each note
	}{
		{name: "nothing", change: func(*discoveryDocument, *OIDC) {}},
		{name: "nothing told", change: func(d *discoveryDocument, _ *OIDC) {
			*d = discoveryDocument{EndSession: "x", ChallengeMethods: words{"S256"}}
		}},
		{name: "scopes", change: func(_ *discoveryDocument, o *OIDC) { o.Scopes = []string{"openid", "offline_access", "groups", "wiki"} },
			want: []string{"0 the scope offline_access is not", "0 the scope wiki is not"}},
		{name: "PKCE plain alone", change: func(d *discoveryDocument, _ *OIDC) { d.ChallengeMethods = words{"plain"} }, want: []string{"0 it does not tell of PKCE"}},
		{name: "no logout", change: func(d *discoveryDocument, _ *OIDC) { d.EndSession = "" }, want: []string{"0 it has no end_session"}},
		{name: "form_post", change: func(d *discoveryDocument, o *OIDC) { d.ResponseModes, o.ResponseMode = words{"query"}, "form_post" }, want: []string{"1 form_post is not"}},
		{name: "pushed, not offered", change: func(_ *discoveryDocument, o *OIDC) { o.PAR = "on" }, want: []string{"2 it takes no pushed"}},
		{name: "pushed alone, off", change: func(d *discoveryDocument, o *OIDC) { d.MustPush, o.PAR = true, "off" }, want: []string{"2 it takes pushed"}},
		{name: "another method", change: func(_ *discoveryDocument, o *OIDC) { o.ClientAuth = "post" }, want: []string{"1 clients authenticate there by client_secret_basic, private_key_jwt"}},
		{name: "public", change: func(_ *discoveryDocument, o *OIDC) { o.ClientAuth = "none" }},
		{name: "a key", change: func(_ *discoveryDocument, o *OIDC) { o.ClientAuth, o.ClientKeyFile = "private_key_jwt", rsaFile }},
		{name: "a key of a kind that is not taken", change: func(d *discoveryDocument, o *OIDC) {
			d.AuthAlgorithms, o.ClientAuth, o.ClientKeyFile = words{"PS256"}, "private_key_jwt", ecFile
		}, want: []string{"2 the provider takes no assertion"}},
		{name: "no key", change: func(_ *discoveryDocument, o *OIDC) { o.ClientAuth, o.ClientKeyFile = "private_key_jwt", dir+"/none" }, want: []string{"2 the client's key: "}},
		{name: "a certificate that ends soon", change: func(_ *discoveryDocument, o *OIDC) {
			o.ClientAuth, o.ClientKeyFile, o.ClientCertFile = "mtls", keyFile, certFile
		}, want: []string{"1 the client's certificate ends "}},
		{name: "a certificate that has ended", later: 2 * time.Hour, change: func(_ *discoveryDocument, o *OIDC) {
			o.ClientAuth, o.ClientKeyFile, o.ClientCertFile = "mtls", keyFile, certFile
		}, want: []string{"2 the client's certificate ends "}},
	} {
		t.Run(row.name, func(t *testing.T) {
			d, o := usual, DefaultConfig().OIDC
			o.ClientAuth = "basic"
			row.change(&d, &o)
			notes := d.notes(o, time.Now().Add(row.later))
			if len(notes) != len(row.want) {
				t.Fatalf("%+v", notes)
			}
			for i, n := range notes {
				if got := fmt.Sprint(int(n.Weight), " ", n.What); !strings.HasPrefix(got, row.want[i]) {
					t.Errorf("got %q, want %q", got, row.want[i])
				}
			}
		})
	}
}

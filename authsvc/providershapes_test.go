package authsvc

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// newShapeRig starts a rig whose provider has a shape, with the configuration that examples/providers has for it: what differs is the address of
// either side and the secrets, and they come from the environment.
func newShapeRig(t *testing.T, shape idptest.Shape, file string, person idptest.Person) *rig {
	t.Helper()
	r := newRigWith(t, 2, func(c *Config) {
		loaded, err := Load("../examples/providers/"+file+".yaml", []string{
			"AUTHSVC_PUBLIC_URL=" + c.PublicURL, "AUTHSVC_OIDC_ISSUER=http://127.0.0.1" + shape.IssuerPath, "AUTHSVC_STORE_URL=memory:",
			"AUTHSVC_OIDC_CLIENT_SECRET=" + testClientSecret, "AUTHSVC_COOKIE_SECRET=" + cookieSecret(1).Reveal(), "AUTHSVC_SESSION_CACHE_TTL=0",
		})
		if err != nil {
			t.Fatal(err)
		}
		*c = *loaded
	}, func(o *idptest.Options) {
		o.Shape, o.Issuer, o.People = shape, shape.IssuerPath, []idptest.Person{person}
	})
	r.visitor.Store(person.Subject)
	return r
}

// identity fails the test unless the browser passes, and returns the groups header.
func (b *browser) identity() (groups string, headers http.Header) {
	b.t.Helper()
	answer := b.auth("")
	if answer.StatusCode != http.StatusOK {
		b.t.Fatalf("/auth: %s\n%s", answer.Status, b.rig.log)
	}
	return answer.Header.Get("X-Auth-Request-Groups"), answer.Header
}

// TestProviderShapes signs people in at each make of provider, refreshes, follows their groups and signs them out.
func TestProviderShapes(t *testing.T) {
	alice := idptest.Person{
		Subject: "alice", Name: "Alice Example", PreferredUsername: "alice", Email: "alice@example.com", EmailVerified: true,
		Groups: []string{"staff", "admins"},
	}
	with := func(change func(*idptest.Person)) idptest.Person {
		person := alice
		change(&person)
		return person
	}
	older := idptest.Auth0()
	older.Missing = append(slices.Clone(older.Missing), "end_session_endpoint")
	guids := []string{"5f0f5c2e-3a52-4b61-8ec9-3f6f6f0a8a11", "b7a7d5c4-0c0e-49f5-8ad0-0d8c3a3e3b22"}
	for _, row := range []struct {
		name   string
		shape  idptest.Shape
		file   string // of examples/providers; the shape's name if empty
		person idptest.Person
		groups string // the header after the login
		later  string // after a refresh, when the first of the groups was taken away
		user   string
		name2  string // the preferred user name's header
	}{
		{shape: idptest.Keycloak(), groups: "staff,admins,editor", later: "admins,editor", user: "alice", name2: "alice", person: with(func(p *idptest.Person) {
			p.Claims = map[string]any{"resource_access": map[string]any{
				"app": map[string]any{"roles": []string{"editor"}}, "other": map[string]any{"roles": []string{"root"}},
			}}
		})},
		{shape: idptest.Entra(), groups: strings.Join(guids, ","), later: guids[1], user: "oid-of-alice", name2: "alice",
			person: with(func(p *idptest.Person) { p.Groups = guids })},
		{name: "more groups than Entra ID writes", shape: idptest.Entra(), user: "oid-of-alice", name2: "alice",
			person: with(func(p *idptest.Person) { p.Groups = slices.Repeat(guids, 101) })},
		{shape: idptest.Okta(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{shape: idptest.Google(), groups: "example.com", later: "example.com", user: "alice", name2: "alice@example.com",
			person: with(func(p *idptest.Person) { p.Claims = map[string]any{"hd": "example.com"} })},
		{name: "a private Google account", shape: idptest.Google(), user: "alice", name2: "alice@example.com", person: alice},
		{shape: idptest.Auth0(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{name: "an older Auth0 tenant", shape: older, groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{shape: idptest.GitLab(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{shape: idptest.Dex(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{shape: idptest.Authentik(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		// A refresh there brings no ID token: the access token tells what has changed, and what it leaves out stays.
		{shape: idptest.ADFS(), groups: "staff,admins", later: "admins", user: "alice", name2: "alice", person: alice},
		{name: "one group at AD FS", shape: idptest.ADFS(), groups: "staff", later: "staff", user: "alice", name2: "alice",
			person: with(func(p *idptest.Person) { p.Groups = []string{"staff"} })},
	} {
		name := row.name
		if name == "" {
			name = row.shape.Name
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newShapeRig(t, row.shape, row.shape.Name, row.person)
			b := r.browser()
			if landed := b.signIn(); landed.StatusCode != http.StatusFound {
				t.Fatalf("the login: %s\n%s\n%s", landed.Status, landed.body, r.log)
			}
			groups, headers := b.identity()
			if groups != row.groups {
				t.Errorf("groups %q, want %q", groups, row.groups)
			}
			if user := headers.Get("X-Auth-Request-User"); user != row.user {
				t.Errorf("user %q, want %q", user, row.user)
			}
			if name := headers.Get("X-Auth-Request-Preferred-Username"); name != row.name2 {
				t.Errorf("preferred user name %q, want %q", name, row.name2)
			}

			// Twice: what the first refresh gave has to be good for the second.
			changed := row.person
			if len(changed.Groups) > 0 {
				changed.Groups = changed.Groups[1:]
			}
			r.provider.SetPerson(changed)
			for n := range 2 {
				r.advance(6 * time.Minute)
				if groups, _ := b.identity(); groups != row.later {
					t.Errorf("groups after refresh %d: %q, want %q", n+1, groups, row.later)
				}
			}
			if counts := r.provider.Counts("alice"); counts.Refreshes != 2 || counts.RefreshReuses != 0 {
				t.Errorf("the provider saw %+v\n%s", counts, r.log)
			}
			r.signsOut(b, row.shape)

			// Whoever the provider refuses to refresh is signed out, whatever it calls that.
			ended := r.browser()
			ended.signIn()
			r.provider.Revoke("alice")
			r.advance(6 * time.Minute)
			if verdict := ended.auth(""); verdict.StatusCode != http.StatusUnauthorized {
				t.Errorf("after the provider ended the grant: %s", verdict.Status)
			}
			r.endsByBackchannel(row.shape)
			r.keepsSecrets()
		})
	}
}

// signsOut signs a browser out, here and where the provider has a way, there.
func (r *rig) signsOut(b *browser, shape idptest.Shape) {
	r.t.Helper()
	cookie := b.sessionCookie()
	atProvider := !slices.Contains(shape.Missing, "end_session_endpoint")
	request, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/logout", nil)
	if err != nil {
		r.t.Fatal(err)
	}
	answer := b.send(request, http.Header{"Sec-Fetch-Site": {"same-origin"}})
	if address := answer.Request.URL.String(); answer.StatusCode != http.StatusOK || address != r.url+"/signed_out" {
		r.t.Errorf("the logout ended with %s at %.80q", answer.Status, address)
	}
	if seen := r.provider.Count(idptest.EndSession) == 1; seen != atProvider {
		r.t.Errorf("the provider was told: %v", seen)
	}
	if gone := len(r.provider.SessionIDs("alice")) == 0; gone != atProvider {
		r.t.Errorf("the provider's own session is gone: %v", gone)
	}
	if revoked, offered := r.provider.Count(idptest.Revocation), !slices.Contains(shape.Missing, "revocation_endpoint"); (revoked == 1) != offered {
		r.t.Errorf("%d refresh tokens were revoked", revoked)
	}
	r.everywhere(cookie, http.StatusUnauthorized)
}

// endsByBackchannel has the provider end sessions by itself, where it can: one by its sid, then all of a user.
func (r *rig) endsByBackchannel(shape idptest.Shape) {
	r.t.Helper()
	if slices.Contains(shape.Missing, "backchannel_logout_supported") {
		return
	}
	var cookies [3]string
	for i := range cookies {
		b := r.browser()
		b.signIn()
		cookies[i] = b.sessionCookie()
	}
	client := r.replicas[0].sites.Load().main.providers[0].clientID
	sessions := r.provider.SessionIDs("alice")
	if len(sessions) != len(cookies) {
		r.t.Fatalf("%d provider sessions", len(sessions))
	}
	checkBackchannel(r.t, r.backchannel(0, r.provider.LogoutToken(client, "alice", sessions[0], nil)), http.StatusOK)
	for i, status := range []int{http.StatusUnauthorized, http.StatusOK, http.StatusOK} {
		r.everywhere(cookies[i], status)
	}
	checkBackchannel(r.t, r.backchannel(1, r.provider.LogoutToken(client, "alice", "", func(header, _ map[string]any) { header["typ"] = "JWT" })), http.StatusOK)
	for _, cookie := range cookies {
		r.everywhere(cookie, http.StatusUnauthorized)
	}
}

// TestReadmesOfProviders loads what the READMEs show, with keys where their files are.
func TestReadmesOfProviders(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, newPair(t))
	for _, file := range []string{"../README.md", "../examples/providers/README.md"} {
		readme, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		shown := 0
		for _, rest := range strings.Split(string(readme), "```yaml\n")[1:] {
			block, _, _ := strings.Cut(rest, "```")
			if !strings.Contains(block, "client_key_file") {
				continue
			}
			shown++
			path := filepath.Join(dir, "authsvc.yaml")
			writeFile(t, path, []byte(strings.ReplaceAll(block, "/etc/authsvc/", dir+"/")))
			c, err := Load(path, []string{
				"AUTHSVC_PUBLIC_URL=https://app.example.com", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=app",
				"AUTHSVC_COOKIE_SECRET=" + cookieSecret(1).Reveal(), "AUTHSVC_STORE_URL=redis://127.0.0.1",
			})
			if err != nil {
				t.Errorf("%s: %v", file, err)
			} else if _, warnings := c.Validate(); len(warnings) > 0 {
				t.Errorf("%s: %v", file, warnings)
			}
		}
		if shown != 1 {
			t.Errorf("%s shows %d clients with keys", file, shown)
		}
	}
}

// TestShapesAreExemplified holds the shapes and the examples to each other.
func TestShapesAreExemplified(t *testing.T) {
	readme, err := os.ReadFile("../examples/providers/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, shape := range idptest.Shapes() {
		c, err := Load("../examples/providers/"+shape.Name+".yaml", []string{"AUTHSVC_OIDC_CLIENT_SECRET=hush", "AUTHSVC_COOKIE_SECRET=" + cookieSecret(1).Reveal()})
		if err != nil {
			t.Errorf("%s: %v", shape.Name, err)
			continue
		}
		if _, warnings := c.Validate(); len(warnings) > 0 {
			t.Errorf("%s: %v", shape.Name, warnings)
		}
		issuer, err := url.Parse(c.OIDC.Issuer)
		if err != nil || issuer.Scheme != "https" || issuer.Path != shape.IssuerPath {
			t.Errorf("%s: the example's issuer is %s, and the shape's path %q", shape.Name, c.OIDC.Issuer, shape.IssuerPath)
		}
		if !strings.Contains(string(readme), "("+shape.Name+".yaml)") {
			t.Errorf("%s: the README does not speak of it", shape.Name)
		}
		if len(shape.Sources) == 0 {
			t.Errorf("%s: nobody can look its facts up", shape.Name)
		}
	}
}

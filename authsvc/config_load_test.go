package authsvc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

// onlyFile returns a fileReader that knows one file.
func onlyFile(path, content string) fileReader {
	return func(name string, limit int64) ([]byte, error) {
		if name != path || int64(len(content)) > limit {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(content), nil
	}
}

// problemsOf returns what Load tells about a file, or fails.
func problemsOf(t *testing.T, content string, environ ...string) []Problem {
	t.Helper()
	_, err := load("a.yaml", environ, onlyFile("a.yaml", content))
	bad, ok := errors.AsType[*ConfigError](err)
	if !ok {
		t.Fatalf("got %v, want problems", err)
	}
	return bad.Problems
}

func TestProblemHasItsPlace(t *testing.T) {
	problems := problemsOf(t, "oidc:\n  isuer: x\n", "AUTHSVC_LOG_LEVEL=loud")
	want := []Problem{
		{File: "a.yaml", Line: 2, Key: "oidc.isuer", Wrong: "is not a key", Right: "did you mean oidc.issuer?"},
		{Variable: "AUTHSVC_LOG_LEVEL", Key: "log.level", Wrong: `"loud" is not one of its words`, Right: "write debug, info, warn or error"},
	}
	for _, w := range want {
		found := false
		for _, p := range problems {
			found = found || p == w
		}
		if !found {
			t.Errorf("no %+v in\n%v", w, &ConfigError{problems})
		}
	}
}

// TestMisplacedSecretsStayUntold has the ways in which people misspell YAML around a secret.
func TestMisplacedSecretsStayUntold(t *testing.T) {
	for _, content := range []string{
		marker,
		"- " + marker,
		"oidc:\n  client_secret:" + marker,
		"oidc:\n  issuer: https://id.example.com\n  client_secret:" + marker,
		"oidc:\n  client_id: app\n  client_secret:" + marker,
		"oidc: {client_secret:" + marker + "}",
		"oidc: {" + marker + "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=: 1}",
		"oidc: {client_secret: {a: " + marker + "}}",
		"oidc: {client_secret: [" + marker + "]}",
		"oidc: {client_secret: *" + marker + "}",
		"oidc: {client_secret: &" + marker + "}",
		"oidc: {client_secret: !" + marker + " x}",
		"oidc: {client_secret: %" + marker + "}",
		"oidc: {client_secret: @" + marker + "}",
		"oidc: {client_secret: \"" + marker + "}",
		"oidc: {client_secret: \"\\x" + marker + "\"}",
		"oidc:\n  client_secret: |\n    " + marker,
		"oidc:\n\tclient_secret: " + marker,
		"oidc: {client_secret: " + marker + ", client_secret_file: x}",
		"oidc: {client_secret: " + marker + ", client_secret: " + marker + "}",
		"oidc: {issuer: \"https://" + marker + "@id.example.com\"}",
		"public_url: https://me:" + marker + "@app.example.com",
		"cookie: {secret: " + marker + "}",
		"cookie: {secret: [" + marker + ", " + marker + "]}",
		"store: {url: \"" + marker + "\"}",
		"store: {url: \"redis://:" + marker + "\"}",
		"store: {url: \"redis://:" + marker + "?x@host\"}",
		"store: {url: \"redis://u:x?" + marker + "&y@host\"}",
		"store: {url: \"redis://u:x/" + marker + "@host\"}",
		"store: {url: \"redis://u:x#" + marker + "@host\"}",
		"store: {url: \"redis://u:" + marker + "%@host\"}",
		"store: {url: \"redis://u:@" + marker + "@host\"}",
		"store: {url: \"redis://host?sentinel_password=" + marker + "\"}",
		"store: {url: \"redis+sentinel://host/m?sentinel_password=%" + marker + "\"}",
		"store: {url: \"redis+sentinel://host/m?sentinel_password=x&" + marker + "\"}",
		"store: {password: \"a\\n" + marker + "\"}",
		"admin_token: [" + marker + "]",
		"oidc: {client_secret_file: " + marker + "}",
	} {
		for _, problem := range problemsOf(t, content) {
			if strings.Contains(problem.String(), marker) {
				t.Errorf("%q: %s", content, problem)
			}
		}
	}
}

func TestLoadBoundsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, bytes.Repeat([]byte("#\n"), maxConfigSize/2+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(path, nil)
	if err == nil || !strings.Contains(err.Error(), "more than 1048576 bytes") {
		t.Errorf("got %v", err)
	}
}

func TestLoadWithoutItsFile(t *testing.T) {
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), []string{"AUTHSVC_LOG_LEVEL=loud", "AUTHSVC_X=1"})
	bad, ok := errors.AsType[*ConfigError](err)
	if !ok || len(bad.Problems) != 3 {
		t.Fatalf("got %v, want three problems", err)
	}
	if !strings.HasSuffix(bad.Problems[0].File, "none.yaml") || bad.Problems[1].Variable != "AUTHSVC_LOG_LEVEL" || bad.Problems[2].Variable != "AUTHSVC_X" {
		t.Errorf("got %v", bad)
	}
}

func TestSecretFile(t *testing.T) {
	one := Key{kind: secretType}
	verbatim := Key{kind: secretType, verbatim: true}
	list := keyAt(t, "cookie.secret")
	for _, test := range []struct {
		name    string
		key     Key
		content string
		want    []Secret
	}{
		{"as it is", one, "a b", []Secret{"a b"}},
		{"one final newline", one, "a\n", []Secret{"a"}},
		{"one final newline of Windows", one, "a\r\n", []Secret{"a"}},
		{"spaces stay", one, " a \n", []Secret{" a "}},
		{"two final newlines", one, "a\n\n", nil},
		{"nothing", one, "", nil},
		{"a newline only", one, "\n", nil},
		{"byte for byte", verbatim, "\x00\xff\n", []Secret{"\x00\xff\n"}},
		{"byte for byte, nothing", verbatim, "", nil},
		{"one a line", list, "a\nb\n", []Secret{"a", "b"}},
		{"one a line, of Windows, with empty ones", list, "a\r\n\r\nb\r\n", []Secret{"a", "b"}},
		{"one a line, nothing", list, "\n\n", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := readSecretFile("f", test.key, onlyFile("f", test.content))
			if (err == nil) != (test.want != nil) {
				t.Fatalf("got error %v", err)
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %d secrets, want %d", len(got), len(test.want))
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("secret %d: got %q, want %q", i, got[i].Reveal(), test.want[i].Reveal())
				}
			}
		})
	}
}

func keyAt(t *testing.T, path string) Key {
	t.Helper()
	for _, k := range keys {
		if k.Path == path {
			return k
		}
	}
	t.Fatalf("no key %s", path)
	return Key{}
}

func TestLoadedValues(t *testing.T) {
	secret := "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	c, err := Load("", []string{
		"AUTHSVC_PUBLIC_URL=https://app.example.com/",
		"AUTHSVC_OIDC_ISSUER=https://id.example.com/",
		"AUTHSVC_OIDC_CLIENT_ID=app",
		"AUTHSVC_OIDC_CLIENT_SECRET= hush ",
		"AUTHSVC_COOKIE_SECRET=" + secret + ",_--_" + secret[4:] + "=",
		"AUTHSVC_TRUSTED_PROXIES=10.1.2.3/8,::1",
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.PublicURL != "https://app.example.com" || c.OIDC.Issuer != "https://id.example.com/" {
		t.Errorf("a final / goes from public_url and stays on the issuer: %s %s", c.PublicURL, c.OIDC.Issuer)
	}
	if c.OIDC.ClientSecret.Reveal() != " hush " || c.OIDC.ClientAuth != "basic" {
		t.Errorf("got secret %q, client_auth %q", c.OIDC.ClientSecret.Reveal(), c.OIDC.ClientAuth)
	}
	if got := fmt.Sprint(c.TrustedPrefixes()); got != "[10.0.0.0/8 ::1/128]" {
		t.Errorf("got networks %s", got)
	}
	decoded := c.CookieKeys()
	if len(decoded) != 2 || len(decoded[0]) != 32 || decoded[0][31] != 31 || len(decoded[1]) != 32 || !bytes.HasPrefix(decoded[1], []byte{0xff, 0xef, 0xbf}) {
		t.Errorf("got keys %x", decoded)
	}
}

// FuzzLoad reads any file with any environment: it is good, and what is printed of it is as good and says the same when it is read, or each mistake is told in a line with
// its place.
func FuzzLoad(f *testing.F) {
	cases, err := filepath.Glob("testdata/config/*_*.txt")
	if err != nil || len(cases) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range cases {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		found := sections(string(content))
		f.Add(found["authsvc.yaml"], found["env"])
	}
	f.Fuzz(func(t *testing.T, content, environ string) {
		c, err := load("a.yaml", strings.Split(environ, "\n"), onlyFile("a.yaml", content))
		if err == nil {
			if problems, _ := c.Validate(); len(problems) > 0 {
				t.Fatalf("good, and yet %v", problems)
			}
			readsAsPrinted(t, c)
			return
		}
		bad, ok := errors.AsType[*ConfigError](err)
		if !ok || len(bad.Problems) == 0 {
			t.Fatalf("got %v, want problems", err)
		}
		for _, problem := range bad.Problems {
			if line := problem.String(); strings.ContainsAny(line, "\r\n\x1b") || problem.Wrong == "" || problem.Right == "" {
				t.Errorf("not one line that says what is wrong and what is right: %q", line)
			}
			if problem.Variable == "" && problem.File == "" {
				t.Errorf("without a place: %s", problem)
			}
		}
	})
}

// readsAsPrinted prints a configuration and reads that. What is masked comes from the environment where it has to be a good one; headers that were removed are not
// printed, and are there again.
func readsAsPrinted(t *testing.T, c *Config) {
	t.Helper()
	printed, again := printedYAML(t, c)
	environ := []string{"AUTHSVC_STORE_URL=" + c.Store.URL.Reveal()}
	var secrets []string
	for _, secret := range c.Cookie.Secret {
		secrets = append(secrets, secret.Reveal())
	}
	environ = append(environ, "AUTHSVC_COOKIE_SECRET="+strings.Join(secrets, ","))
	c2, err := load("b.yaml", environ, onlyFile("b.yaml", printed))
	if err != nil {
		t.Fatalf("%v in what was printed:\n%s", err, printed)
	}
	text, reread := printedYAML(t, c2)
	for _, tree := range []map[string]any{again, reread} {
		delete(tree, "headers")
	}
	if !reflect.DeepEqual(again, reread) {
		t.Fatalf("printed, read and printed again, this\n%s\nis\n%s", printed, text)
	}
	for name, header := range c.Headers {
		if c2.Headers[name] != header {
			t.Fatalf("the header %s is %+v, and was %+v", name, c2.Headers[name], header)
		}
	}
}

func printedYAML(t *testing.T, c *Config) (text string, tree map[string]any) {
	t.Helper()
	var out bytes.Buffer
	if err := c.WriteYAML(&out); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(out.Bytes(), &tree); err != nil {
		t.Fatalf("%v in\n%s", err, out.String())
	}
	return out.String(), tree
}

// FuzzLoadHidesSecrets puts any secret into every place for one.
func FuzzLoadHidesSecrets(f *testing.F) {
	for _, seed := range []string{"", "@", "/", "?", "#", "%", "a,b", "\n", "\x00", "://", "&x=", "\xff", "=", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, inner string) {
		secret := marker + inner + marker
		encoded, _ := json.Marshal(secret)
		inURL := strings.ReplaceAll(secret, "&", "%26") // or else it is another parameter
		url, _ := json.Marshal("redis+sentinel://user:" + inURL + "@host/main/0?sentinel_password=" + inURL)
		content := fmt.Sprintf(`{"public_url": "https://app.example.com", "admin_token": %[1]s, "oidc": {"client_id": "app", "client_secret": %[1]s},
 "store": {"url": %[2]s, "password": %[1]s}, "cookie": {"secret": [%[1]s]}}`, encoded, url)
		for _, environ := range [][]string{nil, {"AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_COOKIE_SECRET=" + strings.Repeat("A", 43), "AUTHSVC_STORE_PASSWORD=" + secret}} {
			c, err := load("a.yaml", environ, onlyFile("a.yaml", content))
			var told bytes.Buffer
			if err != nil {
				told.WriteString(err.Error())
			} else if err := c.WriteYAML(&told); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(told.String(), marker) {
				t.Errorf("told: %s", told.String())
			}
		}
	})
}

// TestLoadTellsWhy: whoever follows the files can tell that the system has no room for another open one from files that are wrong.
func TestLoadTellsWhy(t *testing.T) {
	const path = "authsvc.yaml"
	const named = "public_url: https://app.example.com\noidc: {issuer: https://id.example.com, client_id: app, client_secret: hidden, ca_file: bundle}\n" +
		"cookie: {secret_file: secrets}\nstore: {url: \"redis://127.0.0.1\"}\n"
	for _, full := range []string{path, "secrets", "bundle"} {
		t.Run(full, func(t *testing.T) {
			_, err := load(path, nil, func(asked string, limit int64) ([]byte, error) {
				switch asked {
				case full:
					return nil, &fs.PathError{Op: "open", Path: asked, Err: syscall.EMFILE}
				case path:
					return []byte(named), nil
				}
				return bytes.Repeat([]byte("k"), 32), nil
			})
			if !errors.Is(err, syscall.EMFILE) {
				t.Errorf("got %v", err)
			}
		})
	}
}

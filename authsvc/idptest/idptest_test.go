package idptest_test

import (
	"go/build"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if strings.HasPrefix(path, "authsvc/") {
			t.Errorf("idptest imports %s: a twin of an outside party knows nothing of ours, or it would share our mistakes", path)
		}
		if path == "testing" || path == "net/http/httptest" {
			t.Errorf("idptest imports %s: the demo imports idptest and has no business with a test's flags", path)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for name, o := range map[string]idptest.Options{
		"no issuer":              {},
		"issuer with query":      {Issuer: "http://a.test/?x=1"},
		"algorithm":              {Issuer: "http://a.test", Algorithm: "HS256"},
		"client without ID":      {Issuer: "http://a.test", Clients: []idptest.Client{{}}},
		"relative redirect":      {Issuer: "http://a.test", Clients: []idptest.Client{{ID: "a", RedirectURIs: []string{"/callback"}}}},
		"redirect with fragment": {Issuer: "http://a.test", Clients: []idptest.Client{{ID: "a", RedirectURIs: []string{"http://a.test/#x"}}}},
		"person without subject": {Issuer: "http://a.test", People: []idptest.Person{{Name: "Alice"}}},
	} {
		if _, err := idptest.New(o); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

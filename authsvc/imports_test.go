package authsvc

import (
	"go/build"
	"strings"
	"testing"
)

// TestImports holds the package to the picture of the house: it speaks HTTP and OpenID Connect, knows sessions by their contract, and no
// store, gateway or command.
func TestImports(t *testing.T) {
	allowed := map[string]string{
		"authsvc/session":       "the contract that every store keeps",
		"authsvc/authsvc/pages": "the pages that a person sees",

		"github.com/coreos/go-oidc/v3/oidc":                       "ID tokens",
		"golang.org/x/oauth2":                                     "the authorization request",
		"github.com/go-jose/go-jose/v4":                           "signatures",
		"github.com/go-chi/chi/v5":                                "routes",
		"github.com/rs/zerolog":                                   "logs",
		"github.com/prometheus/client_golang/prometheus":          "metrics",
		"github.com/prometheus/client_golang/prometheus/promhttp": "metrics",
		"github.com/fxamacker/cbor/v2":                            "what is sealed into state",
		"go.yaml.in/yaml/v3":                                      "the configuration",
		"golang.org/x/net/idna":                                   "one spelling for each domain of an address",
		"cel.dev/cel-go/cel":                                      "expressions in rules",
		"cel.dev/cel-go/checker":                                  "what an expression may cost",
		"cel.dev/cel-go/common/ast":                               "what an expression looks at",
		"cel.dev/cel-go/common/types":                             "the values of an expression",
		"cel.dev/cel-go/common/types/ref":                         "the values of an expression",
		"cel.dev/cel-go/common/types/traits":                      "the values of an expression",
		"cel.dev/cel-go/interpreter":                              "the variables of an expression",
		"golang.org/x/text/unicode/norm":                          "characters that some readers take for others",
		"golang.org/x/net/publicsuffix":                           "which domains a cookie may have",
		"github.com/maypok86/otter/v2":                            "what is known of bearer tokens, assertions that are kept for a moment, and whose logins are counted",
		"golang.org/x/time/rate":                                  "how many logins an address may begin",
		"golang.org/x/net/http/httpguts":                          "which names a header may have",
	}
	// What is tempting, and why not.
	forbidden := map[string]string{
		"authsvc/session/redisstore": "the service must work with any store; cmd/authsvc chooses one",
		"authsvc/session/memstore":   "the service must work with any store; cmd/authsvc chooses one",
		"authsvc/session/storetest":  "test code must not reach the binary",
		"authsvc/authsvc/idptest":    "test code must not reach the binary",
		"authsvc/nginx":              "the verdict must not know a gateway's configuration",
		"github.com/redis":           "go-redis belongs to session/redisstore alone",
		"github.com/spf13":           "commands and flags belong to cmd/authsvc",
		"testing":                    "test code must not reach the binary",
		"os/exec":                    "the service starts no programs",
	}
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		for prefix, reason := range forbidden {
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				t.Errorf("%s imports %s: %s", pkg.Name, path, reason)
			}
		}
		first, _, _ := strings.Cut(path, "/")
		standard := first != "authsvc" && !strings.Contains(first, ".")
		if _, known := allowed[path]; !standard && !known {
			t.Errorf("%s imports %s, which the picture of the house does not have; if it belongs there, add it here with what it is for", pkg.Name, path)
		}
	}
}

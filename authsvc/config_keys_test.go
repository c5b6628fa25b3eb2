package authsvc

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// interfaceKeys returns the keys of testdata/config/keys.txt with their defaults.
func interfaceKeys(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile("testdata/config/keys.txt")
	if err != nil {
		t.Fatal(err)
	}
	defaults := make(map[string]string)
	for line := range strings.Lines(string(content)) {
		if path, value, found := strings.Cut(strings.TrimSpace(line), " "); found && path != "#" {
			defaults[path] = strings.TrimPrefix(value, "-")
		}
	}
	return defaults
}

func TestKeysAreThoseOfTheInterface(t *testing.T) {
	got := make(map[string]string)
	for _, k := range Keys() {
		got[k.Path] = k.Default
		if k.Twin {
			got[k.Path+fileTwin] = ""
		}
		if k.Doc == "" {
			t.Errorf("%s says nothing about itself", k.Path)
		}
	}
	want := interfaceKeys(t)
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestVariableNames(t *testing.T) {
	want := map[string]string{
		"public_url":                        "AUTHSVC_PUBLIC_URL",
		"oidc.client_id":                    "AUTHSVC_OIDC_CLIENT_ID",
		"tls.cert_file":                     "AUTHSVC_TLS_CERT_FILE",
		"cookie.same_site":                  "AUTHSVC_COOKIE_SAME_SITE",
		"config_generation":                 "AUTHSVC_CONFIG_GENERATION",
		"legacy.oauth2_proxy.cookie_secret": "AUTHSVC_LEGACY_OAUTH2_PROXY_COOKIE_SECRET",
	}
	owner := map[string]string{configVariable: "the path of the file"}
	for _, k := range Keys() {
		if name, ok := want[k.Path]; ok && k.Variable != name {
			t.Errorf("%s: got %s, want %s", k.Path, k.Variable, name)
		}
		delete(want, k.Path)
		names := []string{k.Variable}
		if k.Twin {
			names = append(names, k.Variable+"_FILE")
		}
		for _, name := range names {
			if owner[name] != "" {
				t.Errorf("%s stands for %s and for %s", name, owner[name], k.Path)
			}
			if serviceLink().MatchString(name) {
				t.Errorf("%s looks like a service link of Kubernetes", name)
			}
			owner[name] = k.Path
		}
	}
	if len(want) > 0 {
		t.Errorf("no such keys: %v", want)
	}
}

func TestJSONVariables(t *testing.T) {
	var got []string
	for _, k := range Keys() {
		if k.JSON {
			got = append(got, k.Path)
		}
	}
	if want := []string{"oidc.auth_params", "providers", "headers", "rules", "bearer", "sites"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestServiceLinks has what Kubernetes injects for services in the pod's namespace.
func TestServiceLinks(t *testing.T) {
	for name, want := range map[string]bool{
		"AUTHSVC_SERVICE_HOST":            true,
		"AUTHSVC_SERVICE_PORT":            true,
		"AUTHSVC_SERVICE_PORT_HTTP_ADMIN": true,
		"AUTHSVC_PORT":                    true,
		"AUTHSVC_PORT_4180_TCP":           true,
		"AUTHSVC_PORT_4180_TCP_ADDR":      true,
		"AUTHSVC_REDIS_PORT_6379_TCP":     true,
		"AUTHSVC_LISTEN":                  false,
		"AUTHSVC_SERVICE_PORTS":           false,
		"AUTHSVC_REPORT":                  false,
		"AUTHSVC_PORT_X_TCP":              false,
	} {
		if serviceLink().MatchString(name) != want {
			t.Errorf("%s: got %v", name, !want)
		}
	}
}

func TestSchemaKnowsEveryKey(t *testing.T) {
	var written bytes.Buffer
	if err := WriteSchema(&written); err != nil {
		t.Fatal(err)
	}
	var schema map[string]any
	if err := json.Unmarshal(written.Bytes(), &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", schema["$schema"])
	}
	for path, value := range interfaceKeys(t) {
		at := schema
		for name := range strings.SplitSeq(path, ".") {
			if at["additionalProperties"] != false {
				t.Errorf("%s: its section lets unknown keys pass", path)
			}
			properties, _ := at["properties"].(map[string]any)
			at, _ = properties[name].(map[string]any)
		}
		if at == nil || at["description"] == "" || at["type"] == nil {
			t.Errorf("%s: not in the schema, or without description or type: %v", path, at)
			continue
		}
		if _, has := at["default"]; has != (value != "") {
			t.Errorf("%s: the schema's default is %v, want %q", path, at["default"], value)
		}
	}
}

func TestDefaultConfigIsAllDefaults(t *testing.T) {
	c := DefaultConfig()
	for _, k := range keys {
		if !k.isDefault(reflect.ValueOf(c).Elem()) {
			t.Errorf("%s is not its default", k.Path)
		}
	}
}

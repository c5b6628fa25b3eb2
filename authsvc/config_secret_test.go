package authsvc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v3"
)

// fillSecrets sets every Secret and StoreURL below value, lists of sections with one entry each, and counts them.
func fillSecrets(value reflect.Value) int {
	switch {
	case value.Type() == secretType:
		value.SetString(marker)
		return 1
	case value.Type() == storeURLType:
		value.SetString("redis://user:" + marker + "@host/0?sentinel_password=" + marker)
		return 1
	case value.Type() == reflect.TypeFor[SiteConfig]():
		site := DefaultConfig()
		value.Set(reflect.ValueOf(SiteConfig{site}))
		return fillSecrets(reflect.ValueOf(&site.OIDC).Elem()) + fillSecrets(reflect.ValueOf(&site.Cookie).Elem())
	case value.Kind() == reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		return fillSecrets(value.Index(0))
	case !isSection(value.Type()):
		return 0
	}
	count := 0
	for _, k := range fieldsOf(value.Type()) {
		count += fillSecrets(value.FieldByIndex(k.index))
	}
	return count
}

func TestNothingPrintsSecrets(t *testing.T) {
	c := DefaultConfig()
	if count := fillSecrets(reflect.ValueOf(c).Elem()); count < 10 {
		t.Fatalf("only %d secrets found", count)
	}
	printed := map[string]string{
		"error": fmt.Errorf("wrapped: %v %w", c.AdminToken, fmt.Errorf("%s", c.Store.URL)).Error(),
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s"} {
		printed[verb] = fmt.Sprintf(verb, *c)
		printed[verb+" of one"] = fmt.Sprintf(verb+verb, c.AdminToken, c.Store.URL)
	}
	var written bytes.Buffer
	if err := c.WriteYAML(&written); err != nil {
		t.Fatal(err)
	}
	printed["WriteYAML"] = written.String()
	for name, marshal := range map[string]func(any) ([]byte, error){"json": json.Marshal, "yaml": yaml.Marshal} {
		encoded, err := marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		printed[name] = string(encoded)
	}
	var logged bytes.Buffer
	zero := zerolog.New(&logged)
	zero.Info().Any("config", c).Interface("secret", c.AdminToken).Stringer("url", c.Store.URL).Send()
	slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "secret", c.AdminToken, "url", c.Store.URL, "config", *c)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "secret", c.AdminToken, "url", c.Store.URL, "config", *c)
	printed["logs"] = logged.String()

	hexMarker := fmt.Sprintf("%x", marker)
	for how, text := range printed {
		if strings.Contains(text, marker) || strings.Contains(strings.ToLower(text), hexMarker) {
			t.Errorf("%s prints a secret: %s", how, text)
		}
	}
	if c.AdminToken.Reveal() != marker || !strings.Contains(c.Store.URL.Reveal(), marker) {
		t.Error("Reveal does not return the text itself")
	}
}

func TestStoreURLIsMasked(t *testing.T) {
	for address, want := range map[string]string{
		"memory:":                  "memory:",
		"redis://host:6379/0":      "redis://host:6379/0",
		"redis://user:pw@host/0":   "redis://user:[redacted]@host/0",
		"redis://:pw@host":         "redis://:[redacted]@host",
		"redis://pw@host":          "redis://[redacted]@host",
		"redis://user:p@w@host":    "redis://user:[redacted]@host",
		"redis://user:p/w?x@host":  "redis://user:[redacted]@host",
		"redis://user:p#w@host":    "redis://user:[redacted]@host",
		"user:pw@host":             "user:[redacted]@host",
		"unix:///run/redis?db=1":   "unix:///run/redis?db=1",
		"redis://host?password=pw": "redis://host?[redacted]",
		"redis+sentinel://a,b/m?sentinel_user=u&sentinel_password=pw": "redis+sentinel://a,b/m?sentinel_user=u&sentinel_password=[redacted]",
	} {
		if got := StoreURL(address).String(); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}

// marker stands in secrets, and must stand nowhere else.
const marker = "S3cr3tM4rk"

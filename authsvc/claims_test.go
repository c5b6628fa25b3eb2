package authsvc

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"authsvc/session"
)

func TestClaim(t *testing.T) {
	s := &session.Session{
		Subject: "alice", Issuer: "https://login.example.com", ProviderSession: "s1", ACR: "gold",
		Claims: map[string]any{
			"sub": "mallory", "iss": "evil", "sid": "evil", "acr": "evil", // cannot be there, and would not count
			"https://example.com/roles": []any{"namespaced"},
			"realm_access":              map[string]any{"roles": []any{"nested"}, "a.b": "dotted key in an object"},
			"realm_access.roles":        []any{"exact name first"},
			"a":                         map[string]any{"b": map[string]any{"c": int64(5)}},
			"a.b":                       map[string]any{"d": "split behind the second"},
			"empty":                     "",
			"null":                      nil,
			"":                          "no name",
			"number":                    int64(5),
		},
	}
	for path, want := range map[string]any{
		"sub": "alice", "iss": "https://login.example.com", "sid": "s1", "acr": "gold",
		"https://example.com/roles": []any{"namespaced"}, "realm_access.roles": []any{"exact name first"}, "realm_access.a.b": "dotted key in an object",
		"a.b.c": int64(5), "a.b.d": "split behind the second", "a.b.x": nil, "a.x": nil, "x": nil, "x.y": nil, "number.x": nil, "null": nil, "empty": "",
		"": "no name", ".": nil, "..": nil, "a.": nil, ".a": nil, "a..b": nil, "REALM_ACCESS": nil,
	} {
		if got := claim(s, path); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
	}
}

func TestClaimTexts(t *testing.T) {
	for _, test := range []struct {
		value any
		want  []string
	}{
		{nil, nil}, {"", nil}, {"a", []string{"a"}}, {true, []string{"true"}}, {false, []string{"false"}}, {int64(-5), []string{"-5"}},
		{int64(1) << 62, []string{"4611686018427387904"}}, {1.5, []string{"1.5"}}, {1e21, []string{"1000000000000000000000"}},
		{[]any{"a", "", int64(1), nil, true, []any{"x"}, map[string]any{"y": "z"}, "b"}, []string{"a", "1", "true", "b"}},
		{[]any{}, nil}, {map[string]any{"a": "b"}, nil},
	} {
		if got := claimTexts(test.value); !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, want %q", test.value, got, test.want)
		}
	}
}

func TestGroups(t *testing.T) {
	s := &session.Session{Claims: map[string]any{"groups": []any{"a", "b", "a"}, "roles": "c", "realm": map[string]any{"roles": []any{"b", "d"}}}}
	if got := groups(s, []string{"roles", "groups", "realm.roles", "missing"}); !slices.Equal(got, []string{"c", "a", "b", "d"}) {
		t.Errorf("%q", got)
	}
	if got := groups(s, nil); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestDecodeClaims(t *testing.T) {
	for text, want := range map[string]map[string]any{
		`{}`:                              {},
		`{"a":1,"b":-1,"c":1.0,"d":1.5}`:  {"a": int64(1), "b": int64(-1), "c": 1.0, "d": 1.5},
		`{"a":9223372036854775807}`:       {"a": int64(9223372036854775807)},
		`{"a":9223372036854775808}`:       {"a": 9223372036854775808.0},
		`{"a":1e300,"b":1e400}`:           {"a": 1e300, "b": "1e400"},
		`{"a":"1","b":[1,{"c":2}],"d":0}`: {"a": "1", "b": []any{int64(1), map[string]any{"c": int64(2)}}, "d": int64(0)},
		`{"a":1,"a":2}`:                   {"a": int64(2)},
		`{"a":1,"A":2}`:                   {"a": int64(1), "A": int64(2)},
		` {"a":null} `:                    {"a": nil},
	} {
		if got, err := decodeClaims([]byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", `"a"`, "[]", "{", "{}}", "{}{}", `{"a":1}x`, `{"a":1},`, "\xff"} {
		if got, err := decodeClaims([]byte(text)); err == nil {
			t.Errorf("%q: %v, which is no object alone", text, got)
		}
	}
}

func TestNumericDate(t *testing.T) {
	for _, good := range []any{int64(1), int64(1) << 32, 1.5, int64(253402300799)} {
		if _, ok := numericDate(good); !ok {
			t.Errorf("%v is refused", good)
		}
	}
	for _, bad := range []any{nil, "1", int64(0), int64(-1), 0.0, -0.5, 1e300, int64(253402300800), int64(1) << 62, true, []any{int64(1)}} {
		if at, ok := numericDate(bad); ok {
			t.Errorf("%v is %v", bad, at)
		}
	}
}

func TestAboutTheUser(t *testing.T) {
	claims := map[string]any{"email": "e", "groups": "g", "custom": "c"}
	for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "nonce", "at_hash", "sid", "acr", "auth_time"} {
		claims[name] = "x"
	}
	if got := slices.Sorted(maps.Keys(aboutTheUser(claims))); !slices.Equal(got, []string{"custom", "email", "groups"}) {
		t.Errorf("%q", got)
	}
}

// TestGroupsOfAnObject: a member that says no is no group.
func TestGroupsOfAnObject(t *testing.T) {
	s := &session.Session{Claims: map[string]any{"roles": map[string]any{
		"reader": map[string]any{"1": "example.com"}, "writer": true, "admin": false, "owner": nil,
	}}}
	if got := groups(s, []string{"roles"}); !slices.Equal(got, []string{"reader", "writer"}) {
		t.Errorf("%q", got)
	}
}

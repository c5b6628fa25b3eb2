package authsvc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// planOf compiles headers, with the groups where they are by default.
func planOf(headers map[string]Header) *identityPlan {
	config := DefaultConfig()
	config.PublicURL, config.Headers = "https://app.example.com", headers
	plan := newIdentityPlan(config)
	return &plan
}

// renderAt renders a session as a verdict at that moment tells it, in the order of the headers' names, and how many values were left out.
func renderAt(now time.Time, headers map[string]Header, s *session.Session, t session.Tokens) (values []string, dropped int) {
	site := &site{identities: *planOf(headers)}
	id, cut := site.identities.render(s, t)
	values, err := (&Service{store: &faultyStore{Store: memstore.New(func() time.Time { return now })}}).tell(site, &asker{session: s}, id, t, asked{}, now)
	if err != nil {
		panic(err)
	}
	return values, cut.unfit + cut.beyond + cut.oversize + cut.tokens
}

// TestRenderIdentity renders what would break a header, or mean two things behind it.
func TestRenderIdentity(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := func(claims map[string]any) *session.Session {
		return &session.Session{Subject: "alice", Claims: claims}
	}
	headers := func(pairs ...string) map[string]Header {
		config := map[string]Header{}
		for i := 0; i < len(pairs); i += 2 {
			config[pairs[i]] = Header{Claim: pairs[i+1]}
		}
		return config
	}
	many := make([]any, 200)
	for i := range many {
		many[i] = fmt.Sprintf("%060d", i)
	}
	tests := []struct {
		name    string
		headers map[string]Header
		claims  map[string]any
		tokens  session.Tokens
		want    []string
		dropped int
	}{
		{"nothing to tell", headers("A", "x", "B", "@groups", "C", "@access_token"), nil, session.Tokens{}, []string{"", "", ""}, 0},
		{"single", headers("A", "sub", "B", "x"), map[string]any{"x": "y z"}, session.Tokens{}, []string{"alice", "y z"}, 0},
		{"UTF-8", headers("A", "x"), map[string]any{"x": "Zoë 李"}, session.Tokens{}, []string{"Zoë 李"}, 0},
		{"a comma in a single value stays", headers("A", "x"), map[string]any{"x": "Doe, Jane"}, session.Tokens{}, []string{"Doe, Jane"}, 0},
		{"a comma in a group", headers("A", "@groups"), map[string]any{"groups": []any{"a", "b,admins", "c"}}, session.Tokens{}, []string{"a,c"}, 1},
		{"a comma in a list", headers("A", "x"), map[string]any{"x": []any{"a,b", "c"}}, session.Tokens{}, []string{"c"}, 1},
		{"a comma in the one group that is no list", headers("A", "@groups"), map[string]any{"groups": "a,admins"}, session.Tokens{}, []string{""}, 1},
		{"a line end", headers("A", "x"), map[string]any{"x": "a\r\nX-Admin: yes"}, session.Tokens{}, []string{""}, 1},
		{"control bytes in groups", headers("A", "@groups"), map[string]any{"groups": []any{"a\x00", "b\n", "c\t", "d\x7f", "e"}}, session.Tokens{}, []string{"e"}, 4},
		{"spaces at the edges", headers("A", "@groups", "B", "x"), map[string]any{"groups": []any{" a", "b ", "c d"}, "x": " x"}, session.Tokens{}, []string{"c d", ""}, 3},
		{"too long", headers("A", "x", "B", "y"), map[string]any{"x": strings.Repeat("x", 3001), "y": "y"}, session.Tokens{}, []string{"", "y"}, 1},
		{"an access token", headers("A", "@access_token"), nil, session.Tokens{AccessToken: "t", Expiry: now.Add(time.Second)}, []string{"t"}, 0},
		{"an access token without an end", headers("A", "@access_token"), nil, session.Tokens{AccessToken: "t"}, []string{"t"}, 0},
		{"an access token that has ended", headers("A", "@access_token"), nil, session.Tokens{AccessToken: "t", Expiry: now}, []string{""}, 0},
		{"an access token with a line end", headers("A", "@access_token"), nil, session.Tokens{AccessToken: "t\nX: y"}, []string{""}, 1},
		{"an access token that is too long", headers("A", "@access_token"), nil, session.Tokens{AccessToken: strings.Repeat("t", 3000)}, []string{""}, 1},
		{"an object", headers("A", "x"), map[string]any{"x": map[string]any{"y": "z"}}, session.Tokens{}, []string{""}, 0},
	}
	for _, test := range tests {
		got, dropped := renderAt(now, test.headers, s(test.claims), test.tokens)
		if !slices.Equal(got, test.want) || dropped != test.dropped {
			t.Errorf("%s: %q and %d dropped, want %q and %d", test.name, got, dropped, test.want, test.dropped)
		}
	}

	t.Run("single values come before lists", func(t *testing.T) {
		got, dropped := renderAt(now, headers("A", "@groups", "Z", "x"), s(map[string]any{"groups": many, "x": strings.Repeat("x", 1000)}), session.Tokens{})
		kept := strings.Split(got[0], ",")
		if len(got[1]) != 1000 || len(kept) < 30 || len(kept)+dropped != 200 || len(got[0])+len(got[1])+2*(1+4) > maxIdentity {
			t.Errorf("%d groups, %d dropped, %d bytes", len(kept), dropped, len(got[0])+len(got[1]))
		}
		for i, group := range kept {
			if group != many[i] {
				t.Fatalf("group %d is %q: not in the provider's order, or not whole", i, group)
			}
		}
	})
}

func TestIdentityHeaders(t *testing.T) {
	got := identityHeaders(map[string]Header{"B": {Claim: "x"}, "A": {Claim: "@groups", Filter: "^a", Most: 3, Encoding: "json"}, "C": {}})
	if len(got) != 2 || got[0].Name != "A" || got[1].Name != "B" || got[0].filter == nil || got[0].most != 3 || got[0].encoding != encodeJSON || got[1].encoding != encodePlain {
		t.Errorf("%+v", got)
	}
	if found := positions(identityHeaders(map[string]Header{"B": {Claim: accessTokenValue}, "A": {Claim: "a"}, "C": {Claim: accessTokenValue}}), accessTokenValue); !slices.Equal(found, []int{1, 2}) {
		t.Errorf("the access token is at %v", found)
	}
}

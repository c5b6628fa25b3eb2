package authsvc

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"authsvc/session"
)

// rosterOf makes a roster, the oldest replica first; each word is a replica: its name, and behind a colon what changes its configuration.
func rosterOf(t *testing.T, replicas ...string) (roster []replica) {
	t.Helper()
	for i, word := range replicas {
		c := configOfReplica()
		name, changes, _ := strings.Cut(word, ":")
		ready := true
		for of := range strings.SplitSeq(changes, ",") {
			switch of {
			case "":
			case "name":
				c.Cookie.Name = "other"
			case "idle":
				c.Session.IdleTimeout++
			case "secret":
				c.OIDC.ClientSecret = "other"
			case "key":
				c.Cookie.Secret = []Secret{cookieSecret(2)}
			case "newkey":
				c.Cookie.Secret = []Secret{cookieSecret(2), cookieSecret(1)}
			case "generation":
				c.ConfigGeneration++
			case "waits":
				ready = false
			default:
				t.Fatalf("no change %q", of)
			}
		}
		r := entryOf(t, name, c)
		r.Started, r.Ready = int64(i), ready
		roster = append(roster, r)
	}
	return roster
}

// TestHeldBack: only a newcomer that must agree and does not is held back, by those who take requests and are not of a lower generation.
func TestHeldBack(t *testing.T) {
	for _, test := range []struct {
		newcomer string
		others   []string
		want     drift
	}{
		{"new", nil, drift{}},
		{"new", []string{"a", "b"}, drift{}},
		{"new:name", nil, drift{}},
		{"new:name", []string{"a", "b"}, drift{"cookie.name": {"a", "b"}}},
		{"new:name,key", []string{"a"}, drift{"cookie.name": {"a"}, "cookie.secret": {"a"}}},
		{"new:name", []string{"a:name", "b"}, drift{"cookie.name": {"b"}}},
		{"new:name", []string{"a:waits", "b:waits"}, drift{}},
		{"new", []string{"a", "b:name,waits"}, drift{}},
		{"new:idle,secret", []string{"a", "b"}, drift{}},
		{"new:newkey", []string{"a"}, drift{}},
		{"new:name,generation", []string{"a", "b"}, drift{}},
		{"new:name,generation", []string{"a", "b:generation"}, drift{"cookie.name": {"b"}}},
		{"new:name", []string{"a", "b:generation"}, drift{"cookie.name": {"a", "b"}}},
		{"new:generation", []string{"a:name", "b:name"}, drift{}},
	} {
		me := rosterOf(t, test.newcomer)[0]
		me.Ready = false
		me.Elsewhere = []sighting{{ID: "elsewhere"}}
		if got := me.heldBackBy(append(rosterOf(t, test.others...), me)); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s among %v is held back by %v, want %v", test.newcomer, test.others, got, test.want)
		}
	}
}

// TestDescribe: a replica drifts where it differs from most, and of two sides alike from the one with the oldest.
func TestDescribe(t *testing.T) {
	for _, test := range []struct{ roster, want []string }{
		{nil, nil},
		{[]string{"a"}, []string{""}},
		{[]string{"a", "b", "c"}, []string{"", "", ""}},
		{[]string{"a", "b:idle"}, []string{"", "session.idle_timeout"}},
		{[]string{"a:idle", "b", "c"}, []string{"session.idle_timeout", "", ""}},
		{[]string{"a", "b:name,waits", "c:name,waits"}, []string{"cookie.name", "", ""}},
		{[]string{"a", "b:key", "c:secret"}, []string{"", "cookie.secret", "oidc.client_secret"}},
		{[]string{"a:key,secret", "b", "c"}, []string{"cookie.secret", "", ""}},
		{[]string{"a", "b:newkey", "c:newkey"}, []string{"", "", ""}},
		{[]string{"a:newkey", "b:newkey", "c:key"}, []string{"", "", ""}},
		{[]string{"a", "b:newkey", "c:key"}, []string{"", "", "cookie.secret"}},
		{[]string{"a", "b:generation"}, []string{"", "config_generation"}},
	} {
		var got []string
		for _, r := range describe(rosterOf(t, test.roster...)) {
			got = append(got, strings.Join(r.Drift, " "))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%v: %q, want %q", test.roster, got, test.want)
		}
	}
}

// TestDescribeElsewhere: of two replicas on different stores the younger one drifts, whichever roster one reads.
func TestDescribeElsewhere(t *testing.T) {
	roster := rosterOf(t, "a", "b")
	met := sighting{ID: "other", Started: 1, Store: [16]byte{9}} // older than b by its name, younger than a
	roster[1].ID = "younger"
	roster[0].Elsewhere, roster[1].Elsewhere = []sighting{met}, []sighting{met}
	got := map[string]string{}
	for _, r := range describe(roster) {
		got[r.ID] = string(r.State) + " " + strings.Join(r.Drift, " ")
	}
	want := map[string]string{"a": "ready ", "other": "elsewhere store", "younger": "ready store"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestEntryFits: an entry stays within its bound however many replicas were met elsewhere, and can be read again.
func TestEntryFits(t *testing.T) {
	r := rosterOf(t, "a")[0]
	for range 100 {
		r.Elsewhere = append(r.Elsewhere, sighting{ID: strings.Repeat("x", session.MaxRosterName), Started: 1})
	}
	value := r.encode()
	if len(value) > session.MaxRosterValue {
		t.Errorf("%d bytes", len(value))
	}
	read := parseRoster(map[string][]byte{"a": value, "garbage": []byte("garbage"), "": nil, "line\nbreak": value})
	if len(read) != 1 || len(read[0].Elsewhere) == 0 || !reflect.DeepEqual(read[0].Settings, r.Settings) {
		t.Errorf("read %d replicas", len(read))
	}
}

// TestAnnouncementFits: a replica with as many keys as may be can tell the others of itself, with room for who was met elsewhere.
func TestAnnouncementFits(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Cookie.Secret = manySecrets(maxCookieSecrets) })
	value := r.replicas[0].announced().encode()
	if room := maxSightings * session.MaxRosterName; len(value) > session.MaxRosterValue-room {
		t.Errorf("%d bytes of %d", len(value), session.MaxRosterValue)
	}
}

// FuzzRoster reads what may stand in a roster: it is described without a panic, and a replica that has keys and reads what it writes never differs from itself.
func FuzzRoster(f *testing.F) {
	f.Add([]byte("garbage"), []byte{0xa0})
	one := replica{ID: "one", announcement: announcement{
		Keys: []string{"k"}, Settings: map[string][]byte{"public_url": {1}}, Secrets: map[string][][]byte{"admin_token": {{1}}},
		Elsewhere: []sighting{{ID: "other"}},
	}}
	f.Add(one.encode(), one.encode())
	f.Fuzz(func(t *testing.T, a, b []byte) {
		roster := parseRoster(map[string][]byte{"one": a, "two": b})
		describe(roster)
		for _, r := range roster {
			r.heldBackBy(roster)
			if r.driftFrom(roster); len(r.Keys) > 0 && r.Writes <= r.Reads && len(differences(r, r)) > 0 {
				t.Errorf("%v differs from itself in %v", r, differences(r, r))
			}
		}
	})
}

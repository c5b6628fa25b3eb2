package authsvc

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// TestLackedKeyIsTold: a newcomer whose ring has a key in common, and lacks another one of which sessions live, drifts wherever one looks, and says until
// when the key is needed.
func TestLackedKeyIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := joins(t, store, withKeys(1, 2))
		first.is(t, "the first", true)
		lacking := joins(t, store, withKeys(2))
		until := time.Now().Add(12 * time.Hour).UTC().Format("2006-01-02T15:0")
		lacking.is(t, "one without the key that signs", false, "cookie.secret differs from "+first.id, "needed until "+until)
		if text := lacking.log.String(); !strings.Contains(text, `"key_needed_until":"`+until) {
			t.Errorf("the log says %s", text)
		}
		beat()
		for _, m := range []*member{first, lacking} {
			var listed []Replica
			if err := json.Unmarshal(askAdmin(m.Service, http.MethodGet, "/replicas").Body.Bytes(), &listed); err != nil || len(listed) != 2 {
				t.Fatalf("/replicas: %v, %v", listed, err)
			}
			for _, r := range listed {
				if want := r.ID == lacking.id; slices.Equal(r.Drift, []string{"cookie.secret"}) != want {
					t.Errorf("%s says that %s drifts in %v", m.id, r.ID, r.Drift)
				}
			}
			if metrics := askAdmin(m.Service, http.MethodGet, "/metrics").Body.String(); !strings.Contains(metrics, `authsvc_config_drift{setting="cookie.secret"} 1`+"\n") {
				t.Errorf("the metrics of %s do not tell", m.id)
			}
		}

		first.leave()
		beat()
		lacking.is(t, "when nobody holds the key", true)
		next := joins(t, store, withKeys(1, 2))
		next.is(t, "one with both", true)
		beat()
		for _, r := range describe(*next.roster.Load()) {
			if len(r.Drift) > 0 {
				t.Errorf("who was admitted without the key drifts in %v", r.Drift)
			}
		}
	})
}

// TestCompare compares configurations with replicas that run.
func TestCompare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		compare := func(configure func(*Config)) Comparison {
			t.Helper()
			c := configOfReplica()
			configure(c)
			compared, err := Compare(t.Context(), c, store)
			if err != nil {
				t.Fatal(err)
			}
			return compared
		}
		if got := compare(otherName); got.Ready != 0 || got.Differences != nil {
			t.Errorf("where nobody has ever run: %+v", got)
		}
		first := joins(t, store, withKeys(1, 2))
		first.is(t, "the first", true)
		held := joins(t, store, otherName)
		held.is(t, "one that is held back", false, "cookie.name")
		for name, test := range map[string]struct {
			configure func(*Config)
			want      []string
			needed    bool
		}{
			"the same":            {withKeys(1, 2), nil, false},
			"a key more":          {withKeys(3, 1), nil, false},
			"an unused key less":  {withKeys(1), nil, false},
			"the used key less":   {withKeys(2), []string{"cookie.secret must holds"}, true},
			"other keys":          {withKeys(3), []string{"cookie.secret must holds"}, true},
			"a name":              {otherName, []string{"cookie.name must holds"}, false},
			"a slash":             {func(c *Config) { c.OIDC.Issuer += "/" }, []string{"oidc.issuer must holds"}, false},
			"what is only told":   {func(c *Config) { c.Session.IdleTimeout++ }, []string{"session.idle_timeout"}, false},
			"a later generation":  {func(c *Config) { otherName(c); c.ConfigGeneration++ }, []string{"config_generation", "cookie.name must"}, false},
			"both, and what must": {func(c *Config) { otherName(c); c.Session.IdleTimeout++ }, []string{"cookie.name must holds", "session.idle_timeout"}, false},
		} {
			compared := compare(test.configure)
			var got []string
			for _, d := range compared.Differences {
				if !slices.Equal(d.Replicas, []string{first.id}) {
					t.Errorf("%s: %s differs from %v", name, d.Setting, d.Replicas)
				}
				text := d.Setting
				if d.Must {
					text += " must"
				}
				if d.HoldsBack {
					text += " holds"
				}
				got = append(got, text)
			}
			if compared.Ready != 1 || !slices.Equal(got, test.want) || compared.KeyNeeded.IsZero() == test.needed || !compared.KeyLost.IsZero() {
				t.Errorf("%s: %+v, want %v", name, compared, test.want)
			}
		}
		first.leave()
		held.leave()
		if got := compare(withKeys(2)); got.Ready != 0 || got.Differences != nil || !got.KeyNeeded.IsZero() || !got.KeyLost.After(time.Now().Add(11*time.Hour)) {
			t.Errorf("when nobody runs any more: %+v", got)
		}
		store.refuse("readslot")
		if _, err := Compare(t.Context(), configOfReplica(), store); err == nil {
			t.Error("without an answer it compares")
		}
	})
}

// TestLackedKeysFit: keys that a replica lacks do not make its entry too long, nor does it differ from itself by them.
func TestLackedKeysFit(t *testing.T) {
	r := rosterOf(t, "a")[0]
	for n := range 400 {
		r.Lacks = append(r.Lacks, session.Fingerprint{byte(n), byte(n >> 8)}.String())
	}
	value := r.encode()
	read := parseRoster(map[string][]byte{"a": value})
	if len(value) > session.MaxRosterValue || len(read) != 1 || len(read[0].Lacks) == 0 {
		t.Errorf("%d bytes, %v", len(value), read)
	}
	r.Lacks = slices.Clone(r.Keys)
	if got := differences(r, r); len(got) > 0 {
		t.Errorf("it differs from itself in %v", got)
	}
}

package authsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

func askAdmin(s *Service, method, target string) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	s.AdminHandler().ServeHTTP(answer, httptest.NewRequest(method, target, nil))
	return answer
}

// unreachedStore is a store that has never answered.
type unreachedStore struct{ *faultyStore }

func (u unreachedStore) Reached() bool              { return false }
func (u unreachedStore) Ping(context.Context) error { return errStoreDown }

// TestReadiness tells what makes a replica not ready: its own trouble alone, unless one asks strictly.
func TestReadiness(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	discovered := func(s *Service) *Service { run(t, s); return s }
	draining := discovered(r.another(config, r.store))
	draining.Drain()
	newcomer := discovered(r.another(config, r.store))
	newcomer.standing.Store(&standing{})
	tests := []struct {
		name          string
		service       *Service
		down          bool
		status        int
		strict        int
		failing, less []string // what is named
	}{
		{"well", r.replicas[0], false, 200, 200, nil, nil},
		{"store down", r.replicas[0], true, 200, 503, nil, []string{"store"}},
		{"store never reached", discovered(r.another(config, unreachedStore{r.store})), false, 503, 503, []string{"store"}, nil},
		{"provider not discovered", r.another(config, r.store), false, 200, 503, nil, []string{"provider"}},
		{"provider and store down", r.another(config, r.store), true, 200, 503, nil, []string{"provider", "store"}},
		{"has not asked the others", newcomer, false, 503, 503, []string{"drift"}, nil},
		{"draining", draining, false, 503, 503, []string{"draining"}, nil},
		{"draining, and store down", draining, true, 503, 503, []string{"draining"}, []string{"store"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r.store.down.Store(test.down)
			defer r.store.down.Store(false)
			for target, want := range map[string]int{"/readyz": test.status, "/readyz?strict=1": test.strict, "/readyz?strict=0": test.status, "/livez": 200} {
				answer := askAdmin(test.service, http.MethodGet, target)
				if answer.Code != want || answer.Header().Get("Content-Type") != "application/json" {
					t.Errorf("%s: %d %s", target, answer.Code, answer.Body)
				}
				if target == "/livez" {
					continue
				}
				var got struct {
					Ready    *bool
					Failing  map[string]string
					Degraded map[string]string
				}
				decoder := json.NewDecoder(answer.Body)
				decoder.DisallowUnknownFields()
				if err := decoder.Decode(&got); err != nil || got.Ready == nil || got.Failing == nil || got.Degraded == nil {
					t.Fatalf("%s: %+v, %v", target, got, err)
				}
				if *got.Ready != (want == 200) || len(got.Failing) != len(test.failing) || len(got.Degraded) != len(test.less) {
					t.Errorf("%s: %+v", target, got)
				}
				for _, name := range test.failing {
					if got.Failing[name] == "" {
						t.Errorf("%s: %q is not among the failing %v", target, name, got.Failing)
					}
				}
				for _, name := range test.less {
					if got.Degraded[name] == "" {
						t.Errorf("%s: %q is not among the degraded %v", target, name, got.Degraded)
					}
				}
			}
		})
	}
}

// TestAdminIsNotPublic asks for what the admin listener has not, and for its endpoints in public.
func TestAdminIsNotPublic(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, path := range []string{"/auth", "/start", "/debug/pprof/", "/nowhere", "/session"} {
		if answer := askAdmin(r.replicas[0], http.MethodGet, path); answer.Code != http.StatusNotFound {
			t.Errorf("admin %s: %d", path, answer.Code)
		}
	}
}

var labelPair = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)

// TestMetrics asks in many ways, and reads the metrics: the promised names are there, and no label has a word that came with a request.
func TestMetrics(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.replicas[0]
	header := signedIn(r, "alice")
	var canaries []string
	for i := range 50 {
		canary := fmt.Sprintf("canary%dz", i)
		canaries = append(canaries, canary)
		ask(s, http.MethodGet, "/auth?allowed_groups="+canary, trustedPeer, header)
		ask(s, http.MethodGet, "/auth?allowed_"+canary+"=x", trustedPeer, header)
		ask(s, http.MethodGet, "/auth?rule="+canary, trustedPeer, http.Header{"Cookie": {"authsvc=" + canary}, "X-Request-Id": {canary}, "User-Agent": {canary}})
		ask(s, http.MethodGet, "/"+canary, trustedPeer, http.Header{"Host": {canary}})
		ask(s, canary, "/start", trustedPeer, nil)
		ask(s, http.MethodGet, "/callback?state="+canary+"&error="+canary, trustedPeer, nil)
		ask(s, http.MethodGet, "/start?rd=https://"+canary+"/", trustedPeer, nil)
	}
	ask(s, http.MethodGet, "/auth", trustedPeer, header)
	b := r.browser()
	b.open(tamperWith(t, b.toCallback(), func(v url.Values) { v["error"] = []string{canaries[0]} }))
	r.store.down.Store(true)
	ask(s, http.MethodGet, "/auth", trustedPeer, header)
	r.store.down.Store(false)
	r.provider.Intercept(idptest.Token, idptest.Close())
	b = r.browser()
	b.open(b.toCallback())

	answer := askAdmin(s, http.MethodGet, "/metrics")
	if answer.Code != http.StatusOK {
		t.Fatalf("%d", answer.Code)
	}
	text := answer.Body.String()
	for _, want := range []string{
		`authsvc_decisions_total{outcome="allow",reason="session"} 1`, `authsvc_decisions_total{outcome="login",reason="`, `authsvc_decisions_total{outcome="deny",reason="`,
		`authsvc_decisions_total{outcome="unavailable",reason="`, `authsvc_decision_seconds_bucket{outcome="allow",le="`, `authsvc_logins_total{result="ok"} 1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	checkSecrets(t, "the metrics", text, append(canaries, "alice", "example.com", testClientSecret, strings.TrimPrefix(header.Get("Cookie"), "authsvc=")))
	values := map[string][]string{}
	for _, pair := range labelPair.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(values[pair[1]], pair[2]) {
			values[pair[1]] = append(values[pair[1]], pair[2])
		}
	}
	for label, list := range values {
		if label != "le" && label != "setting" && len(list) > 20 { // settings are those of the configuration, and store
			t.Errorf("label %s has %d values: %q", label, len(list), list)
		}
	}
}

package authsvc

import (
	"bytes"
	"errors"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

// TestBackchannelRequests holds the form of the request against the rules (Q30).
func TestBackchannelRequests(t *testing.T) {
	r := newRig(t, 1, nil)
	alice := r.browser()
	alice.signIn()
	token := r.provider.LogoutToken("app", "alice", "", nil)
	form := url.Values{"logout_token": {token}}.Encode()
	var parts bytes.Buffer
	multipartForm := multipart.NewWriter(&parts)
	multipartForm.WriteField("logout_token", token)
	multipartForm.Close()

	for name, test := range map[string]struct {
		contentType, body string
		want              int
	}{
		"doubled":                 {formType, form + "&" + form, http.StatusBadRequest},
		"doubled with another":    {formType, form + "&logout_token=x", http.StatusBadRequest},
		"JSON":                    {"application/json", jsonText(map[string]string{"logout_token": token}), http.StatusBadRequest},
		"a form that says JSON":   {"application/json", form, http.StatusBadRequest},
		"JSON that says form":     {formType, jsonText(map[string]string{"logout_token": token}), http.StatusBadRequest},
		"no type":                 {"", form, http.StatusBadRequest},
		"a type that is none":     {"application/x-www-form-urlencoded;;", form, http.StatusBadRequest},
		"multipart":               {multipartForm.FormDataContentType(), parts.String(), http.StatusBadRequest},
		"logout+jwt":              {"application/logout+jwt", token, http.StatusBadRequest},
		"no token":                {formType, "token=x", http.StatusBadRequest},
		"nothing":                 {formType, "", http.StatusBadRequest},
		"an escape that is none":  {formType, "logout_token=%zz", http.StatusBadRequest},
		"1 MB":                    {formType, "logout_token=" + strings.Repeat("a", 1<<20), http.StatusRequestEntityTooLarge},
		"1 MB beside a good one":  {formType, form + "&padding=" + strings.Repeat("a", 1<<20), http.StatusRequestEntityTooLarge},
		"other parameters beside": {formType, form + "&a=b", http.StatusOK},
	} {
		if test.want == http.StatusOK {
			continue // last
		}
		t.Run(name, func(t *testing.T) {
			checkBackchannel(t, r.backchannelForm(0, test.contentType, test.body), test.want)
		})
	}
	t.Run("in the query", func(t *testing.T) {
		request := httptest.NewRequest(http.MethodPost, "/backchannel-logout?"+form, nil)
		checkBackchannel(t, askWith(r.replicas[0], request, http.Header{"Content-Type": {formType}}), http.StatusBadRequest)
	})
	for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		answer := ask(r.replicas[0], method, "/backchannel-logout?"+form, trustedPeer, nil)
		if answer.Code != http.StatusMethodNotAllowed || answer.Header().Get("Allow") != "POST" || answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", method, answer.Code, answer.Header())
		}
	}
	if reply := alice.auth(""); reply.StatusCode != http.StatusOK {
		t.Fatalf("alice was signed out: %s", reply.Status)
	}
	checkBackchannel(t, r.backchannelForm(0, formType+"; charset=UTF-8", "a=b&"+form), http.StatusOK)
	r.everywhere(alice.sessionCookie(), http.StatusUnauthorized)
	r.keepsSecrets()
}

// TestProviderInitiatesBackchannel signs out at one relying party's button: the provider tells us while the browser is still on its way
// (oidcc-client-test-rp-backchannel-rpinitlogout).
func TestProviderInitiatesBackchannel(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	sid := r.provider.SessionIDs("alice")[0]
	told := 0
	r.provider.Intercept(idptest.EndSession, func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		told = r.backchannel(1, r.provider.LogoutToken("app", "alice", sid, nil)).Code
		next.ServeHTTP(w, req)
	})
	cookie := b.sessionCookie()
	if reply := b.do(http.MethodPost, "/logout", nil); reply.StatusCode != http.StatusOK || reply.Request.URL.Path != "/signed_out" {
		t.Errorf("the logout ended with %s at %s", reply.Status, reply.Request.URL.Path)
	}
	if told != http.StatusOK {
		t.Errorf("the provider was answered %d", told)
	}
	r.everywhere(cookie, http.StatusUnauthorized)
	if reply := b.signIn(); reply.StatusCode != http.StatusFound || b.auth("").StatusCode != http.StatusOK {
		t.Errorf("the next login: %s", reply.Status)
	}
}

// TestFiveBrowsers signs one user in with five browsers on three replicas, and ends one by the browser, one by sid, and the rest by sub (Q33).
func TestFiveBrowsers(t *testing.T) {
	r := newRig(t, 3, nil)
	var cookies []string
	var browsers []*browser
	for range 5 {
		b := r.browser()
		b.signIn()
		browsers, cookies = append(browsers, b), append(cookies, b.sessionCookie())
	}
	r.visitor.Store("bob")
	bob := r.browser()
	bob.signIn()
	check := func(living ...int) {
		t.Helper()
		for i, cookie := range cookies {
			want := http.StatusUnauthorized
			for _, n := range living {
				if n == i {
					want = http.StatusOK
				}
			}
			r.everywhere(cookie, want)
		}
		r.everywhere(bob.sessionCookie(), http.StatusOK)
	}
	sids := r.provider.SessionIDs("alice")
	if len(sids) != 5 {
		t.Fatalf("%d sessions at the provider", len(sids))
	}
	check(0, 1, 2, 3, 4)
	r.advance(2 * time.Minute) // an entry without a record is no login under way any more
	browsers[3].do(http.MethodPost, "/logout", nil)
	check(0, 1, 2, 4)
	checkBackchannel(t, r.backchannel(1, r.provider.LogoutToken("app", "", sids[1], nil)), http.StatusOK)
	check(0, 2, 4)
	checkBackchannel(t, r.backchannel(1, r.provider.LogoutToken("app", "alice", sids[2], nil)), http.StatusOK)
	check(0, 4)
	checkBackchannel(t, r.backchannel(2, r.provider.LogoutToken("app", "alice", sids[2], nil)), http.StatusOK) // nothing is left of it
	check(0, 4)
	checkBackchannel(t, r.backchannel(2, r.provider.LogoutToken("app", "nobody", "", nil)), http.StatusOK)
	check(0, 4)
	checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
	check()
	r.shows(0, `authsvc_backchannel_logouts_total{result="ended"} 1`, `authsvc_backchannel_logouts_total{result="nothing"} 0`)
	r.shows(1, `authsvc_backchannel_logouts_total{result="ended"} 2`, `authsvc_backchannel_logouts_total{result="refused"} 0`)
	r.shows(2, `authsvc_backchannel_logouts_total{result="nothing"} 2`, `authsvc_backchannel_logouts_total{result="ended"} 0`)
	if n := r.noted(session.KindUser, "alice"); n != 0 {
		t.Errorf("%d entries are left on alice's list", n)
	}
	if n := r.store.records.Load(); n != 1 {
		t.Errorf("%d records", n)
	}
	r.advance(2 * time.Second)
	r.visitor.Store("alice")
	browsers[0].signIn()
	r.everywhere(browsers[0].sessionCookie(), http.StatusOK)
}

// TestReplayedLogoutToken brings one token to all replicas, one after another and all at once: it counts once (Q32).
func TestReplayedLogoutToken(t *testing.T) {
	r := newRig(t, 3, nil)
	b := r.browser()
	b.signIn()
	token := r.provider.LogoutToken("app", "alice", "", nil)
	checkBackchannel(t, r.backchannel(0, token), http.StatusOK)
	r.advance(time.Second) // the next login is not of the same moment
	b.signIn()
	for i := range r.replicas {
		checkBackchannel(t, r.backchannel(i, token), http.StatusBadRequest)
	}
	r.everywhere(b.sessionCookie(), http.StatusOK)
	sameID := func(_, claims map[string]any) { claims["jti"] = "the-same" }
	checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "nobody", "", sameID)), http.StatusOK)
	checkBackchannel(t, r.backchannel(1, r.provider.LogoutToken("app", "alice", "", sameID)), http.StatusBadRequest)
	r.advance(3*time.Minute + 2*time.Second) // the token lives for two minutes, and the clocks may differ by one
	checkBackchannel(t, r.backchannel(1, token), http.StatusBadRequest)

	token = r.provider.LogoutToken("app", "alice", "", nil)
	var group sync.WaitGroup
	var mu sync.Mutex
	results := map[int]int{}
	for i := range 12 {
		group.Go(func() {
			status := r.backchannel(i%3, token).Code
			mu.Lock()
			defer mu.Unlock()
			results[status]++
		})
	}
	group.Wait()
	if results[http.StatusOK] != 1 || results[http.StatusBadRequest] != 11 {
		t.Errorf("answers %v", results)
	}
	r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
	r.keepsSecrets()
}

// TestBackchannelStoreDown lets the store fail, as a whole and at each operation: the provider is told to try again, and the same token
// works then (Q32).
func TestBackchannelStoreDown(t *testing.T) {
	r := newRig(t, 2, nil)
	for _, operation := range []string{"everything", "claim", "noted", "delete", "forget", "replace"} {
		t.Run(operation, func(t *testing.T) {
			r.t = t
			r.advance(time.Second) // a mark from before is not this login's
			b := r.browser()
			b.signIn()
			r.advance(2 * time.Minute) // an entry without a record is no login under way any more
			token := r.provider.LogoutToken("app", "alice", "", nil)
			r.store.down.Store(operation == "everything")
			r.store.refuse(operation)
			for range 2 {
				checkBackchannel(t, r.backchannel(0, token), http.StatusServiceUnavailable)
			}
			r.store.down.Store(false)
			r.store.refuse()
			switch operation {
			case "everything":
				r.everywhere(b.sessionCookie(), http.StatusOK)
			case "claim": // a store that is full claims nothing, and deletes
				r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
			}
			checkBackchannel(t, r.backchannel(1, token), http.StatusOK)
			r.everywhere(b.sessionCookie(), http.StatusUnauthorized)
			checkBackchannel(t, r.backchannel(0, token), http.StatusBadRequest)
		})
	}
	r.t = t
	r.keepsSecrets()
}

// TestBackchannelAfterEviction: Redis has evicted the list of a user's sessions. The logout finds nothing, which the metric tells, and its mark signs out
// whoever is at work, by the first verdict that would extend the idle time.
func TestBackchannelAfterEviction(t *testing.T) {
	r := newRig(t, 2, func(c *Config) { c.Session.CacheTTL = time.Hour })
	b := r.browser()
	b.signIn()
	cookie, id := b.sessionCookie(), session.ID{}
	site := r.replicas[0].sites.Load().main
	for _, name := range site.keyring.Names(session.KindUser, site.name, r.provider.Issuer(), "alice") {
		list := session.IndexName{Kind: session.KindUser, Hash: name}
		entries, err := r.store.Store.Noted(t.Context(), list)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			id = entry.ID
			if err := r.store.Store.Forget(t.Context(), list, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.everywhere(cookie, http.StatusOK)
	checkBackchannel(t, r.backchannel(0, r.provider.LogoutToken("app", "alice", "", nil)), http.StatusOK)
	r.shows(0, `authsvc_backchannel_logouts_total{result="nothing"} 1`, `authsvc_backchannel_logouts_total{result="ended"} 0`)
	r.advance(r.replicas[0].sites.Load().main.sessions.IdleTimeout/10 + time.Second)
	r.everywhere(cookie, http.StatusUnauthorized)
	if _, err := r.store.Store.Load(t.Context(), id); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("its record: %v", err)
	}
	r.advance(time.Second)
	b.signIn()
	r.everywhere(b.sessionCookie(), http.StatusOK)
	r.keepsSecrets()
}

// TestBackchannelBeforeDiscovery asks a replica that has not found the provider yet.
func TestBackchannelBeforeDiscovery(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	r.replicas = append(r.replicas, r.another(config, r.store))
	token := r.provider.LogoutToken("app", "alice", "", nil)
	checkBackchannel(t, r.backchannel(1, token), http.StatusServiceUnavailable)
	checkBackchannel(t, r.backchannel(0, token), http.StatusOK)
	checkBackchannel(t, r.backchannel(0, token), http.StatusBadRequest)
	r.shows(1, `authsvc_backchannel_logouts_total{result="unavailable"} 1`)
	r.shows(0, `authsvc_backchannel_logouts_total{result="refused"} 1`)
}

package authsvc

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session"
)

const formType = "application/x-www-form-urlencoded"

// backchannel posts a logout token to one replica.
func (r *rig) backchannel(replica int, token string) *httptest.ResponseRecorder {
	return r.backchannelForm(replica, formType, url.Values{"logout_token": {token}}.Encode())
}

func (r *rig) backchannelForm(replica int, contentType, body string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodPost, "/backchannel-logout", strings.NewReader(body))
	return askWith(r.replicas[replica], request, http.Header{"Content-Type": {contentType}})
}

// checkBackchannel holds an answer against OpenID Connect Back-Channel Logout 1.0, section 2.8.
func checkBackchannel(t testing.TB, answer *httptest.ResponseRecorder, status int) {
	t.Helper()
	body := map[int]string{
		http.StatusOK: "", http.StatusBadRequest: `{"error":"invalid_request"}` + "\n", http.StatusRequestEntityTooLarge: `{"error":"invalid_request"}` + "\n",
		http.StatusServiceUnavailable: `{"error":"temporarily_unavailable"}` + "\n",
	}
	if answer.Code != status || answer.Body.String() != body[status] {
		t.Fatalf("%d %q, want %d %q", answer.Code, answer.Body, status, body[status])
	}
	header := answer.Header()
	if header.Get("Cache-Control") != "no-store" || header.Get("X-Request-Id") == "" || len(answer.Result().Cookies()) != 0 {
		t.Errorf("headers %v", header)
	}
	if body[status] != "" && header.Get("Content-Type") != "application/json" {
		t.Errorf("Content-Type %q", header.Get("Content-Type"))
	}
	if (status == http.StatusServiceUnavailable) != (header.Get("Retry-After") != "") {
		t.Errorf("%d with Retry-After %q", status, header.Get("Retry-After"))
	}
}

// everywhere fails the test unless each replica gives this verdict on a session cookie.
func (r *rig) everywhere(cookie string, status int) {
	r.t.Helper()
	for i, replica := range r.replicas {
		if answer := ask(replica, http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {"authsvc=" + cookie}}); answer.Code != status {
			r.t.Errorf("replica %d: %d, want %d", i, answer.Code, status)
		}
	}
}

// noted counts what the index lists for a group.
func (r *rig) noted(kind, value string) int {
	r.t.Helper()
	site := r.replicas[0].sites.Load().main
	count := 0
	for _, name := range site.keyring.Names(kind, site.name, r.provider.Issuer(), value) {
		entries, err := r.store.Store.Noted(r.t.Context(), session.IndexName{Kind: kind, Hash: name})
		if err != nil {
			r.t.Fatal(err)
		}
		count += len(entries)
	}
	return count
}

// keepsSecrets fails the test if the log tells who somebody is, or a token.
func (r *rig) keepsSecrets(canaries ...string) {
	r.t.Helper()
	checkSecrets(r.t, "the log", r.log.String(), append(canaries, "alice", "example.com", "eyJ", testClientSecret))
}

// held is a token endpoint that waits.
type held struct {
	r       *rig
	came    int // requests that the endpoint has seen
	release func()
}

func (r *rig) holdToken() *held {
	stop := make(chan struct{})
	r.provider.Intercept(idptest.Token, idptest.Hold(stop))
	return &held{r, r.provider.Count(idptest.Token), sync.OnceFunc(func() {
		close(stop)
		r.provider.Intercept(idptest.Token, nil)
	})}
}

// wait begins a request and returns when it hangs in the provider.
func (h *held) wait(begin func() reply) <-chan reply {
	h.r.t.Helper()
	h.r.t.Cleanup(h.release)
	done := make(chan reply, 1)
	go func() { done <- begin() }()
	h.came++
	eventually(h.r.t, "a request at the token endpoint", func() bool { return h.r.provider.Count(idptest.Token) == h.came })
	return done
}

// sameBrowser is another tab: the same cookies, followed on its own.
func (r *rig) sameBrowser(b *browser) *browser {
	tab := r.browser()
	tab.client.Jar = b.client.Jar
	return tab
}

// landed waits until no replica refreshes anything.
func (r *rig) landed() {
	r.t.Helper()
	eventually(r.t, "the end of the refresh", func() bool {
		for _, replica := range r.replicas {
			if replica.sites.Load().main.renewer.Flights() > 0 {
				return false
			}
		}
		return true
	})
}

// parse opens a session cookie.
func parse(t *testing.T, r *rig, cookie string) session.Token {
	t.Helper()
	site := r.replicas[0].sites.Load().main
	token, err := site.keyring.ParseToken(session.PurposeSession, site.name, cookie)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

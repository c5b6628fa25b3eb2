package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"authsvc/nginx/nginxtest"
)

// parts is a chain with an embedded Redis and two processes in the place of replicas.
func parts(t *testing.T) *chain {
	t.Helper()
	c := &chain{dir: t.TempDir(), failed: make(chan error, 1)}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	var err error
	if c.store, err = c.startMiniredis(); err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"127.0.0.1:1001", "127.0.0.1:1002"} {
		p, err := c.spawn("replica", exec.Command("sleep", "600"))
		if err != nil {
			t.Fatal(err)
		}
		c.replicas = append(c.replicas, &replica{p, address})
	}
	return c
}

func TestSiteConfiguration(t *testing.T) {
	c := parts(t)
	text, err := siteConfiguration("127.0.0.1:8080", "127.0.0.1:1003", c.replicas)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text, "auth_request_set $identity_x_answered_by $upstream_addr;") {
		t.Error("the application cannot hear which replica answered")
	}
	if err := nginxtest.Test(t.Context(), t.TempDir(), text); err != nil {
		t.Error(err)
	}
}

func TestApplication(t *testing.T) {
	c := parts(t)
	for key, value := range map[string]string{"authsvc:session:{a}": "", "authsvc:session:{b}": "", "authsvc:lease:{a}": "", "other:session:{c}": ""} {
		if err := c.store.client.Set(t.Context(), key, value, 0).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.replicas[0].stop(); err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(c.application())
	defer site.Close()
	ask := func(path string) *http.Response {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Auth-Request-User", "alice<script>")
		request.Header.Set("X-Auth-Request-Groups", "staff,admins")
		request.Header.Set(answeredBy, "127.0.0.1:1001, 127.0.0.1:1002")
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	var got view
	if err := json.NewDecoder(ask("/whoami.json").Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := view{User: "alice<script>", Groups: []string{"staff", "admins"}, Replica: 2, Records: 2, Replicas: []status{
		{1, c.replicas[0].pid(), false}, {2, c.replicas[1].pid(), true},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	var page strings.Builder
	if err := ask("/").Write(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Hello, alice&lt;script&gt;", "Replica 2. Reload", "has ended", "2 session records", `action="/logout"`} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
}

func TestStartTellsWhatAPartWrote(t *testing.T) {
	c := parts(t)
	p, err := c.spawn("broken", exec.Command("sh", "-c", "echo this is why >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	err = p.await(t.Context(), stopLimit, isOK("http://127.0.0.1:1/"))
	if err == nil || !strings.Contains(err.Error(), "this is why") {
		t.Errorf("got %v", err)
	}
}

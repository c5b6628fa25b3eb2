package nginxtest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"authsvc/nginx/nginxtest"
)

// testing.TB is all that Start and Check need.
var _ nginxtest.TB = testing.TB(nil)

func hello(address string) string {
	return fmt.Sprintf(`server { listen %s; location / { return 200 "hello"; } }`, address)
}

func ask(t *testing.T, address string) (string, error) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + address)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

func TestStart(t *testing.T) {
	address := nginxtest.FreeAddress(t)
	t.Run("runs as long as its test", func(t *testing.T) {
		s := nginxtest.Start(t, hello(address))
		if body, err := ask(t, address); err != nil || body != "hello" {
			t.Errorf("got %q, %v", body, err)
		}
		if !strings.Contains(s.ErrorLog(), "start worker process") {
			t.Errorf("the error log is %q", s.ErrorLog())
		}
	})
	if body, err := ask(t, address); err == nil {
		t.Errorf("nginx still answers %q after its test", body)
	}
}

func TestRun(t *testing.T) {
	address, dir := nginxtest.FreeAddress(t), t.TempDir()
	for range 2 { // the folder can be used again
		s, err := nginxtest.Run(t.Context(), dir, hello(address))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := ask(t, address); err != nil || body != "hello" {
			t.Errorf("got %q, %v", body, err)
		}
		for range 2 {
			if err := s.Stop(); err != nil {
				t.Errorf("Stop: %v", err)
			}
		}
		<-s.Done()
	}

	ctx, cancel := context.WithCancel(t.Context())
	s, err := nginxtest.Run(ctx, dir, hello(address))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-s.Done()
	if err := s.Stop(); err != nil {
		t.Errorf("Stop after the context's end: %v", err)
	}
	if _, err := nginxtest.Run(ctx, dir, hello(address)); err == nil {
		t.Error("Run started nginx for a context that is done")
	}
}

// What nginx says reaches whoever wrote the configuration.
func TestRefusedConfiguration(t *testing.T) {
	const wrong = "server { no_such_directive on; }"
	if s, err := nginxtest.Run(t.Context(), t.TempDir(), wrong); err == nil || !strings.Contains(err.Error(), `unknown directive "no_such_directive"`) {
		t.Errorf("Run: got %v, %v", s, err)
	}
	if err := nginxtest.Test(t.Context(), t.TempDir(), wrong); err == nil || !strings.Contains(err.Error(), `unknown directive "no_such_directive"`) {
		t.Errorf("Test: got %v", err)
	}
	warned := hello(nginxtest.FreeAddress(t))
	warned += strings.ReplaceAll(warned, "return 200", "return 201")
	if err := nginxtest.Test(t.Context(), t.TempDir(), warned); err == nil || !strings.Contains(err.Error(), "conflicting server name") {
		t.Errorf("Test: got %v, want the warning", err)
	}
	if err := nginxtest.Test(t.Context(), t.TempDir(), hello(nginxtest.FreeAddress(t))); err != nil {
		t.Errorf("Test: %v", err)
	}
	for name, run := range map[string]func(nginxtest.TB){
		"Start": func(tb nginxtest.TB) { nginxtest.Start(tb, wrong) },
		"Check": func(tb nginxtest.TB) { nginxtest.Check(tb, wrong) },
	} {
		tb := &recorder{T: t}
		func() {
			defer func() {
				if recover() != tb {
					t.Errorf("%s went on", name)
				}
			}()
			run(tb)
		}()
		if !strings.Contains(tb.fatal, "no_such_directive") {
			t.Errorf("%s failed with %q", name, tb.fatal)
		}
	}
}

// recorder keeps what a test would have failed with.
type recorder struct {
	*testing.T
	fatal string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	panic(r)
}

package authsvc

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestTokenAnswersOfOtherForms has the token endpoint answer as providers do that are older than the standard, or looser.
func TestTokenAnswersOfOtherForms(t *testing.T) {
	// asForm sends the honest answer as a form, under this type.
	asForm := func(contentType string) idptest.Interceptor {
		return reanswered(t, contentType, func(fields map[string]any) []byte {
			form := url.Values{}
			for name, value := range fields {
				text, isText := value.(string)
				if !isText {
					number, err := json.Marshal(value)
					if err != nil {
						t.Error(err)
					}
					text = string(number)
				}
				form.Set(name, text)
			}
			return []byte(form.Encode())
		})
	}
	asJSON := func(contentType string, change func(fields map[string]any)) idptest.Interceptor {
		return reanswered(t, contentType, func(fields map[string]any) []byte {
			change(fields)
			body, err := json.Marshal(fields)
			if err != nil {
				t.Error(err)
			}
			return body
		})
	}
	same := func(map[string]any) {}
	set := func(name string, value any) func(map[string]any) {
		return func(fields map[string]any) { fields[name] = value }
	}
	r := newRig(t, 1, nil)
	for _, row := range []struct {
		name        string
		interceptor idptest.Interceptor
		want        int
	}{
		{"a form", asForm("application/x-www-form-urlencoded"), http.StatusFound},
		{"a form with a charset", asForm("application/x-www-form-urlencoded; charset=utf-8"), http.StatusFound},
		{"a form as plain text", asForm("text/plain"), http.StatusFound},
		{"JSON as text/javascript", asJSON("text/javascript", same), http.StatusFound},
		{"JSON without a type", asJSON("", same), http.StatusFound},
		{"status 201", asJSON("status 201", same), http.StatusFound},
		{"expires_in a text", asJSON("application/json", set("expires_in", "300")), http.StatusFound},
		{"expires_in a text with a fraction", asJSON("application/json", set("expires_in", "299.9")), http.StatusFound},
		{"expires_in words", asJSON("application/json", set("expires_in", "soon")), http.StatusBadGateway},
		{"expires_in a list", asJSON("application/json", set("expires_in", []int{300})), http.StatusBadGateway},
		{"an error with status 200", asJSON("application/json", func(fields map[string]any) { clear(fields); fields["error"] = "invalid_grant" }), http.StatusBadGateway},
		{"an error beside tokens", asJSON("application/json", set("error", "server_error")), http.StatusBadGateway},
		{"access token empty", asJSON("application/json", set("access_token", "")), http.StatusBadGateway},
		{"access token a number", asJSON("application/json", set("access_token", 5)), http.StatusBadGateway},
		{"names in other letters", asJSON("application/json", func(fields map[string]any) {
			fields["Access_Token"] = fields["access_token"]
			delete(fields, "access_token")
		}), http.StatusBadGateway},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.t = t
			r.provider.Intercept(idptest.Token, row.interceptor)
			defer r.provider.BeHonest()
			b := r.browser()
			if answer := b.signIn(); answer.StatusCode != row.want {
				t.Fatalf("%s, want %d\n%s", answer.Status, row.want, r.log)
			}
			if row.want == http.StatusFound {
				b.identity()
			}
		})
	}
	r.t = t
	r.keepsSecrets()
}

// reanswered lets the endpoint do its work and writes its answer in another way. The type "status 201" is JSON with that status.
func reanswered(t *testing.T, contentType string, write func(fields map[string]any) []byte) idptest.Interceptor {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		kept := &keptAnswer{header: http.Header{}}
		next.ServeHTTP(kept, r)
		var fields map[string]any
		if err := json.Unmarshal(kept.body, &fields); err != nil {
			t.Error(err)
			return
		}
		status := http.StatusOK
		w.Header()["Content-Type"] = []string{contentType}
		if contentType == "status 201" {
			status = http.StatusCreated
			w.Header().Set("Content-Type", "application/json")
		}
		w.WriteHeader(status)
		w.Write(write(fields))
	}
}

type keptAnswer struct {
	header http.Header
	body   []byte
}

func (k *keptAnswer) Header() http.Header         { return k.header }
func (k *keptAnswer) WriteHeader(int)             {}
func (k *keptAnswer) Write(b []byte) (int, error) { k.body = append(k.body, b...); return len(b), nil }

// TestRefusals tells the errors of an endpoint apart: who has ended what, and whether a later try may succeed.
func TestRefusals(t *testing.T) {
	for _, row := range []struct {
		refusal
		class error
		final bool
	}{
		{refusal{tokenEndpoint, 400, "invalid_grant"}, errProviderAnswer, true},
		{refusal{tokenEndpoint, 400, "invalid_request"}, errProviderAnswer, true},
		{refusal{tokenEndpoint, 401, "invalid_client"}, errProviderAnswer, false},
		{refusal{tokenEndpoint, 400, "unauthorized_client"}, errProviderAnswer, false},
		{refusal{tokenEndpoint, 400, "invalid_scope"}, errProviderAnswer, false},
		{refusal{tokenEndpoint, 400, ""}, errProviderAnswer, false},
		{refusal{tokenEndpoint, 404, ""}, errProviderAnswer, false},
		{refusal{tokenEndpoint, 429, "invalid_grant"}, errProviderUnavailable, false},
		{refusal{tokenEndpoint, 500, "invalid_grant"}, errProviderUnavailable, false},
		{refusal{tokenEndpoint, 200, "invalid_grant"}, errProviderAnswer, true},
	} {
		err := error(&row.refusal)
		if !errors.Is(err, row.class) || isFinal(err) != row.final {
			t.Errorf("%v: final %v", err, isFinal(err))
		}
	}
	if isFinal(errors.New("invalid_grant")) {
		t.Error("a text is taken for what the provider said")
	}
}

package authsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"authsvc/session"
)

// maxTokenLife bounds what a provider may claim about an access token.
const maxTokenLife = 365 * 24 * time.Hour

// clientAnswer is what an endpoint answered to a request of ours as a client.
type clientAnswer struct {
	status    int
	mediaType string // lower case, without parameters; "" when it is missing or malformed
	body      []byte
}

// ok reports whether the answer is a success.
func (a *clientAnswer) ok() bool { return a.status >= 200 && a.status < 300 }

// clientRequest makes a request of ours to an endpoint that knows its clients, with the client's authentication as oidc.client_auth says
// (form is changed). Errors: errClientKey, or that of an address that is none.
func (p *provider) clientRequest(ctx context.Context, address string, form url.Values) (*http.Request, error) {
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if err := p.auth.authenticate(p.discovered.Load(), form, header); err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("its address cannot be read")
	}
	request.Header = header
	return request, nil
}

// postAsClient sends a form to one of the provider's endpoints, as clientRequest makes it. name is the endpoint's, for errors, which tell no
// address and nothing of the form. Errors: errProviderUnavailable where there is no whole answer, errProviderAnswer where it is too
// large, errClientKey. When only the body is wanting the answer comes too.
func (p *provider) postAsClient(ctx context.Context, name, address string, form url.Values) (*clientAnswer, error) {
	request, err := p.clientRequest(ctx, address, form)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var answer *clientAnswer
	response, err := p.client.Do(request)
	if err == nil {
		defer response.Body.Close()
		answer = &clientAnswer{status: response.StatusCode}
		answer.mediaType, _, _ = mime.ParseMediaType(response.Header.Get("Content-Type"))
		if answer.body, err = io.ReadAll(response.Body); err == nil {
			return answer, nil
		}
	}
	cause, isRequest := errors.AsType[*url.Error](err)
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%w: %s: no answer in time", errProviderUnavailable, name)
	case isRequest:
		err = fmt.Errorf("%w: %s: %w", errProviderUnavailable, name, withoutURL(cause))
	case errors.Is(err, errBodyTooLarge):
		err = fmt.Errorf("%w: %s: %w", errProviderAnswer, name, err)
	default:
		err = fmt.Errorf("%w: %s: the answer broke off", errProviderUnavailable, name)
	}
	return answer, err
}

// refusal is an endpoint's error answer (RFC 6749, section 5.2). It is errProviderUnavailable where the server is in trouble or wants to be left
// alone, and errProviderAnswer otherwise.
type refusal struct {
	endpoint string
	status   int
	code     string // "" when it told none
}

// Error quotes nothing of the answer but a code that is a registered one: the rest may hold tokens or personal data.
func (r *refusal) Error() string {
	hint := ""
	switch r.code {
	case "invalid_client", "unauthorized_client":
		hint = "; check oidc.client_id, oidc.client_auth and the client's secret or key"
	case "invalid_grant":
		hint = "; the code or refresh token was spent or is too old"
	case "invalid_scope":
		hint = "; check oidc.scopes"
	}
	return fmt.Sprintf("%s: %s: status %d, error %s%s", r.Unwrap(), r.endpoint, r.status, knownErrorCode(r.code), hint)
}

// Unwrap returns the error's class.
func (r *refusal) Unwrap() error {
	if r.status >= 500 || r.status == http.StatusTooManyRequests {
		return errProviderUnavailable
	}
	return errProviderAnswer
}

const tokenEndpoint = "token endpoint"

// requestTokens asks the token endpoint with a grant (RFC 6749, section 4.1.3 or 6) and reads its answer (section 5.1; OpenID Connect Core
// 1.0, section 3.1.3.3). ID token and refresh token are "" where it has none; nothing in them has been checked. Errors: *refusal, and those of
// postAsClient.
func (p *provider) requestTokens(ctx context.Context, m *metadata, form url.Values) (session.Tokens, error) {
	// The access token's life counts from before the call, by the store's clock: it is never taken for longer than it is.
	asked := p.now()
	answer, err := p.postAsClient(ctx, tokenEndpoint, m.Token, form)
	if err != nil {
		return session.Tokens{}, err
	}
	fields, err := answer.fields()
	code, _ := fields["error"].(string)
	if !answer.ok() || code != "" { // a few send errors with status 200
		return session.Tokens{}, &refusal{tokenEndpoint, answer.status, code}
	}
	fail := func(what string) (session.Tokens, error) {
		return session.Tokens{}, fmt.Errorf("%w: %s: %s", errProviderAnswer, tokenEndpoint, what)
	}
	if err != nil {
		return fail("the answer is no token response")
	}
	var t session.Tokens
	t.AccessToken, _ = fields["access_token"].(string)
	t.RefreshToken, _ = fields["refresh_token"].(string)
	t.IDToken, _ = fields["id_token"].(string)
	kind, _ := fields["token_type"].(string)
	life, told, err := tokenLife(fields["expires_in"])
	switch {
	case t.AccessToken == "":
		return fail("there is no access token")
	case !strings.EqualFold(kind, "Bearer"): // RFC 6749, section 7.1: case insensitive, and required
		return fail("the token type is not Bearer")
	case err != nil:
		return fail("expires_in is no number")
	case told:
		t.Expiry = asked.Add(life)
	}
	return t, nil
}

// fields reads an answer: JSON as it has to be, or a form, which providers older than RFC 6749 send.
func (a *clientAnswer) fields() (map[string]any, error) {
	if a.mediaType != "application/x-www-form-urlencoded" && a.mediaType != "text/plain" {
		return decodeClaims(a.body)
	}
	form, err := url.ParseQuery(string(a.body))
	if err != nil {
		return nil, err
	}
	fields := map[string]any{}
	for name := range form {
		fields[name] = form.Get(name)
	}
	return fields, nil
}

// tokenLife reads expires_in: seconds as a number, or as text, as some providers write them. What is longer than maxTokenLife is as
// long, what is negative is over.
func tokenLife(v any) (life time.Duration, told bool, err error) {
	var seconds float64
	switch v := v.(type) {
	case nil:
		return 0, false, nil
	case int64:
		seconds = float64(v)
	case float64:
		seconds = v
	case string:
		if seconds, err = strconv.ParseFloat(v, 64); err != nil || math.IsNaN(seconds) {
			return 0, false, errors.New("no number")
		}
	default:
		return 0, false, errors.New("no number")
	}
	return time.Duration(min(max(seconds, 0), maxTokenLife.Seconds())) * time.Second, true, nil
}

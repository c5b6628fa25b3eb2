package idptest

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
)

// ErrNoPage is Press's error for an answer that is not the provider's sign-in page.
var ErrNoPage = errors.New("idptest: this is not the sign-in page")

var (
	pageAction  = regexp.MustCompile(`<form method="post" action="([^"]*)">`)
	pageRequest = regexp.MustCompile(`<input type="hidden" name="request" value="([^"]*)">`)
)

// Press presses the person's button on the sign-in page that a client was led to, and closes that page. An
// empty subject presses Cancel. It gives what the client's redirect policy ends on.
func Press(client *http.Client, page *http.Response, subject string) (*http.Response, error) {
	defer page.Body.Close()
	text, err := io.ReadAll(io.LimitReader(page.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("idptest: reading the sign-in page: %w", err)
	}
	action, request := pageAction.FindSubmatch(text), pageRequest.FindSubmatch(text)
	if action == nil || request == nil {
		return nil, fmt.Errorf("%w: %s %s", ErrNoPage, page.Status, page.Request.URL.Redacted())
	}
	target, err := page.Request.URL.Parse(html.UnescapeString(string(action[1])))
	if err != nil {
		return nil, fmt.Errorf("idptest: the page's form: %w", err)
	}
	form := url.Values{"request": {html.UnescapeString(string(request[1]))}}
	if subject == "" {
		form.Set("cancel", "yes")
		target.RawQuery = form.Encode()
		return client.Get(target.String())
	}
	form.Set("subject", subject)
	return client.PostForm(target.String(), form)
}

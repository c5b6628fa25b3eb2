package authsvc

import (
	"context"
	"fmt"
	"net/url"
	"time"
)

const (
	// pushTimeout bounds how long a browser waits at /start for a pushed authorization request.
	pushTimeout = 5 * time.Second
	// maxPushes bounds the pushes that a replica has under way at once.
	maxPushes = 64
)

// pushes reports whether authorization requests are pushed (RFC 9126): where the provider wants no others, or where the operator wants it. Not
// wherever it is offered: anyone may knock at /start as often as they like, and each push is a call to the provider.
func (p *provider) pushes(d *discoveryDocument) bool {
	switch p.pushing {
	case "on":
		return true
	case "off":
		return false
	}
	return d.MustPush
}

// push hands an authorization request to the provider (RFC 9126, section 2) and returns the parameters that stand for it at the
// authorization endpoint (section 4). They are good for one login and for a short time: each /start pushes anew. Errors: errProviderUnavailable,
// errProviderAnswer, errClientKey.
func (p *provider) push(ctx context.Context, m *metadata, request url.Values) (url.Values, error) {
	const endpoint = "pushed authorization request"
	if m.Pushed == "" {
		return nil, fmt.Errorf("%w: %s: it has no endpoint for them; set oidc.par to off", errProviderAnswer, endpoint)
	}
	select {
	case p.pushSlots <- struct{}{}:
		defer func() { <-p.pushSlots }()
	default:
		return nil, fmt.Errorf("%w: %s: %d others are under way", errProviderUnavailable, endpoint, maxPushes)
	}
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	answer, err := p.postAsClient(ctx, endpoint, m.Pushed, request)
	if err != nil {
		return nil, err
	}
	fields, err := answer.fields()
	if !answer.ok() {
		code, _ := fields["error"].(string)
		return nil, &refusal{endpoint, answer.status, code}
	}
	uri, _ := fields["request_uri"].(string)
	if err != nil || uri == "" || len(uri) > 512 {
		return nil, fmt.Errorf("%w: %s: the answer has no request_uri", errProviderAnswer, endpoint)
	}
	return url.Values{"client_id": {p.clientID}, "request_uri": {uri}}, nil
}

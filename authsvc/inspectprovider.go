package authsvc

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"
)

// ProviderReport is what a look at the provider found that a login needs.
type ProviderReport struct {
	// AuthorizationEndpoint is where browsers are sent to sign in.
	AuthorizationEndpoint string
	// Keys is the number of keys that can verify an ID token, Algorithms those of them that we accept.
	Keys       int
	Algorithms []string
	// Ahead is how far the provider's clock is ahead of this host's by the Date of its answers, to a second; Dated says that it told one.
	Ahead time.Duration
	Dated bool
}

// MaxClockSkew is how far the provider's clock and the store's may differ before ID tokens are refused.
const MaxClockSkew = clockSkew

// InspectProvider asks the provider once for all that a login needs of it: its metadata and its keys. An error says what is wrong
// with them, or that it could not be asked.
func InspectProvider(ctx context.Context, c *Config) (ProviderReport, error) {
	client, err := newProviderClient(c.OIDC)
	if err != nil {
		return ProviderReport{}, err
	}
	dated := &datedTransport{RoundTripper: client.Transport}
	client.Transport = dated
	p := newProvider(c, &knownProvider{client: client}, time.Now)
	if err := p.discover(ctx); err != nil {
		return ProviderReport{}, err
	}
	found := p.discovered.Load()
	report := ProviderReport{AuthorizationEndpoint: found.Authorization, Keys: len(*found.keys.keys.Load()), Algorithms: found.keys.algorithmNames()}
	if ahead := dated.ahead.Load(); ahead != nil {
		report.Ahead, report.Dated = *ahead, true
	}
	return report, nil
}

// datedTransport notes by each answer how far the other clock is ahead of this host's.
type datedTransport struct {
	http.RoundTripper
	ahead atomic.Pointer[time.Duration]
}

func (t *datedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	asked := time.Now()
	response, err := t.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		// A Date has no fractions: on average it is half a second later than it says.
		middle := asked.Add(time.Since(asked) / 2)
		ahead := date.Add(time.Second / 2).Sub(middle)
		t.ahead.Store(&ahead)
	}
	return response, err
}

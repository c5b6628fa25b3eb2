package authsvc

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// BearerReport is what a look at an issuer of bearer tokens found.
type BearerReport struct {
	Issuer string
	// Keys is the number of keys that can verify a token, Algorithms those of them that we accept.
	Keys       int
	Algorithms []string
	// Introspects says that the issuer is asked about opaque tokens, and told that it does not know one that nobody has.
	Introspects bool
	// Err says what is wrong, or that the issuer could not be asked; nil when tokens can be judged.
	Err error
}

// InspectBearer asks each issuer of bearer tokens of every site for its metadata and keys, and where opaque tokens count, about one that nobody has:
// once for sites that ask it alike. The error is that of a file that the configuration names.
func InspectBearer(ctx context.Context, c *Config) ([]BearerReport, error) {
	known := knownProviders{}
	var reports []BearerReport
	asked := map[string]bool{}
	for _, site := range c.EachSite() {
		for _, entry := range site.Bearer {
			beside := site.providerBeside(entry)
			alike := fmt.Sprintf("%q", []string{entry.Issuer, beside.CAFile, entry.IntrospectionURL, entry.ClientID, string(entry.ClientSecret)})
			if entry.IntrospectionURL != "" && entry.ClientID == "" {
				alike += fmt.Sprintf("%q", []string{beside.ClientID, string(beside.ClientSecret), beside.ClientAuth, beside.ClientKeyFile, beside.ClientCertFile})
			}
			if asked[alike] {
				continue
			}
			asked[alike] = true
			mine, err := known.of(beside.OIDC)
			if err != nil {
				return nil, err
			}
			issuer, err := newBearerIssuer(entry, beside.OIDC, newProvider(beside.OIDC, "", mine, time.Now), known)
			if err != nil {
				return nil, err
			}
			reports = append(reports, issuer.inspect(ctx))
		}
	}
	return reports, nil
}

func (i *bearerIssuer) inspect(ctx context.Context) BearerReport {
	report := BearerReport{Issuer: i.issuer}
	if report.Err = i.discover(ctx); report.Err != nil {
		return report
	}
	keys := i.discovered.Load().keys
	report.Keys, report.Algorithms = len(*keys.keys.Load()), keys.algorithmNames()
	if i.introspection == "" {
		return report
	}
	_, _, refusal := i.introspect(ctx, rand.Text())
	switch {
	case refusal != nil && refusal.outcome == Unavailable:
		report.Err = refusal.err
	case refusal == nil || refusal.reason != reasonInactive:
		report.Err = errors.New("introspection calls a token active that nobody has")
	default:
		report.Introspects = true
	}
	return report
}

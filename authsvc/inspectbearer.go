package authsvc

import (
	"context"
	"crypto/rand"
	"errors"
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

// InspectBearer asks each issuer of bearer tokens once for its metadata and keys, and where opaque tokens count, about one that nobody has. The
// error is that of a file that the configuration names.
func InspectBearer(ctx context.Context, c *Config) ([]BearerReport, error) {
	known := knownProviders{}
	mine, err := known.of(c.OIDC)
	if err != nil {
		return nil, err
	}
	own := newProvider(c, mine, time.Now)
	var reports []BearerReport
	for _, entry := range c.Bearer {
		issuer, err := known.ofBearer(entry.Issuer, c.OIDC)
		if err != nil {
			return nil, err
		}
		reports = append(reports, newBearerIssuer(entry, own, issuer).inspect(ctx))
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

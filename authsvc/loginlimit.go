package authsvc

import (
	"net/http"
	"net/netip"
	"time"

	"github.com/maypok86/otter/v2"
	"golang.org/x/time/rate"

	"authsvc/authsvc/pages"
)

const (
	// maxLimited bounds how many addresses are counted, per endpoint: some 10 MB. Under a flood from more than that, addresses that knock rarely are forgotten,
	// and begin anew.
	maxLimited = 20_000
	// limitedPause is how long the log says nothing again about the same address, and about any beyond maxLimitedTold.
	limitedPause   = time.Minute
	maxLimitedTold = 100
)

// loginLimit bounds how many logins an address may begin and finish in a minute (limits.logins_per_minute). It has to do with what a flood of logins costs us and
// the provider, and is no defence of anybody's password: that is the provider's. It is safe for concurrent use; nil limits nothing.
type loginLimit struct {
	perMinute int
	buckets   *otter.Cache[netip.Prefix, *rate.Limiter]
}

// newLoginLimit returns nil where perMinute is 0.
func newLoginLimit(perMinute int) *loginLimit {
	if perMinute == 0 {
		return nil
	}
	return &loginLimit{perMinute, otter.Must(&otter.Options[netip.Prefix, *rate.Limiter]{MaximumSize: maxLimited})}
}

// wait counts a request of a network, and returns how long it would have had to wait: 0 lets it pass. All that the limit allows in a minute may come at once.
func (l *loginLimit) wait(network netip.Prefix, now time.Time) time.Duration {
	bucket, _ := l.buckets.ComputeIfAbsent(network, func() (*rate.Limiter, bool) {
		return rate.NewLimiter(rate.Limit(l.perMinute)/60, l.perMinute), false
	})
	reservation := bucket.ReserveN(now, 1)
	wait := reservation.DelayFrom(now)
	if wait > 0 {
		reservation.CancelAt(now) // who is refused does not wait the longer for it
	}
	return wait
}

// networkOf is what is counted as one: an IPv4 address, or the /64 that one IPv6 subscriber has at least, who may choose among its addresses (RFC 6177).
func networkOf(address netip.Addr) netip.Prefix {
	bits := address.BitLen()
	if address.Is6() {
		bits = 64
	}
	network, _ := address.Prefix(bits) // the lengths are good
	return network
}

// limited refuses who knocks more often than the limit allows. A browser of which the gateway tells no address passes: all who are behind that gateway would share one
// limit, and a single visitor could keep everybody out.
func (s *Service) limited(limit *loginLimit, h handler) handler {
	if limit == nil {
		return h
	}
	return func(w http.ResponseWriter, r *http.Request) error {
		address, now := browserAddress(infoOf(r).site.trusted, r), time.Now()
		if !address.IsValid() {
			if s.limitsTold.due(netip.Prefix{}, now) {
				s.log.Warn().Str("request_id", infoOf(r).id).Msg("limits.logins_per_minute counts nobody whose address the gateway does not tell; let it set X-Forwarded-For")
			}
			return h(w, r)
		}
		network := networkOf(address)
		wait := limit.wait(network, now)
		if wait == 0 {
			return h(w, r)
		}
		s.metrics.loginsLimited.Inc()
		if s.limitsTold.due(network, now) {
			s.log.Warn().Str("request_id", infoOf(r).id).Str("endpoint", infoOf(r).endpoint).Stringer("network", network).
				Msg("refused: more logins than limits.logins_per_minute; where visitors share one address, such as that of a gateway, raise it")
		}
		s.writePage(w, r, http.StatusTooManyRequests, pages.Page{Kind: pages.TooMany, Action: s.againLater(r), RetryAfter: wait})
		return nil
	}
}

// againLater is where the login begins again that is refused for now, with its destination where that can be told.
func (s *Service) againLater(r *http.Request) string {
	site := infoOf(r).site
	if state, err := firstParameter(r.URL.RawQuery, "state"); err == nil && state != "" {
		if a, err := openAttempt(site.keyring, site.name, state); err == nil {
			return site.startURL(a.ReturnTo)
		}
	}
	returnTo, err := s.returnAddress(r, site)
	if err != nil {
		return site.startURL("")
	}
	return site.startURL(returnTo)
}

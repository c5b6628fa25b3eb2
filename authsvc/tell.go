package authsvc

import (
	"slices"
	"sync"
	"time"

	"authsvc/session"
)

// derive is the session.Manager's Derive: the identity of a session is made when it is loaded, and kept with it.
func (s *site) derive(l session.Loaded) (any, int) {
	id := s.identityOf(&l.Session, l.Tokens)
	own := id.share(l.Shares)
	return id, own + s.sizeOf(id, &l.Session)
}

// sizeOf estimates the memory of a session's identity in bytes, with what its verdicts will remember, and without the texts of its values.
func (s *site) sizeOf(id *identity, of *session.Session) int {
	const few = 80 // bytes of some fields and of their place in memory
	n := few/2 + 16*len(id.values)
	told := id.beside.Load()
	if told != nil {
		n += 2*few + 16*len(id.values) + len(told.claims)
	}
	if s.rules.asks || s.rules.opens {
		n += 2*few + sizeOf(of.Claims)
	}
	if s.rules.opens {
		n += 6 * few
	}
	return n
}

// identityOf makes the identity of a session, or of anybody else who has no record, and tells what was left out.
func (s *site) identityOf(of *session.Session, t session.Tokens) *identity {
	id, cut := s.identities.render(of, t)
	if len(cut.headers) > 0 {
		s.tellCut(of.ID, cut)
	}
	return id
}

// lastTold is what the headers of a session said to the application at an origin, which is "" where they say the same to all. It is never changed.
type lastTold struct {
	scheme, host string
	values       []string
	until        time.Time // the same is told until then; zero for as long as the identity is kept
}

// tell returns the values of the site's identity headers for one verdict: those of the identity, the access token while it is good, and an assertion for the
// asked origin. Where that is unknown there is no assertion: it would be good anywhere. What was told last is told again while it is good, since verdicts in a
// row are mostly for one application. Nobody may change the values.
func (s *Service) tell(site *site, of *asker, id *identity, t session.Tokens, a asked, now time.Time) ([]string, error) {
	beside := id.beside.Load()
	if beside == nil {
		return id.values, nil
	}
	hasToken := beside.carriesToken && (t.Expiry.IsZero() || now.Before(t.Expiry))
	hasAssertion := beside.asserted && a.Host != "" && a.Scheme != ""
	if !hasToken && !hasAssertion {
		return id.values, nil
	}
	if !hasAssertion {
		a = asked{} // the token is for all
	}
	if last := beside.last.Load(); last != nil && last.scheme == a.Scheme && last.host == a.Host && (last.until.IsZero() || now.Before(last.until)) {
		return last.values, nil
	}
	fresh := &lastTold{scheme: a.Scheme, host: a.Host, values: slices.Clone(id.values)}
	if hasToken {
		fresh.until = t.Expiry
		for _, i := range site.identities.tokens {
			fresh.values[i] = t.AccessToken
		}
	}
	if !hasAssertion {
		beside.last.Store(fresh)
		return fresh.values, nil
	}
	at, audience := site.identities.assertions, a.Scheme+"://"+a.Host
	if len(audience) > maxAudience {
		s.tellCut(of.id(), omitted{headers: []string{site.identities.headers[at[0]].Name}, tokens: len(at)})
		return fresh.values, nil
	}
	made, err := site.asserter.assert(of, id, audience, now)
	if err != nil {
		return nil, err
	}
	for _, i := range at {
		fresh.values[i] = made.text
	}
	if fresh.until.IsZero() || made.until.Before(fresh.until) {
		fresh.until = made.until
	}
	beside.last.Store(fresh)
	return fresh.values, nil
}

// tellCut counts what was left out of the headers of a session, and says so in the log from time to time: an application may be waiting for it.
func (s *Service) tellCut(id session.ID, c omitted) {
	for reason, n := range map[string]int{cutUnfit: c.unfit, cutMost: c.beyond, cutSize: c.oversize, cutToken: c.tokens} {
		s.metrics.identityDropped.WithLabelValues(reason).Add(float64(n))
	}
	if c.unfit+c.oversize+c.tokens == 0 || !s.cuts.due(id, time.Now()) {
		return // a cap that was asked for is no news
	}
	s.log.Warn().Str("session", id.String()).Strs("headers", c.headers).Int("unfit", c.unfit).Int("too_long", c.oversize+c.tokens).
		Msg("values were left out of the identity headers of a session: they cannot stand in a header, or all would not fit into a gateway's buffer; headers.NAME.filter and most choose")
}

// Why a value was left out of a header, for the metric.
const (
	cutUnfit = "unfit" // it cannot stand in a header
	cutMost  = "most"  // the header's own cap
	cutSize  = "size"  // the limit of all headers
	cutToken = "token" // a token or an assertion that exceeds that limit
)

const (
	// noticePause is how long the log says nothing again about the same session.
	noticePause = time.Hour
	// maxNotices bounds how many sessions it tells of in that time.
	maxNotices = 1000
)

// notices remembers of what the log has told. It is safe for concurrent use.
type notices[K comparable] struct {
	pause time.Duration // how long the log says nothing again about the same
	most  int           // of how many it tells in that time

	mu    sync.Mutex
	began time.Time
	told  map[K]struct{}
}

// due reports whether there is something to tell, and remembers that it was told.
func (n *notices[K]) due(about K, now time.Time) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told == nil || now.Sub(n.began) >= n.pause {
		n.began, n.told = now, map[K]struct{}{}
	}
	if _, told := n.told[about]; told || len(n.told) >= n.most {
		return false
	}
	n.told[about] = struct{}{}
	return true
}

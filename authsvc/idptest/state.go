package idptest

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// codeLife is how long a code can be exchanged; a used one is remembered ten times as long.
const codeLife = time.Minute

// state is all that changes while people sign in.
type state struct {
	mu       sync.Mutex
	secret   []byte // keys the MAC in refresh tokens
	people   []Person
	began    int                                // sessions so far
	sessions map[string]*session                // by cookie value
	codes    map[string]*code                   // by code
	grants   map[string]*grant                  // by ID
	access   map[[sha256.Size]byte]*accessToken // by hash of the token
	swept    int                                // how many codes and access tokens the last sweep left
	counts   map[string]*Counts
	pushed   map[string]pushed // by request_uri

	assertions map[string]time.Time // of clients that were used, until they expire
}

// session is one browser's session with the provider. Its fields are guarded by state.mu.
type session struct {
	cookie   string
	sid      string
	began    int
	subject  string
	authTime time.Time
	acr      string
	clients  map[string]bool // who took part
}

// code is what an authorization code stands for.
type code struct {
	request *authorization
	session session // as it was when the code was issued
	expires time.Time
	used    bool
	grant   *grant // what it gave, once used
}

// grant is what a login gave: a family of tokens that lives and dies together.
type grant struct {
	id         string
	client     *Client
	subject    string
	sid        string
	scopes     []string
	nonce      string
	authTime   time.Time
	acr        string
	refreshes  bool      // it has a refresh token
	generation int       // of the one refresh token that is good
	expires    time.Time // of that token; zero: never
	revoked    bool
}

type accessToken struct {
	grant   *grant
	scopes  []string
	expires time.Time
	revoked bool
	claims  map[string]any // of a client's own token; nil when a person signed in
}

// Counts tells what grants were asked for one person, or for all.
type Counts struct {
	Logins        int // codes exchanged for tokens
	Refreshes     int // refresh tokens exchanged for tokens
	CodeReuses    int // codes that came again
	RefreshReuses int // refresh tokens that came again after their rotation; each revoked the family
}

// Counts tells what was granted to the person so far.
func (p *Provider) Counts(subject string) Counts {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	if c := p.state.counts[subject]; c != nil {
		return *c
	}
	return Counts{}
}

// TotalCounts is the sum over all people.
func (p *Provider) TotalCounts() Counts {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	var total Counts
	for _, c := range p.state.counts {
		total.Logins += c.Logins
		total.Refreshes += c.Refreshes
		total.CodeReuses += c.CodeReuses
		total.RefreshReuses += c.RefreshReuses
	}
	return total
}

// The methods of state below need mu held.

func (s *state) countsOf(subject string) *Counts {
	c := s.counts[subject]
	if c == nil {
		c = &Counts{}
		s.counts[subject] = c
	}
	return c
}

func (s *state) person(subject string) (Person, bool) {
	for _, person := range s.people {
		if person.Subject == subject {
			return person, true
		}
	}
	return Person{}, false
}

// issueCode makes a code for the request in this session.
func (s *state) issueCode(request *authorization, in *session, now time.Time) string {
	s.sweep(now)
	in.clients[request.client.ID] = true
	text := rand.Text()
	s.codes[text] = &code{request: request, session: *in, expires: now.Add(codeLife)}
	return text
}

// sweep forgets what has expired, once there is twice as much as the last sweep left.
func (s *state) sweep(now time.Time) {
	if len(s.codes)+len(s.access) < 2*s.swept+1000 {
		return
	}
	maps.DeleteFunc(s.codes, func(_ string, c *code) bool { return now.Sub(c.expires) > 10*codeLife })
	maps.DeleteFunc(s.pushed, func(_ string, r pushed) bool { return now.After(r.expires) })
	maps.DeleteFunc(s.assertions, func(_ string, expires time.Time) bool { return now.After(expires) })
	maps.DeleteFunc(s.access, func(_ [sha256.Size]byte, t *accessToken) bool { return now.After(t.expires) })
	s.swept = len(s.codes) + len(s.access)
}

// refreshToken is the good refresh token of a grant. It carries the grant, its generation and a MAC, so
// that an old one is known as ours without remembering it.
func (s *state) refreshToken(g *grant) string {
	return s.sealGeneration(g.id, g.generation)
}

func (s *state) sealGeneration(id string, generation int) string {
	text := id + "." + strconv.Itoa(generation)
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// openRefreshToken finds the grant and the generation of a refresh token; nil if it is not one of ours.
func (s *state) openRefreshToken(token string) (g *grant, generation int) {
	id, rest, _ := strings.Cut(token, ".")
	number, _, _ := strings.Cut(rest, ".")
	generation, err := strconv.Atoi(number)
	if err != nil || !hmac.Equal([]byte(token), []byte(s.sealGeneration(id, generation))) {
		return nil, 0
	}
	return s.grants[id], generation
}

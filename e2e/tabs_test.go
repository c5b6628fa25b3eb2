package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// TestTenTabs: a browser restores ten tabs at once, with its cookies or without any. All of them are at the provider when the person
// signs in, and all come to their pages.
func TestTenTabs(t *testing.T) {
	s := newStack(t, options{replicas: 3})
	for round := range 5 {
		for _, before := range []string{"a new browser", "one that was here before", "one whose session has ended", "one whose cookie is a forgery"} {
			s.redis.Flush()
			v := s.visitor("alice")
			switch before {
			case "one that was here before":
				_, err := v.toCallback("/") // never finished
				check(t, err)
			case "one whose session has ended":
				v.signIn()
				s.redis.Flush()
				check(t, s.refused(v.cookie(sessionCookie)))
			case "one whose cookie is a forgery":
				v.client.Jar.SetCookies(s.address(), []*http.Cookie{{Name: sessionCookie, Value: "x"}, {Name: loginCookie, Value: "x"}})
			}
			tabs := make([]string, 10)
			check(t, together(len(tabs), len(tabs), func(i int) error {
				answer, err := v.walk(tabPath(i, round), s.atProvider)
				tabs[i] = answer.header.Get("Location")
				return err
			}))
			if err := together(len(tabs), len(tabs), func(i int) error {
				answer, err := v.open(tabs[i])
				if err == nil {
					_, err = v.arrived(answer, tabPath(i, round))
				}
				return err
			}); err != nil {
				t.Errorf("%s: %v", before, err)
			}
			if n := s.records(); n != 1 {
				t.Errorf("%s: %d session records", before, n)
			}
			check(t, s.signedInAs("alice", v.cookie(sessionCookie)))
		}
	}
}

func tabPath(i, round int) string { return fmt.Sprintf("/tab/%d?a=b&round=%d", i, round) }

// TestTenTabsWithoutStopping: as TestTenTabs, but the provider knows the person, so that the first callbacks are back while other tabs have
// yet to begin. The browser has its login cookie: in one without, such tabs share no secret that could tell them from an attacker's.
func TestTenTabsWithoutStopping(t *testing.T) {
	s := newStack(t, options{replicas: 3})
	for round := range 10 {
		s.redis.Flush()
		v := s.visitor("alice")
		_, err := v.toCallback("/")
		check(t, err)
		check(t, together(10, 10, func(i int) error {
			_, err := v.arrive(tabPath(i, round))
			return err
		}))
		if n := s.records(); n != 1 {
			t.Errorf("%d session records", n)
		}
		check(t, s.signedInAs("alice", v.cookie(sessionCookie)))
	}
}

// TestFiftyLogins of one browser, one after the other: each replaces the record of the one before.
func TestFiftyLogins(t *testing.T) {
	s := newStack(t, options{replicas: 3})
	v := s.visitor("alice")
	var tokens []string
	known := map[string]bool{}
	for i := range 50 {
		_, err := v.arrive(fmt.Sprintf("/start-%d", i))
		check(t, err)
		answer, err := v.open(fmt.Sprintf("/start?rd=%%2Fpage%%3Fn%%3D%d", i))
		check(t, err)
		_, err = v.arrived(answer, fmt.Sprintf("/page?n=%d", i))
		check(t, err)
		token := v.cookie(sessionCookie)
		tokens = append(tokens, token)
		known[token] = true
	}
	if len(known) != 50 {
		t.Errorf("%d different tokens of 50 logins", len(known))
	}
	if n := s.records(); n != 1 {
		t.Errorf("%d session records", n)
	}
	check(t, s.signedInAs("alice", tokens[49]))
	for i, token := range tokens[:49] {
		if err := s.refused(token); err != nil {
			t.Errorf("token %d: %v", i, err)
		}
	}
}

// TestCrossingCallbacks: two tabs' callbacks are at two replicas at the same time, and neither has seen the other's cookie. Whichever
// ends first, there is one record and one cookie.
func TestCrossingCallbacks(t *testing.T) {
	s := newStack(t, options{})
	for _, order := range [][]int{{0, 1}, {1, 0}, nil} { // nil: at once
		for _, signedIn := range []bool{false, true} {
			t.Run(fmt.Sprintf("order %v, signed in before %v", order, signedIn), func(t *testing.T) {
				s.redis.Flush()
				v := s.visitor("alice")
				if signedIn {
					v.signIn()
				}
				old := v.cookie(sessionCookie)
				var callbacks [2]string
				var gates [2]chan struct{}
				byCode := map[string]chan struct{}{}
				for i := range callbacks {
					address, err := v.toCallback("/landed")
					check(t, err)
					callbacks[i], gates[i] = address, make(chan struct{})
					byCode[queryOf(t, address).Get("code")] = gates[i]
				}
				s.provider.ForgetRequests()
				s.provider.Intercept(idptest.Token, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
					r.ParseForm() // the endpoint refuses what cannot be read
					idptest.Hold(byCode[r.PostForm.Get("code")])(w, r, next)
				})
				defer s.provider.Intercept(idptest.Token, nil)

				// Both send the cookies that the browser has now.
				var header = http.Header{}
				for _, c := range v.cookies() {
					header.Add("Cookie", c.Name+"="+c.Value)
				}
				var answers [2]chan reply
				for i := range answers {
					answers[i] = make(chan reply, 1)
					go func() {
						answer, err := s.replicas[i].send("/callback?"+cutQuery(callbacks[i]), header)
						if err != nil {
							answer.body = err.Error()
						}
						answers[i] <- answer
					}()
				}
				storetest.WaitFor(t, "both codes to be on their way", func() error {
					if n := s.provider.Count(idptest.Token); n != 2 {
						return fmt.Errorf("%d of 2", n)
					}
					return nil
				})
				var ended [2]reply
				if order == nil {
					close(gates[0])
					close(gates[1])
					ended[0], ended[1] = <-answers[0], <-answers[1]
				}
				for _, i := range order {
					close(gates[i])
					ended[i] = <-answers[i]
				}

				cookies := map[string]bool{}
				for i, answer := range ended {
					if answer.status != http.StatusFound || answer.header.Get("Location") != "/landed" {
						t.Errorf("tab %d: %v", i, answer)
					}
					for _, c := range answer.cookies() {
						if c.Name == sessionCookie && c.Value != "" {
							cookies[c.Value] = true
							check(t, s.signedInAs("alice", c.Value))
						}
					}
				}
				if n := s.records(); len(cookies) != 1 || n != 1 {
					t.Errorf("%d cookies, %d session records; want one of each", len(cookies), n)
				}
				if signedIn {
					check(t, s.refused(old))
				}
			})
		}
	}
}

// parallelAttempts is Q42: 200 logins that were begun in one browser leave it two small cookies, and all of them can be finished.
func parallelAttempts(t *testing.T, _ *stack) {
	s := newStack(t, options{})
	v := s.visitor("alice")
	callbacks := make([]string, 200)
	check(t, together(len(callbacks), 10, func(i int) (err error) {
		if i == 0 {
			return nil
		}
		callbacks[i], err = v.toCallback(fmt.Sprintf("/tab?n=%d", i))
		return err
	}))
	var err error
	callbacks[0], err = v.toCallback("/tab?n=0")
	check(t, err)
	if cookies := v.cookies(); len(cookies) != 1 || cookies[0].Name != loginCookie || len(cookies[0].Value) > 200 {
		t.Errorf("cookies of 200 attempts: %v", cookies)
	}
	check(t, together(len(callbacks), 10, func(i int) error {
		answer, err := v.open(callbacks[i])
		if err != nil {
			return err
		}
		_, err = v.arrived(answer, fmt.Sprintf("/tab?n=%d", i))
		return err
	}))
	size := 0
	for _, c := range v.cookies() {
		size += len(c.Name) + len(c.Value)
	}
	if n := len(v.cookies()); n != 2 || size > 300 {
		t.Errorf("%d cookies of %d bytes", n, size)
	}
	if n := s.records(); n != 1 {
		t.Errorf("%d session records", n)
	}
}

// sameCallbackTwenty: twenty requests bring the same callback at once, to all replicas. One redeems the code, and all come to the page.
func sameCallbackTwenty(t *testing.T, s *stack) {
	for _, bystanders := range []bool{false, true} {
		s.redis.Flush()
		v := s.visitor("alice")
		if bystanders { // the session that is to be replaced
			v.signIn()
		}
		callback, err := v.toCallback("/landed?a=b&c=d")
		check(t, err)
		s.provider.ForgetRequests()
		release := make(chan struct{})
		s.provider.Intercept(idptest.Token, idptest.Hold(release))
		seen := make([]chan struct{}, 20)
		err = together(len(seen), len(seen), func(i int) error {
			if i == len(seen)-1 { // by then the others have been sent, if not read
				storetest.WaitFor(t, "the code to be on its way", func() error {
					if s.provider.Count(idptest.Token) == 0 {
						return fmt.Errorf("it has not come")
					}
					return nil
				})
				close(release)
			}
			answer, err := v.open(callback)
			if err != nil {
				return err
			}
			_, err = v.arrived(answer, "/landed?a=b&c=d")
			return err
		})
		s.provider.Intercept(idptest.Token, nil)
		if err != nil {
			t.Error(err)
		}
		if n := s.provider.Count(idptest.Token); n != 1 {
			t.Errorf("%d token requests", n)
		}
		if n := s.records(); n != 1 {
			t.Errorf("%d session records", n)
		}
		// And once more, long after.
		answer, err := v.open(callback)
		check(t, err)
		_, err = v.arrived(answer, "/landed?a=b&c=d")
		check(t, err)
		if n := s.provider.Count(idptest.Token); n != 1 {
			t.Errorf("%d token requests after the callback came again", n)
		}
	}
}

// send asks a replica with these headers.
func (r *replica) send(path string, header http.Header) (reply, error) {
	request, err := http.NewRequest(http.MethodGet, "http://"+r.address+path, nil)
	if err != nil {
		return reply{}, err
	}
	request.Header = header.Clone()
	return exchange(direct, request)
}

// atProvider tells the provider's addresses.
func (s *stack) atProvider(u *url.URL) bool {
	return strings.HasPrefix(u.String(), s.provider.Issuer())
}

func queryOf(t *testing.T, address string) url.Values {
	t.Helper()
	u, err := url.Parse(address)
	check(t, err)
	return u.Query()
}

func cutQuery(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return err.Error()
	}
	return u.RawQuery
}

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"authsvc/authsvc/idptest"
)

// TestTwoHundredUsers: every user's login begins at one replica and is called back at another, and all three answer for everybody.
func TestTwoHundredUsers(t *testing.T) {
	const users = 200
	s := newStack(t, options{replicas: 3, provider: func(o *idptest.Options) {
		for i := range users {
			o.People = append(o.People, person(fmt.Sprintf("user-%03d", i)))
		}
	}})
	visitors := make([]*visitor, users)
	for i := range visitors {
		visitors[i] = s.visitor(fmt.Sprintf("user-%03d", i))
	}
	// One after the other, nginx' round robin gives start and callback to neighbours, always; ten at once, it gives them to
	// anybody.
	crossings := map[[2]string]int{}
	for _, v := range visitors[:users/2] {
		start, callback, err := v.signInTelling()
		check(t, err)
		if start == callback {
			t.Errorf("%s started and was called back at %s", v.person, start)
		}
		crossings[[2]string{start, callback}]++
	}
	if len(crossings) != 3 {
		t.Errorf("the logins crossed replicas in these ways: %v", crossings)
	}
	check(t, together(users/2, 10, func(i int) error {
		_, err := visitors[users/2+i].arrive("/deep?a=b&c=d")
		return err
	}))

	if n := s.records(); n != users {
		t.Errorf("%d session records for %d users", n, users)
	}
	s.everyKeyEnds()
	check(t, together(users, 10, func(i int) error {
		v := visitors[i]
		if err := s.signedInAs(v.person, v.cookie(sessionCookie)); err != nil {
			return err
		}
		for range s.replicas {
			who, err := v.arrive("/again")
			if err != nil {
				return err
			}
			if want := person(v.person); who.Email != want.Email || who.Groups != "staff,team-"+v.person {
				return fmt.Errorf("the application takes %s for %+v", v.person, who)
			}
		}
		return nil
	}))
	if n := s.records(); n != users {
		t.Errorf("after the checks: %d session records", n)
	}
	if counts := s.provider.TotalCounts(); counts != (idptest.Counts{Logins: users}) {
		t.Errorf("the provider counts %+v", counts)
	}
	cookies := map[string]bool{}
	for _, v := range visitors {
		cookies[v.cookie(sessionCookie)] = true
	}
	if len(cookies) != users {
		t.Errorf("%d different cookies", len(cookies))
	}
}

// signInTelling signs in and tells which replicas began and ended it.
func (v *visitor) signInTelling() (start, callback string, err error) {
	answer, err := v.send(http.MethodGet, "/deep?x=1&y=2", nil)
	for err == nil && answer.header.Get("Location") != "" {
		address := answer.header.Get("Location")
		answer, err = v.send(http.MethodGet, address, nil)
		switch answer.url.Path {
		case "/start":
			start = answer.header.Get(answeredBy)
		case "/callback":
			callback = answer.header.Get(answeredBy)
		}
	}
	if err != nil {
		return "", "", err
	}
	_, err = v.arrived(answer, "/deep?x=1&y=2")
	if known := v.stack.addresses(); err == nil && (!slices.Contains(known, start) || !slices.Contains(known, callback)) {
		err = fmt.Errorf("%s was answered by %q and %q", v.person, start, callback)
	}
	return start, callback, err
}

func (s *stack) addresses() (list []string) {
	for _, r := range s.replicas {
		list = append(list, r.address)
	}
	return list
}

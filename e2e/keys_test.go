package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// mayLeaveAt is the date in the line with which a replica refuses keys.
var mayLeaveAt = regexp.MustCompile(`may leave .*at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)`)

// awaitSigner waits until every replica signs with a secret, at the beginning of a login.
func (s *stack) awaitSigner(secret string) {
	s.t.Helper()
	ring := keyring(s.t, secret)
	for _, r := range s.replicas {
		storetest.WaitFor(s.t, "another key to sign at "+r.address, func() error {
			answer, err := s.visitor("nobody").at(r, http.MethodGet, "/start")
			if err != nil {
				return err
			}
			for _, c := range answer.cookies() {
				if c.Name == loginCookie {
					_, err = ring.ParseToken(session.PurposeLogin, "main", c.Value)
					return err
				}
			}
			return fmt.Errorf("no login cookie: %s", answer)
		})
	}
}

// TestKeysRoll takes a new cookie secret into use on three replicas, one after the other, and the old one out of it, while 1,000 people are signed
// in: added last, made first, removed. Nobody is logged out, and removing it too early is refused.
func TestKeysRoll(t *testing.T) {
	const people, life = 1000, 45 * time.Second
	s := newStack(t, options{noReplica: true, provider: withResidents(people, nil), settings: map[string]string{
		"session.absolute_timeout": life.String(), "session.idle_timeout": life.String(), "shutdown.delay": "0",
	}})
	dir, older, newer, newest := t.TempDir(), s.settings["cookie.secret"], newSecret(), newSecret()
	delete(s.settings, "cookie.secret")
	var files []string
	for i := range 3 {
		files = append(files, filepath.Join(dir, fmt.Sprint(i)))
		check(t, os.WriteFile(files[i], []byte(older+"\n"), 0o600))
		s.settings["cookie.secret_file"] = files[i]
		s.replicas = append(s.replicas, newReplica(t, s.settings))
	}
	for _, r := range s.replicas {
		r.awaitReady()
	}
	s.startNginx()
	p := s.settle(people, life, s.everyReplica())

	replaced := make([]int, len(s.replicas))
	// exchange gives one replica other secrets and checks whose secret signs there afterwards, that everybody passes, and that who signs in now
	// passes everywhere.
	exchange := func(i int, secrets ...string) {
		t.Helper()
		replaced[i]++
		replace(t, files[i], strings.Join(secrets, "\n")+"\n")
		s.replicas[i].awaitLog(`"secrets replaced"`, replaced[i])
		s.newcomer("alice")
		p.round(t)
	}
	for i := range s.replicas {
		exchange(i, older, newer)
	}
	s.awaitSigner(older)
	for i := range s.replicas {
		exchange(i, newer, older)
	}
	s.awaitSigner(newer)

	// Too early. The file is looked at again until its time has come.
	early := s.replicas[0]
	replace(t, files[0], newer+"\n")
	until := func() (date time.Time, err error) { // as it was told last: while others may be signing with the key it moves on
		dates := mayLeaveAt.FindAllStringSubmatch(early.log.String(), -1)
		if dates == nil {
			return date, fmt.Errorf("it has not said when")
		}
		return time.Parse(time.RFC3339, dates[len(dates)-1][1])
	}
	storetest.WaitFor(t, "a replica to refuse", func() error { _, err := until(); return err })
	date, err := until()
	check(t, err)
	if left := time.Until(date); left <= 0 || left > life+time.Minute {
		t.Errorf("the old key may leave in %v", left)
	}
	for time.Now().Before(date) {
		p.round(t)
		if date, err = until(); strings.Count(early.log.String(), `"secrets replaced"`) != replaced[0] && time.Until(date) > time.Second {
			t.Fatalf("the old key is gone %v before its time", time.Until(date))
		}
		check(t, err)
	}
	for i := range s.replicas {
		exchange(i, newer)
	}
	s.awaitSigner(newer)
	t.Logf("removed at %s: %d people asked about %d times, nobody logged out", date.Format(time.TimeOnly), people, p.asked.Load())
	if n := strings.Count(early.log.String(), "cookie secrets in use stay for now"); n > 2 {
		t.Errorf("it has complained %d times", n)
	}

	// A key that is made first at once is used as soon as everybody has it.
	for i := range s.replicas {
		exchange(i, newest, newer)
	}
	s.awaitSigner(newest)
	s.newcomer("carol")
	p.round(t)
	check(t, p.stop())
	t.Logf("%d people were asked about %d times, nobody was logged out", people, p.asked.Load())
	for i, r := range s.replicas {
		for _, secret := range []string{older, newer, newest} {
			if strings.Contains(r.log.String(), secret) {
				t.Errorf("replica %d has logged a secret", i)
			}
		}
	}
}

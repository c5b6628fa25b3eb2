package authsvc

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func withInterval(c *Config) {
	c.Session.UserinfoInterval, c.Session.CacheTTL = time.Minute, time.Minute
}

// groupsBecome asks every replica until all of them tell these groups.
func (r *rig) groupsBecome(cookie http.Header, want string) {
	r.t.Helper()
	eventually(r.t, "the groups are "+want, func() bool {
		all := true
		for _, replica := range r.replicas {
			answer := ask(replica, http.MethodGet, "/auth", trustedPeer, cookie)
			if answer.Code != http.StatusOK {
				r.t.Fatalf("the answer is %d", answer.Code)
			}
			all = all && answer.Header().Get("X-Auth-Request-Groups") == want
		}
		return all
	})
}

// TestUserinfoInterval changes alice's groups at the provider: all replicas know within the interval, and userinfo was asked once.
func TestUserinfoInterval(t *testing.T) {
	r := newRig(t, 3, withInterval)
	cookie := signedIn(r, "alice")
	r.groupsBecome(cookie, alicesGroups)
	atLogin := r.provider.Count(idptest.Userinfo)
	changed := people[0]
	changed.Groups = []string{"guests"}
	r.provider.SetPerson(changed)
	r.advance(50 * time.Second)
	r.groupsBecome(cookie, alicesGroups)
	r.advance(20 * time.Second)
	r.groupsBecome(cookie, "guests")
	for range 20 {
		r.groupsBecome(cookie, "guests")
	}
	if asked := r.provider.Count(idptest.Userinfo) - atLogin; asked != 1 {
		t.Errorf("userinfo was asked %d times", asked)
	}
	if refreshes := r.provider.Counts("alice").Refreshes; refreshes != 0 {
		t.Errorf("%d refreshes", refreshes)
	}
	// A refresh asks userinfo, too, which counts before the ID token: what it told does not come and go.
	r.provider.EditIDToken(func(_, claims map[string]any) { claims["groups"] = []string{"older"} })
	r.advance(4 * time.Minute)
	r.groupsBecome(cookie, "guests")
	r.landed()
	r.groupsBecome(cookie, "guests")
	if refreshes := r.provider.Counts("alice").Refreshes; refreshes != 1 {
		t.Errorf("%d refreshes", refreshes)
	}
}

// TestUserinfoIntervalTrouble: a provider that cannot tell changes no verdict, and is not asked again before the next interval.
func TestUserinfoIntervalTrouble(t *testing.T) {
	for name, trouble := range map[string]idptest.Interceptor{
		"503": idptest.Status(http.StatusServiceUnavailable), "401": idptest.Status(http.StatusUnauthorized), "garbage": idptest.Garbage(),
		"about somebody else": idptest.Answer(http.StatusOK, "application/json", `{"sub":"mallory","groups":["root"]}`),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2, withInterval)
			cookie := signedIn(r, "alice")
			r.provider.Intercept(idptest.Userinfo, trouble)
			before := r.provider.Count(idptest.Userinfo)
			r.advance(70 * time.Second)
			r.groupsBecome(cookie, alicesGroups)
			eventually(t, "userinfo is asked", func() bool { return r.provider.Count(idptest.Userinfo) > before })
			r.landed()
			for range 20 {
				r.groupsBecome(cookie, alicesGroups)
			}
			r.landed()
			if asked := r.provider.Count(idptest.Userinfo) - before; asked != 1 {
				t.Errorf("asked %d times", asked)
			}
			metrics := askAdmin(r.replicas[0], http.MethodGet, "/metrics").Body.String() + askAdmin(r.replicas[1], http.MethodGet, "/metrics").Body.String()
			if n := strings.Count(metrics, `authsvc_userinfo_asked_total{result="failed"} 1`); n != 1 {
				t.Errorf("%d replicas count a failure", n)
			}
			r.provider.BeHonest()
			changed := people[0]
			changed.Groups = []string{"guests"}
			r.provider.SetPerson(changed)
			r.advance(70 * time.Second)
			r.groupsBecome(cookie, "guests")
		})
	}
}

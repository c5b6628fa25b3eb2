package authsvc

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoginLimit: all of a minute's logins may come at once, then one after the other; refused ones do not put the next one off; and others do not matter.
func TestLoginLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limit := newLoginLimit(6)
		wait := func(address string) time.Duration {
			return limit.wait(networkOf(netip.MustParseAddr(address)), time.Now())
		}
		for i := range 6 {
			if left := wait("203.0.113.7"); left != 0 {
				t.Fatalf("login %d has to wait for %v", i, left)
			}
		}
		for range 100 {
			if left := wait("203.0.113.7"); left != 10*time.Second {
				t.Fatalf("the seventh has to wait for %v", left)
			}
		}
		if wait("203.0.113.8") != 0 || wait("::ffff:203.0.113.7") != 0 || wait("2001:db8:0:1::1") != 0 {
			t.Error("another address has to wait")
		}
		for i := range 5 {
			if wait(fmt.Sprintf("2001:db8:0:1:%x::1", i+1)) != 0 {
				t.Errorf("address %d of the same /64 has to wait", i)
			}
		}
		if wait("2001:db8:0:1:ffff::1") == 0 || wait("2001:db8:0:2::1") != 0 {
			t.Error("a /64 is not counted as one, or another one with it")
		}
		time.Sleep(10 * time.Second)
		if first, second := wait("203.0.113.7"), wait("203.0.113.7"); first != 0 || second != 10*time.Second {
			t.Errorf("ten seconds later: %v, %v", first, second)
		}
		time.Sleep(time.Hour)
		for i := range 6 {
			if left := wait("203.0.113.7"); left != 0 {
				t.Errorf("an hour later, login %d: %v", i, left)
			}
		}
		if wait("203.0.113.7") == 0 {
			t.Error("an hour was saved up")
		}
	})
	if newLoginLimit(0) != nil {
		t.Error("0 is a limit")
	}
}

// TestLoginLimitForgets: however many addresses come, only so many are counted.
func TestLoginLimitForgets(t *testing.T) {
	limit, now := newLoginLimit(1), time.Now()
	for i := range uint64(3 * maxLimited) {
		address := netip.MustParseAddr("2001:db8::").As16()
		binary.BigEndian.PutUint32(address[4:], uint32(i))
		limit.wait(networkOf(netip.AddrFrom16(address)), now)
	}
	limit.buckets.CleanUp()
	if n := limit.buckets.EstimatedSize(); n > maxLimited {
		t.Errorf("%d addresses are counted", n)
	}
}

// TestLimitedLogins signs in until that is too often.
func TestLimitedLogins(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Limits.LoginsPerMinute, c.TrustedProxies = 2, []string{"127.0.0.1"} })
	from := func(b *browser, address, forwardedFor string) reply {
		header := http.Header{"Accept-Language": {"de"}}
		if forwardedFor != "" {
			header.Set("X-Forwarded-For", forwardedFor)
		}
		b.stop = func(*url.URL) bool { return true }
		return b.do(http.MethodGet, address, header)
	}
	one, other := r.browser(), r.browser()
	for i := range 2 {
		if got := from(one, "/start?rd=%2Fdeep", "203.0.113.7"); got.StatusCode != http.StatusFound {
			t.Fatalf("start %d: %s", i, got.Status)
		}
	}
	for _, forwardedFor := range []string{"203.0.113.7", "198.51.100.1, 203.0.113.7", "127.0.0.1, 203.0.113.7", "unknown, 203.0.113.7"} {
		got := from(one, "/sign_in?rd=%2Fdeep", forwardedFor)
		if got.StatusCode != http.StatusTooManyRequests || got.Header.Get("Retry-After") != "30" || got.Header.Get("Content-Language") != "de" ||
			got.Header.Get("Cache-Control") != "no-store" || !strings.Contains(got.body, `href="`+r.url+`/start?rd=%2Fdeep"`) || len(got.Cookies()) > 0 {
			t.Fatalf("%s: %s, %v\n%s", forwardedFor, got.Status, got.Header, got.body)
		}
	}
	// Who was let begin may finish, and be told whose page it was where not.
	for i := range 3 {
		got := from(one, "/callback?state=x", "203.0.113.7")
		if want := []int{http.StatusBadRequest, http.StatusBadRequest, http.StatusTooManyRequests}[i]; got.StatusCode != want {
			t.Errorf("callback %d: %s", i, got.Status)
		}
	}
	if got := from(other, "/start", "203.0.113.8"); got.StatusCode != http.StatusFound {
		t.Errorf("another address: %s", got.Status)
	}
	for range 5 {
		if got := from(other, "/start", ""); got.StatusCode != http.StatusFound {
			t.Errorf("no address: %s", got.Status)
		}
		if got := from(one, "/auth", "203.0.113.7"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("a verdict: %s", got.Status)
		}
		if got := from(one, "/session", "203.0.113.7"); got.StatusCode != http.StatusUnauthorized {
			t.Errorf("/session: %s", got.Status)
		}
	}
	r.shows(0, "authsvc_logins_limited_total 5")
	if log := r.log.String(); strings.Count(log, "more logins than") != 1 || strings.Count(log, "counts nobody") != 1 || !strings.Contains(log, `"network":"203.0.113.7/32"`) {
		t.Errorf("the log:\n%s", log)
	}
}

// TestLimitedCallbackLeadsBack: the page of a refused callback begins the login again that ends at the same place.
func TestLimitedCallbackLeadsBack(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Limits.LoginsPerMinute, c.TrustedProxies = 1, []string{"127.0.0.1"} })
	b := r.browser()
	callback := b.toCallback() // by an address that nobody tells
	header := http.Header{"X-Forwarded-For": {"203.0.113.7"}}
	b.stop = func(*url.URL) bool { return true }
	if got := b.do(http.MethodGet, "/callback?state=x", header); got.StatusCode != http.StatusBadRequest {
		t.Fatal(got.Status)
	}
	got := b.do(http.MethodGet, callback, header)
	if got.StatusCode != http.StatusTooManyRequests || !strings.Contains(got.body, `href="`+r.url+`/start?rd=%2Flanded"`) {
		t.Errorf("%s\n%s", got.Status, got.body)
	}
	// The code is unspent.
	if got := b.do(http.MethodGet, callback, nil); got.StatusCode != http.StatusFound || sessionCookieOf(got) == nil {
		t.Errorf("later: %s", got.Status)
	}
}

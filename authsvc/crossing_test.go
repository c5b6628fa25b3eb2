package authsvc

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/memstore"
)

// split is two replicas behind one public URL that are on different stores, the older one first.
type split struct {
	*rig
	both   [2]*Service
	stores [2]*faultyStore
	open   [2]chan bool // what the gates were told
}

func newSplit(t *testing.T, configure func(younger *Config)) *split {
	t.Helper()
	s := &split{}
	var config *Config
	s.rig = newRig(t, 1, func(c *Config) { config = c })
	s.stores = [2]*faultyStore{s.store, {Store: memstore.New(s.now)}}
	second := *config
	if configure != nil {
		configure(&second)
	}
	s.both = [2]*Service{s.replicas[0], s.another(&second, s.stores[1])}
	run(t, s.both[1])
	for i, replica := range s.both {
		s.open[i] = make(chan bool, 10)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { replica.Join(ctx, func(open bool) { s.open[i] <- open }) })
		t.Cleanup(func() { cancel(); running.Wait() })
		if !<-s.open[i] {
			t.Fatal("a replica did not open")
		}
		s.advance(time.Second)
	}
	s.advance(storeIDSpreads)
	return s
}

// at makes all requests go to one replica from now on.
func (s *split) at(replica int) { s.replicas = s.both[replica : replica+1] }

// cross begins a login at one replica and ends it at the other.
func (s *split) cross(b *browser, from, to int) reply {
	s.t.Helper()
	s.at(from)
	callback := b.toCallback()
	s.at(to)
	return b.open(callback)
}

func (s *split) replicasAt(i int) (listed []Replica) {
	s.t.Helper()
	if err := json.Unmarshal(askAdmin(s.both[i], http.MethodGet, "/replicas").Body.Bytes(), &listed); err != nil {
		s.t.Fatal(err)
	}
	return listed
}

// driftAt waits until a replica tells that these have drift of the store, and nobody else.
func (s *split) driftAt(i int, want ...string) {
	s.t.Helper()
	eventually(s.t, "/replicas tells of the other store", func() bool {
		var found []string
		for _, r := range s.replicasAt(i) {
			if len(r.Drift) == 1 && r.Drift[0] == driftStore {
				found = append(found, r.ID)
			}
		}
		return strings.Join(found, " ") == strings.Join(want, " ") && len(s.replicasAt(i)) == 2
	})
}

// TestCrossingClosesTheYounger: the first callback of a login that began on another store closes the younger replica, and the login
// begins again at the one that stays.
func TestCrossingClosesTheYounger(t *testing.T) {
	s := newSplit(t, nil)
	older, younger := s.both[0], s.both[1]
	b := s.browser()
	answer := s.cross(b, 0, 1)
	again := answer.Header.Get("Location")
	if answer.StatusCode != http.StatusFound || !strings.HasPrefix(again, s.url+"/start?") || sessionCookieOf(answer) != nil {
		t.Fatalf("%s, to %s", answer.Status, again)
	}
	if n := s.provider.Count(idptest.Token); n != 0 {
		t.Error("the code was spent")
	}
	if <-s.open[1] {
		t.Error("the younger one opened")
	}
	ready := askAdmin(younger, http.MethodGet, "/readyz")
	if ready.Code != http.StatusServiceUnavailable || !strings.Contains(ready.Body.String(), "store differs from "+older.id) {
		t.Errorf("readyz of the younger: %d %s", ready.Code, ready.Body)
	}
	if metrics := askAdmin(younger, http.MethodGet, "/metrics").Body.String(); !strings.Contains(metrics, `authsvc_config_drift{setting="store"} 1`) {
		t.Error("the metrics of the younger do not tell of drift")
	}
	s.driftAt(1, younger.id)
	if text := s.log.String(); strings.Count(text, "takes no more requests") != 1 || !strings.Contains(text, older.id) {
		t.Error("the log does not say why, once")
	}

	s.at(0)
	b.stop = func(u *url.URL) bool { return u.Path == "/landed" }
	if answer := b.get(again); sessionCookieOf(answer) == nil {
		t.Errorf("the login did not end well at the one that stays: %s", answer.Status)
	}
	if state := older.standing.Load(); !state.Opened || len(s.open[0]) > 0 {
		t.Errorf("the older one: %+v", state)
	}

	// When the younger one finds the store of the older, it opens.
	there, _ := older.storeIDs.get()
	here, _ := younger.storeIDs.get()
	if ok, err := s.stores[1].Replace(t.Context(), storeIDSlot, here.encode(), there.encode(), time.Hour); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if !<-s.open[1] {
		t.Error("the younger one closed again")
	}
	eventually(t, "the younger one is ready again", func() bool { return askAdmin(younger, http.MethodGet, "/readyz").Code == http.StatusOK })
}

// TestCrossingIsReportedByTheOlder: the older replica serves on, finishes the login, and names the younger one for as long as a login may cross.
func TestCrossingIsReportedByTheOlder(t *testing.T) {
	s := newSplit(t, nil)
	older, younger := s.both[0], s.both[1]
	for range 2 {
		if answer := s.cross(s.browser(), 1, 0); sessionCookieOf(answer) == nil {
			t.Errorf("the login did not end well: %s", answer.Status)
		}
	}
	s.driftAt(0, younger.id)
	if !strings.Contains(askAdmin(older, http.MethodGet, "/metrics").Body.String(), `authsvc_config_drift{setting="store"} 1`) {
		t.Error("the metrics of the older do not tell of drift")
	}
	if text := s.log.String(); strings.Count(text, "goes on") != 1 {
		t.Error("the log does not say it once")
	}
	if ready := askAdmin(older, http.MethodGet, "/readyz"); ready.Code != http.StatusOK {
		t.Errorf("readyz of the older: %d %s", ready.Code, ready.Body)
	}
	s.advance(sightingLife)
	eventually(t, "it is forgotten", func() bool { return len(s.replicasAt(0)) == 1 })
}

// TestCrossingOnPurpose: a younger replica with a higher config_generation is meant to use another store.
func TestCrossingOnPurpose(t *testing.T) {
	s := newSplit(t, func(c *Config) { c.ConfigGeneration = 1 })
	for from := range 2 {
		if answer := s.cross(s.browser(), from, 1-from); sessionCookieOf(answer) == nil {
			t.Errorf("from %d: the login did not end well: %s", from, answer.Status)
		}
	}
	s.driftAt(1, s.both[1].id)
	for i, replica := range s.both {
		if ready := askAdmin(replica, http.MethodGet, "/readyz"); ready.Code != http.StatusOK || len(s.open[i]) > 0 {
			t.Errorf("replica %d: %s", i, ready.Body)
		}
	}
}

// TestCrossingUntold: where nobody can tell, nothing is spent; and what is our own store is never taken for another.
func TestCrossingUntold(t *testing.T) {
	s := newSplit(t, nil)
	b := s.browser()
	s.at(0)
	callback := b.toCallback()
	s.at(1)
	s.stores[1].refuse("replicas")
	if answer := b.open(callback); answer.StatusCode != http.StatusServiceUnavailable || s.provider.Count(idptest.Token) != 0 {
		t.Errorf("when the roster cannot be read: %s", answer.Status)
	}
	s.stores[1].refuse("claim")
	if answer := b.open(callback); answer.StatusCode != http.StatusServiceUnavailable || s.provider.Count(idptest.Token) != 0 {
		t.Errorf("when the ID cannot be read: %s", answer.Status)
	}
	s.stores[1].refuse()
	younger := s.both[1]
	ours, _ := younger.storeIDs.get()
	site := younger.sites.Load().main
	another := attempt{Began: sighting{ID: "other", Store: [16]byte{1}}, Site: site.mark(), Expires: s.now().Add(attemptLife)}
	for name, test := range map[string]struct {
		change func(a *attempt)
		want   bool
	}{
		"another store":         {func(a *attempt) {}, true},
		"of an earlier release": {func(a *attempt) { a.Began, a.Site = sighting{}, [8]byte{} }, false},
		"our store":             {func(a *attempt) { a.Began.Store = ours.ID }, false},
		"our own process":       {func(a *attempt) { a.Began.ID, a.Began.Store = younger.id, [16]byte{3} }, false}, // the store was emptied
		"our store's former ID": {func(a *attempt) { a.Began.Store = [16]byte{2}; younger.storeIDs.alsoOurs(a.Began.Store) }, false},
		"another public URL":    {func(a *attempt) { a.Site[0]++ }, false},
		"when this one had just started": {func(a *attempt) {
			a.Expires = time.UnixMilli(younger.startedAt.Load()).Add(storeIDSpreads + attemptLife)
		}, false},
	} {
		a := another
		test.change(&a)
		if got, err := younger.isOnAnotherStore(t.Context(), site, a); got != test.want || err != nil {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}

// TestCrossingIsOver: whoever has closed for an older replica opens when it was not met for long, since it may be gone, and closes again when it
// is not.
func TestCrossingIsOver(t *testing.T) {
	s := newSplit(t, nil)
	for range 2 {
		s.cross(s.browser(), 0, 1)
		if <-s.open[1] {
			t.Fatal("the younger one opened")
		}
		s.advance(sightingLife - time.Second)
		if older := s.both[1].elsewhere.forget([16]byte{}, s.now()); older == nil {
			t.Error("it opens too early")
		}
		s.advance(time.Second)
		if !<-s.open[1] {
			t.Error("the younger one closed again")
		}
	}
	if text := s.log.String(); strings.Count(text, "takes no more requests") != 2 || strings.Count(text, "this one takes requests") != 2 {
		t.Error("the log does not say each time that it closes and opens")
	}
}

// TestAttemptTellsWhereItBegan: with all that it may hold, a state keeps its bound; one of an earlier release opens.
func TestAttemptTellsWhereItBegan(t *testing.T) {
	ring, err := session.NewKeyring([][]byte{make([]byte, session.MasterKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	a := attempt{
		Expires: time.Unix(1e9, 0), ReturnTo: "/" + strings.Repeat("x", 1000), Former: session.ID{1}, Browser: session.ID{2},
		Began: sighting{ID: strings.Repeat("i", maxHostName+9), Started: 1 << 50, Generation: 1 << 30, Store: [16]byte{3}},
		Site:  [8]byte{4},
	}
	state, shortened := a.seal(ring, mainSite)
	if shortened || len(state) >= maxState {
		t.Errorf("%d characters, shortened %t", len(state), shortened)
	}
	if got, err := openAttempt(ring, mainSite, state); err != nil || got.Began != a.Began || got.Site != a.Site {
		t.Errorf("%+v, %v; want %+v", got.Began, err, a.Began)
	}
	without := a
	without.Began, without.Site = sighting{}, [8]byte{}
	shorter, _ := without.seal(ring, mainSite)
	if got, err := openAttempt(ring, mainSite, shorter); err != nil || got.Began != (sighting{}) {
		t.Errorf("%+v, %v", got.Began, err)
	}
	if cost := len(state) - len(shorter); cost > 170 {
		t.Errorf("where it began takes %d characters", cost)
	}
}

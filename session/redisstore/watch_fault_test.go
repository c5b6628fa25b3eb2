package redisstore

import (
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// What a network does to the channel: it cuts it anywhere, garbles it, and swallows what is said.
func TestWatchFaults(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	h := watched(real(server, Options{URL: "redis://" + p.Addr}), server, true)
	h.Breaks = map[string]func(*testing.T, storetest.Instance){
		"an answer was cut": func(*testing.T, storetest.Instance) {
			var once sync.Once
			cut := func(_, size int) (pass int, cut bool) {
				pass = size
				once.Do(func() { pass, cut = size/2, true })
				return pass, cut
			}
			p.answer.Store(&cut)
			closeConnections(server)
		},
		"garbage came": func(t *testing.T, _ storetest.Instance) {
			garbage := func() []byte { return []byte("garbage") }
			p.stale.Store(&garbage)
			// The first question that is answered brings it.
			time.AfterFunc(2*checkInterval, func() { p.stale.Store(nil) })
		},
	}
	h.Faults = map[string]func(*testing.T, storetest.Instance) func(){
		"nothing gets through": func(*testing.T, storetest.Instance) func() {
			p.hang.Store(true)
			return func() { p.hang.Store(false) }
		},
		"connections are refused": func(t *testing.T, _ storetest.Instance) func() {
			p.close()
			return func() { p.listen(t, p.Addr) }
		},
	}
	storetest.RunWatch(t, h)
}

func TestWatchTLS(t *testing.T) {
	a := storetest.NewAuthority(t)
	server := storetest.StartRedisTLS(t, a)
	storetest.RunWatch(t, watched(real(server, Options{URL: server.TLSURL + a.Query("server")}), server, true))
}

// A password that was rotated works at the next connection.
func TestWatchPasswordRotated(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Do(append(aclRule("authsvc", "first", "authsvc:*", rights(t)), ">second")...)
	var password atomic.Value
	password.Store("first")
	s := open(t, Options{
		URL:      strings.Replace(server.URL, "//", "//authsvc@", 1),
		Password: func() string { return password.Load().(string) },
	})
	f := watching(t, s)
	password.Store("second")
	server.Do("ACL", "SETUSER", "authsvc", "<first")
	closeConnections(server)
	storetest.WaitFor(t, "the channel to be armed again", func() error {
		if len(f.told()) < 3 {
			return errSilent
		}
		return nil
	})
	if told := strings.Join(f.told(), " "); told != "armed lost armed" {
		t.Errorf("told %v", told)
	}
}

// A server that takes connections and closes them at once is tried less and less often, and one that wants no clients neither.
func TestWatchIsNoStorm(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dials []time.Time
	var serving sync.WaitGroup
	enough := make(chan struct{})
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			if dials = append(dials, time.Now()); len(dials) == 8 {
				close(enough)
			}
		}
	})
	s := faulty(t, "redis://"+l.Addr().String())
	var running sync.WaitGroup
	running.Go(func() { s.Watch(t.Context(), &feed{}) })
	t.Cleanup(running.Wait)
	<-enough
	l.Close()
	serving.Wait()
	// Each pause is at least half of what it grew to: 5, 10, 20, 40, 80, 160, 320 ms.
	if took := dials[7].Sub(dials[0]); took < 600*time.Millisecond {
		t.Errorf("8 dials within %v", took)
	}
}

// A record that is written under the prefix of another service, or by none of ours, is not told.
func TestWatchOthersKeys(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	f := watching(t, s)
	id := session.ID{1}
	for _, key := range []string{"authsvc:session:x", "authsvc:session:{x}", "authsvc:session:" + id.String(), "other:session:{" + id.String() + "}", strings.Repeat("authsvc:session:", 10_000)} {
		server.Do("SET", key, "value", "EX", 60)
	}
	// Another database is not told apart.
	last := s.recordKeys(session.ID{2})[0]
	pipe := server.Client().Pipeline()
	pipe.Select(t.Context(), 1)
	pipe.Set(t.Context(), last, "value", time.Minute)
	pipe.Select(t.Context(), 0)
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.await(t, session.ID{2}.String())
	if told := f.told(); len(told) != 2 {
		t.Errorf("told %v", told)
	}
}

package redisstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

func TestOpenRefusesWrongOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {URL: "memory:"}, {URL: "redis://host", Prefix: "a{b}"}, {URL: "redis://host", Prefix: "a*"}, {URL: "redis://host", Prefix: "a b"},
		{URL: "redis://host", Prefix: strings.Repeat("x", 65)}, {URL: "redis://host", Timeout: -time.Second}, {URL: "redis://host", Timeout: time.Nanosecond},
	} {
		if s, err := Open(o); err == nil {
			s.Close()
			t.Errorf("%+v was taken", o)
		}
	}
}

// Names are part of the public interface: anyone can count sessions by them.
func TestKeyNames(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL + "/5", Prefix: "my:app"})
	r := record(1)
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	name := session.SlotName{Kind: "browser", Hash: r.ID}
	if _, _, err := s.Claim(t.Context(), name, []byte("value"), time.Hour); err != nil {
		t.Fatal(err)
	}
	lists := []session.IndexName{{Kind: "user", Hash: r.ID}, {Kind: "sid", Hash: r.ID}}
	if err := s.Note(t.Context(), lists, session.IndexEntry{ID: r.ID, Expires: r.Expires}); err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr, DB: 5, Protocol: 2, DisableIdentity: true})
	defer client.Close()
	id := "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAc"
	for _, kind := range []string{"session", "tokens", "browser", "user", "sid"} {
		key := "my:app:" + kind + ":{" + id + "}"
		if n, err := client.Exists(t.Context(), key).Result(); n != 1 || err != nil {
			t.Errorf("%s is not there, %v", key, err)
		}
	}
	if n, err := client.DBSize(t.Context()).Result(); n != 5 || err != nil {
		t.Errorf("there are %d keys, %v", n, err)
	}
}

// A verdict costs one round trip with one command, or two; what every operation sends is known.
func TestCommands(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	r, second, name := record(1), record(1), session.SlotName{Kind: "slot"}
	second.Version++
	list, entry := session.IndexName{Kind: "user"}, session.IndexEntry{ID: r.ID, Expires: r.Expires}
	operations := map[string]func() error{
		"create":                func() error { return s.Create(t.Context(), r) },
		"load":                  func() error { _, err := s.Load(t.Context(), r.ID); return err },
		"load without its life": func() error { _, err := s.LoadWithoutTTL(t.Context(), r.ID); return err },
		"load_tokens":           func() error { _, err := s.LoadWithTokens(t.Context(), r.ID); return err },
		"swap":                  func() error { return s.Swap(t.Context(), second) },
		"touch":                 func() error { return s.Touch(t.Context(), r.ID, time.Minute) },
		"claim":                 func() error { _, _, err := s.Claim(t.Context(), name, nil, time.Hour); return err },
		"replace":               func() error { _, err := s.Replace(t.Context(), name, nil, nil, time.Hour); return err },
		"read_slot":             func() error { _, err := s.ReadSlot(t.Context(), name); return err },
		"note":                  func() error { return s.Note(t.Context(), []session.IndexName{list}, entry) },
		"noted":                 func() error { _, err := s.Noted(t.Context(), list); return err },
		"forget":                func() error { return s.Forget(t.Context(), list, r.ID) },
		"delete":                func() error { return s.Delete(t.Context(), r.ID) },
		"time":                  func() error { return s.measure(t.Context()) },
	}
	order := []string{"create", "load", "load without its life", "load_tokens", "swap", "touch", "claim", "replace", "read_slot", "note", "noted", "forget", "delete", "time"}
	for _, op := range order { // so that every script is known
		if err := operations[op](); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
	}
	monitor := server.Monitor(t)
	for _, op := range order {
		if err := operations[op](); err != nil {
			t.Fatalf("%s: %v", op, err)
		}
		sent := []string{}
		for _, c := range monitor.Commands(t) {
			if c.Client != "lua" {
				sent = append(sent, c.Args[0])
			}
		}
		want := map[string]string{"load": "GET PTTL", "load without its life": "GET", "read_slot": "GET", "time": "TIME"}[op]
		if want == "" {
			want = "EVALSHA"
		}
		if got := strings.Join(sent, " "); got != want {
			t.Errorf("%s sends %s, want %s", op, got, want)
		}
	}
}

func TestObserve(t *testing.T) {
	server := storetest.StartRedis(t)
	var mu sync.Mutex
	seen := []string{}
	s := open(t, Options{URL: server.URL, Observe: func(op string, took time.Duration, err error) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, fmt.Sprintf("%s %t %s", op, errors.Is(err, session.ErrNotFound), Cause(err)))
		if took <= 0 {
			t.Errorf("%s took %v", op, took)
		}
	}})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.Load(t.Context(), session.ID{1})
	server.Kill()
	s.Delete(t.Context(), session.ID{1})
	if got := strings.Join(seen, ", "); got != "ping false , load true , delete false refused" {
		t.Errorf("observed %q", got)
	}
}

// A password is asked for at each new connection, wins over the URL's, and is in no error.
func TestPassword(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "first-secret")
	var password atomic.Value
	password.Store("")
	s := open(t, Options{URL: strings.Replace(server.URL, "//", "//:url-secret@", 1), Password: func() string { return password.Load().(string) }})
	refused := func(secret string) {
		t.Helper()
		storetest.WaitFor(t, "the password to be refused", func() error {
			err := s.Ping(t.Context())
			if Cause(err) != "auth" {
				return fmt.Errorf("%v (%s)", err, Cause(err))
			}
			if strings.Contains(fmt.Sprintf("%+v", err), secret) {
				t.Errorf("the error holds the password: %v", err)
			}
			return nil
		})
	}
	refused("url-secret")
	password.Store("wrong-secret")
	refused("wrong-secret")
	password.Store("first-secret")
	healthy(t, s)

	server.Do("CONFIG", "SET", "requirepass", "second-secret")
	admin := redis.NewClient(&redis.Options{Addr: server.Addr, Password: "second-secret", Protocol: 2, DisableIdentity: true})
	defer admin.Close()
	if err := admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err(); err != nil {
		t.Fatal(err)
	}
	refused("first-secret")
	password.Store("second-secret")
	healthy(t, s)
}

// Wrong credentials are not tried by everyone all the time.
func TestRefusedSignInIsNotAStorm(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "secret")
	s := faulty(t, strings.Replace(server.URL, "//", "//:wrong@", 1))
	before := server.Info("total_connections_received")
	crowd(t, s, 100, 50, []session.Record{record(1)}, unanswered(t, "auth", "timeout", "other"))
	if dials := server.Info("total_connections_received") - before; dials > 150 {
		t.Errorf("%d connections were made", dials)
	}
}

func TestMissingRightIsNamed(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Do("ACL", "SETUSER", "narrow", "on", ">pass", "~*", "+get", "+ping", "+client|tracking")
	s := open(t, Options{URL: strings.Replace(server.URL, "//", "//narrow:pass@", 1)})
	healthy(t, s)
	_, err := s.Load(t.Context(), session.ID{1})
	if Cause(err) != "permission" && !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Load: %v (%s)", err, Cause(err))
	}
	err = s.Delete(t.Context(), session.ID{1})
	if Cause(err) != "permission" || !strings.Contains(err.Error(), "'evalsha'") || !storetest.CannotTell(err) {
		t.Errorf("Delete: %v (%s), want the missing right", err, Cause(err))
	}
}

func TestClock(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	if s.Reached() || time.Since(s.Now()).Abs() > time.Second {
		t.Error("before anything was measured, it has another clock than this host's")
	}
	s.reading.Store(&reading{time.Now().Add(time.Hour), time.Now()}) // as of a server that was another hour ahead
	if ahead := time.Until(s.Now()); (ahead - time.Hour).Abs() > time.Minute {
		t.Errorf("it is %v ahead, want an hour", ahead)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	storetest.WaitFor(t, "the clock to be measured", func() error {
		if ahead := time.Until(s.Now()); !s.Reached() || ahead.Abs() > time.Second {
			return fmt.Errorf("it is %v ahead", ahead)
		}
		return nil
	})
	cancel()
	running.Wait()
	if ours := s.reading.Load().ours; ours == ours.Round(0) {
		t.Error("the time since the clock was asked has no monotonic reading: it follows when somebody sets this host's clock")
	}
}

// The store's time goes on from what Redis said by the time that passes, whatever this host's clock says.
func TestClockGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		theirs := time.Date(1999, 12, 31, 23, 59, 0, 0, time.UTC)
		s := &Store{}
		s.reading.Store(&reading{theirs, time.Now()})
		time.Sleep(90 * time.Second)
		if want := theirs.Add(90 * time.Second); !s.Now().Equal(want) {
			t.Errorf("it is %v, want %v", s.Now(), want)
		}
	})
}

// A store that comes later than the replica is found without anyone asking.
func TestRunWaitsForTheStore(t *testing.T) {
	server := storetest.StartRedis(t)
	server.Kill()
	s := faulty(t, server.URL)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	storetest.WaitFor(t, "a try", func() error {
		s.dialer.mu.Lock()
		defer s.dialer.mu.Unlock()
		if len(s.dialer.lines) == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	if s.Reached() {
		t.Error("a store that is down counts as reached")
	}
	server.Start()
	storetest.WaitFor(t, "the store to be reached", func() error {
		if !s.Reached() {
			return errors.New("not yet")
		}
		return nil
	})
	server.Kill()
	if s.Ping(t.Context()) == nil || !s.Reached() {
		t.Error("reached means ever")
	}
}

func TestClosed(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	healthy(t, s)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Load(t.Context(), session.ID{1}); !storetest.CannotTell(err) || Cause(err) != "closed" {
		t.Errorf("%v (%s), want an error of a closed store", err, Cause(err))
	}
}

// reply makes an error as go-redis does of what Redis says.
type reply string

func (r reply) Error() string { return string(r) }
func (reply) RedisError()     {}

func TestCause(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{session.ErrNotFound, ""},
		{session.ErrExists, ""},
		{session.ErrVersion, ""},
		{session.ErrCorrupt, ""},
		{session.ErrLaterFormat, ""},
		{reply("WRONGTYPE Operation against a key holding the wrong kind of value"), ""},
		{session.ErrForeign, "foreign"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
		{redis.ErrPoolTimeout, "timeout"},
		{redis.ErrClosed, "closed"},
		{&dialError{errSilent}, "timeout"},
		{&dialError{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}}, "refused"},
		{&dialError{&refusedError{code: "WRONGPASS"}}, "auth"},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "connection"},
		{io.EOF, "connection"},
		{io.ErrUnexpectedEOF, "connection"},
		{reply("LOADING Redis is loading the dataset in memory"), "loading"},
		{reply("MASTERDOWN Link with MASTER is down"), "loading"},
		{reply("BUSY Redis is busy running a script."), "busy"},
		{reply("READONLY You can't write against a read only replica."), "readonly"},
		{reply("OOM command not allowed when used memory > 'maxmemory'."), "memory"},
		{reply("MISCONF Redis is configured to save RDB snapshots"), "persistence"},
		{reply("NOREPLICAS Not enough good replicas to write."), "replicas"},
		{reply("CLUSTERDOWN The cluster is down"), "cluster"},
		{reply("NOAUTH Authentication required."), "auth"},
		{reply("WRONGPASS invalid username-password pair or user is disabled."), "auth"},
		{reply("NOPERM this user has no permissions to run the 'get' command"), "permission"},
		{reply("ERR max number of clients reached"), "clients"},
		{reply("ERR something else"), "other"},
		{reply("words of a strange server"), "other"},
		{reply(""), "other"},
		{errors.New("anything"), "other"},
	} {
		err := explain("load", tt.err)
		if got := Cause(err); got != tt.want {
			t.Errorf("the cause of %v is %q, want %q", err, got, tt.want)
		}
		if tt.err != nil && tt.want != "" && !storetest.CannotTell(err) {
			t.Errorf("%v is a sentinel", err)
		}
		if tt.want == "timeout" && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, errSilent) {
			t.Errorf("%v is no context.DeadlineExceeded", err)
		}
	}
	err := explain("load", reply("ERR unknown command 'HELLO', with args beginning with: '2' 'AUTH' 'user' 'secret'"))
	if strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "unknown command") {
		t.Errorf("an error quotes what was sent: %v", err)
	}
}

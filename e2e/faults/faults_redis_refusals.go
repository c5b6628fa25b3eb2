package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
	"authsvc/session/storetest"
)

// redisRefusals are F10 to F17: Redis answers, and refuses.
var redisRefusals = []row{
	{
		id: "F10", name: "Redis reads a big file when it starts (LOADING)", on: []topology{standalone}, own: special{redis: slowLoading},
		bound: "503; then 200 with the same cookies", shows: []int{unavailable},
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Client().Do(ctx, "SHUTDOWN", "SAVE") // its answer is the end of the connection
			redis.Kill()                               // waits for the end
			start := time.Now()
			redis.Launch()
			loading := 0
			_, err := s.await(ctx, 30*time.Second, func(ctx context.Context) error {
				err := redis.Client().Ping(ctx).Err()
				if err != nil && strings.HasPrefix(err.Error(), "LOADING") {
					loading++
				}
				return err
			})
			s.end()
			if s.note("it read for %.1f s", time.Since(start).Seconds()); loading == 0 {
				s.fail("nobody was told LOADING, so that nothing was tried")
			}
			return err
		},
	},
	{
		id: "F11", name: "Redis is full (OOM, noeviction)", on: everywhere, class: "Redis refuses",
		bound: "200, logouts work; logins 503, who the provider ends is out",
		fault: func(ctx context.Context, s *scene) error {
			s.begin(history.Login, history.ProviderLogout)
			undo := s.configure("maxmemory", "1")
			s.during(ctx, 3*time.Second)
			failed := s.loginsFailed(ctx)
			undo()
			s.end()
			if failed == 0 {
				s.fail("every login succeeded, so that nothing was tried")
			}
			return nil
		},
	},
	{
		id: "F12", name: "Redis evicts sessions that live (allkeys-random)", on: []topology{standalone}, own: special{redis: []string{"--maxmemory-policy", "allkeys-random"}},
		// The provider's logout finds sessions by lists, which are evicted as well: what the service warns of.
		bound: "401 for who was evicted; a warning at the start", loses: true, buttons: true,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin(history.Login, history.Logout) // what they are about to write may be evicted at once
			before, err := sessionKeys(ctx, redis)
			if err != nil {
				return err
			}
			redis.Do("CONFIG", "SET", "maxmemory", redis.Info("used_memory")-redis.Info("used_memory_dataset")/2)
			s.during(ctx, 3*time.Second)
			redis.Do("CONFIG", "SET", "maxmemory", 0)
			s.end()
			left, err := sessionKeys(ctx, redis)
			if s.note("%d of %d records left", len(left), len(before)); len(left) > len(before)*9/10 {
				s.fail("hardly a session was evicted, so that little was tried")
			}
			if err != nil {
				return err
			}
			for _, one := range s.Replicas {
				if text, err := os.ReadFile(one.Log); err != nil || !strings.Contains(string(text), "allkeys-random") {
					s.fail("%s did not warn of the policy when it started (%v)", one.Name, err)
				}
			}
			return nil
		},
	},
	{
		id: "F13a", name: "Redis cannot write its file (MISCONF)", on: []topology{standalone, cluster},
		bound: "200; logins and logouts 503",
		fault: func(ctx context.Context, s *scene) error {
			masters := s.store.masters()
			s.begin(history.Login, history.Logout, history.ProviderLogout)
			for _, redis := range masters {
				if err := cannotSave(ctx, s, redis); err != nil {
					return err
				}
			}
			s.during(ctx, 3*time.Second)
			failed := s.loginsFailed(ctx)
			for _, redis := range masters {
				if err := canSave(redis); err != nil {
					return err
				}
			}
			s.end()
			if failed == 0 {
				s.fail("every login succeeded, so that nothing was tried")
			}
			return nil
		},
	},
	{
		id: "F13b", name: "the master cannot save (MISCONF): it is replaced", on: []topology{sentinel},
		bound: "200 until the failover; then as F22", loses: true, out: undone,
		fault: func(ctx context.Context, s *scene) error {
			master := s.store.master()
			began := s.cookies()
			s.begin()
			if err := cannotSave(ctx, s, master); err != nil {
				return err
			}
			// It answers their PING with MISCONF, by which it is down to them.
			if err := s.replaced(ctx, master, began); err != nil {
				return err
			}
			s.during(ctx, time.Second)
			err := canSave(master)
			s.store.sentinel.Settle()
			return err
		},
	},
	{
		id: "F14", name: "somebody's script runs for 2 s (BUSY)", on: everywhere,
		bound: "503 within 150 ms; then 200", shows: []int{unavailable}, loses: true,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			redis.Do("CONFIG", "SET", "busy-reply-threshold", 100)
			s.begin()
			done := make(chan struct{})
			go func() {
				defer close(done)
				o := *redis.Client().Options()
				o.MaxRetries = -1
				client := newClient(o)
				defer client.Close()
				client.Eval(ctx, "while true do end", nil) // it ends with an error: it is killed
			}()
			s.during(ctx, 2*time.Second)
			_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
				err := redis.Client().ScriptKill(ctx).Err()
				if err != nil && strings.HasPrefix(err.Error(), "NOTBUSY") { // a sentinel was quicker
					err = nil
				}
				return err
			})
			<-done
			return errors.Join(err, s.endWhenWhole(ctx))
		},
	},
	{
		id: "F15", name: "Redis takes no more connections (maxclients)", on: everywhere,
		bound: "200, by the connections that there are; 503 for a few",
		fault: func(ctx context.Context, s *scene) error {
			masters := s.store.masters()
			most := map[*storetest.Server]string{}
			for _, redis := range masters {
				most[redis] = fmt.Sprint(redis.Do("CONFIG", "GET", "maxclients").([]any)[1])
				redis.Do("CONFIG", "SET", "maxclients", redis.Info("connected_clients"))
			}
			rejected := -s.sum(masters, "rejected_connections")
			s.begin()
			for range 10 {
				for _, redis := range masters {
					stranger(ctx, redis)
				}
				s.during(ctx, 300*time.Millisecond)
			}
			rejected += s.sum(masters, "rejected_connections")
			for _, redis := range masters {
				redis.Do("CONFIG", "SET", "maxclients", most[redis])
			}
			s.end()
			if seen := statuses(s.history.Operations(), s.faults); seen[http.StatusOK] < 9*seen[unavailable] && s.patient == 1 {
				s.fail("more than a tenth could not be answered: %v", seen)
			}
			if s.note("%d rejected", rejected); rejected == 0 {
				s.fail("Redis rejected nobody, so that nothing was tried")
			}
			return nil
		},
	},
	{
		id: "F16", name: "Redis' password is changed; 2 s later it is in the file", on: []topology{standalone},
		own:   special{redis: []string{"--requirepass", "first"}, passwordFile: "first"},
		bound: "503; then 200, without a restart", shows: []int{unavailable}, heal: 3 * time.Second,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Do("CONFIG", "SET", "requirepass", "second")
			redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
			s.during(ctx, 2*time.Second)
			if err := os.WriteFile(s.passwordFile(), []byte("second\n"), 0o600); err != nil {
				return err
			}
			s.end()
			for _, one := range s.Replicas {
				if text, err := os.ReadFile(one.Log); err != nil || strings.Contains(string(text), "second") {
					s.fail("the log of %s tells the password, or cannot be read (%v)", one.Name, err)
				} else if !strings.Contains(string(text), "WRONGPASS") {
					s.fail("the log of %s does not tell the cause", one.Name)
				}
			}
			return nil
		},
	},
	{
		id: "F17", name: "a right is missing (NOPERM on GET)", on: everywhere,
		bound: "503; then 200", shows: []int{unavailable},
		fault: func(ctx context.Context, s *scene) error {
			s.begin()
			for _, redis := range s.store.servers {
				redis.Do("ACL", "SETUSER", "default", "-get")
			}
			s.during(ctx, 2*time.Second)
			for _, redis := range s.store.servers {
				redis.Do("ACL", "SETUSER", "default", "+get")
			}
			s.end()
			return nil
		},
	},
}

var slowLoading = []string{"--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024"}

// configure changes a setting on all masters, and returns what changes it back.
func (s *scene) configure(name, value string) (undo func()) {
	before := map[*storetest.Server]string{}
	for _, redis := range s.store.masters() {
		before[redis] = fmt.Sprint(redis.Do("CONFIG", "GET", name).([]any)[1])
		redis.Do("CONFIG", "SET", name, value)
	}
	return func() {
		for redis, value := range before {
			redis.Do("CONFIG", "SET", name, value)
		}
	}
}

// loginsFailed counts the logins that have failed, and waits a while for the first.
func (s *scene) loginsFailed(ctx context.Context) (n int) {
	s.await(ctx, 5*time.Second, func(context.Context) error { // the row says what it wants
		n = 0
		for _, o := range s.history.Operations() {
			if o.Kind == history.Login && o.Status == http.StatusServiceUnavailable {
				n++
			}
		}
		if n == 0 {
			return errors.New("none yet")
		}
		return nil
	})
	s.note("%d logins failed", n)
	return n
}

func dumpFile(redis *storetest.Server) string {
	return filepath.Join(filepath.Dir(redis.Socket), "dump.rdb")
}

// cannotSave makes a server fail to write its file, so that it takes no writes: where the file would be there is a folder.
func cannotSave(ctx context.Context, s *scene, redis *storetest.Server) error {
	if err := os.RemoveAll(dumpFile(redis)); err != nil { // a replica leaves one
		return err
	}
	if err := os.MkdirAll(filepath.Join(dumpFile(redis), "full"), 0o700); err != nil {
		return err
	}
	redis.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "yes")
	redis.Do("CONFIG", "SET", "save", "3600 1000000")
	_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
		redis.Client().BgSave(ctx)
		info, err := redis.Client().Info(ctx, "persistence").Result()
		if err == nil && !strings.Contains(info, "rdb_last_bgsave_status:err") {
			err = fmt.Errorf("the file could be written")
		}
		return err
	})
	return err
}

// canSave ends cannotSave.
func canSave(redis *storetest.Server) error {
	redis.Do("CONFIG", "SET", "save", "")
	if err := os.RemoveAll(dumpFile(redis)); err != nil {
		return err
	}
	redis.Do("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
	return nil
}

func (s *scene) sum(servers []*storetest.Server, name string) (n int64) {
	for _, redis := range servers {
		n += redis.Info(name)
	}
	return n
}

// stranger tries to connect to the server.
func stranger(ctx context.Context, redis *storetest.Server) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	o := *redis.Client().Options()
	client := newClient(o)
	defer client.Close()
	client.Ping(ctx) // it is rejected
	rig.Pass(ctx, time.Now().Add(time.Millisecond))
}

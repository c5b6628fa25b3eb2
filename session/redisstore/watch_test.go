package redisstore

import (
	"strings"
	"testing"

	"authsvc/session/storetest"
)

// watched adds to the harness of a server what RunWatch needs. tracks tells whether the server tells of changes by itself.
func watched(h storetest.Harness, server *storetest.Server, tracks bool) storetest.Harness {
	h = telling(h, tracks, server.Flush)
	h.Breaks = map[string]func(*testing.T, storetest.Instance){
		"its connections were closed": func(*testing.T, storetest.Instance) { closeConnections(server) },
	}
	h.Faults = map[string]func(*testing.T, storetest.Instance) func(){
		"the server hangs": func(*testing.T, storetest.Instance) func() { server.Pause(); return server.Resume },
	}
	return h
}

func telling(h storetest.Harness, tracks bool, flush func()) storetest.Harness {
	plain := h.New
	h.New = func(t *testing.T) storetest.Instance {
		in := plain(t)
		in.TellsAll = tracks
		if flush != nil {
			in.Empty = func(*testing.T) { flush() }
		}
		return in
	}
	return h
}

func closeConnections(server *storetest.Server) {
	for _, kind := range []string{"normal", "pubsub"} {
		server.Do("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
	}
}

func TestWatchRedis(t *testing.T) {
	server := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	o := Options{URL: server.URL}
	h := watched(real(server, o), server, true)
	h.Faults["the server is down"] = func(*testing.T, storetest.Instance) func() { server.Kill(); return server.Start }
	storetest.RunWatch(t, h)
}

func TestWatchUnixSocket(t *testing.T) {
	server := storetest.StartRedis(t)
	o := Options{URL: "unix://" + server.Socket + "?db=3"}
	storetest.RunWatch(t, watched(real(server, o), server, true))
}

// The rights that doc.go names are enough for tracking, on a server that asks for a password.
func TestWatchNarrowRights(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "admin's own")
	server.Do(aclRule("authsvc", "pass word@:/?#", "t*:*", rights(t))...)
	o := Options{URL: "redis://authsvc:pass%20word%40%3A%2F%3F%23@" + server.Addr}
	storetest.RunWatch(t, watched(real(server, o), server, true))
	if refused := server.Do("ACL", "LOG").([]any); len(refused) > 0 {
		t.Errorf("the server refused %v", refused)
	}
}

// Messages tell where tracking is not allowed.
func TestWatchMessages(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "admin's own")
	server.Do(aclRule("authsvc", "pass", "t*:*", messageRights(t))...)
	o := Options{URL: "redis://authsvc:pass@" + server.Addr}
	storetest.RunWatch(t, watched(real(server, o), server, false))
}

// Messages tell where nothing but RESP2 is spoken, by a user and by nobody in particular.
func TestWatchRESP2(t *testing.T) {
	server := storetest.StartRedis(t, "--rename-command", "HELLO", "")
	server.Do(aclRule("authsvc", "pass", "t*:*", messageRights(t))...)
	for name, url := range map[string]string{"no user": server.URL, "user": strings.Replace(server.URL, "//", "//authsvc:pass@", 1)} {
		t.Run(name, func(t *testing.T) {
			o := Options{URL: url}
			storetest.RunWatch(t, watched(real(server, o), server, false))
		})
	}
}

func TestWatchMiniredis(t *testing.T) { storetest.RunWatch(t, mini) }

package redisstore

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"authsvc/session/storetest"
)

// startValkey stands in front of a Redis and lets it say that it is a Valkey, as Valkey 8 does where it is not told to say otherwise (its setting
// extended-redis-compatibility): in the answers of HELLO and of INFO.
func startValkey(t *testing.T, server string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer client.Close()
				backend, err := net.Dial("tcp", server)
				if err != nil {
					return
				}
				defer backend.Close()
				running.Go(func() { io.Copy(backend, client); backend.Close() })
				buffer := make([]byte, 64<<10)
				for {
					n, err := backend.Read(buffer)
					if err != nil {
						return
					}
					if _, err := client.Write(asValkey(buffer[:n])); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

// asValkey changes what a server says of itself, which is short and comes in one piece.
func asValkey(answer []byte) []byte {
	const redisHello = "$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n"
	answer = bytes.ReplaceAll(answer, []byte(redisHello), []byte("$6\r\nserver\r\n$6\r\nvalkey\r\n$7\r\nversion\r\n$5\r\n8.1.1\r\n"))
	header, body, _ := bytes.Cut(answer, []byte("\r\n"))
	if !bytes.HasPrefix(body, []byte("# Server\r\nredis_version:")) {
		return answer
	}
	size, _ := strconv.Atoi(string(header[1:]))
	_, rest, _ := bytes.Cut(body[len("# Server\r\n"):], []byte("\r\n"))
	own := []byte("# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.1.1\r\nvalkey_release_stage:ga\r\n")
	size += len(own) - (len(body) - len(rest))
	return fmt.Appendf(nil, "$%d\r\n%s%s", size, own, rest)
}

// TestValkey: nothing hangs on what a server calls itself. Where it does hang on what it can do, Valkey can do what Redis 7.2 can.
func TestValkey(t *testing.T) {
	server := storetest.StartRedis(t)
	o := Options{URL: "redis://" + startValkey(t, server.Addr)}
	s := open(t, o)
	hello, err := s.client.Do(t.Context(), "HELLO", "2").Slice()
	if err != nil || len(hello) < 4 || hello[1] != "valkey" || hello[3] != "8.1.1" {
		t.Fatalf("HELLO says %v, %v", hello, err)
	}
	servers, err := s.Servers(t.Context())
	if err != nil || len(servers) != 1 || servers[0].Version != "7.2.4" || servers[0].EvictionPolicy != "noeviction" {
		t.Errorf("%+v, %v", servers, err)
	}
	if missing, err := s.MissingRights(t.Context()); err != nil || missing != nil {
		t.Errorf("it misses %v, %v", missing, err)
	}
	storetest.Run(t, real(server, o))
	storetest.RunConcurrent(t, real(server, o))
	storetest.RunWatch(t, watched(real(server, o), server, true))
}

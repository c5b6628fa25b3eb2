package redisstore

import (
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestTLS: whoever is not who they should be is not spoken with, and the reason is told.
func TestTLS(t *testing.T) {
	a, stranger := storetest.NewAuthority(t), storetest.NewAuthority(t)
	a.Issue("server", time.Hour, "redis.example")
	a.Issue("client", time.Hour)
	a.Issue("ended", -time.Minute)
	stranger.Issue("client", time.Hour)
	server := storetest.StartRedisTLS(t, a)
	const name = "&server_name=redis.example"

	s := open(t, Options{URL: server.TLSURL + a.Query("client") + name})
	healthy(t, s)
	intact(t, s, stored(t, s, 2))

	late := storetest.NewAuthority(t)
	late.Issue("server", -time.Minute, "127.0.0.1")
	late.Issue("client", time.Hour)
	expired := storetest.StartRedisTLS(t, late)
	for what, row := range map[string]struct{ url, says string }{
		"the wrong name":       {server.TLSURL + a.Query("client"), "doesn't contain any IP SANs"},
		"another name":         {server.TLSURL + a.Query("client") + "&server_name=other.example", "certificate is valid for redis.example, not other.example"},
		"an unknown authority": {server.TLSURL + stranger.Query("client") + name, "certificate signed by unknown authority"},
		"a certificate ended":  {expired.TLSURL + late.Query("client"), "certificate has expired"},
		"our own has ended":    {server.TLSURL + a.Query("ended") + name, "expired certificate"},
		"none of our own":      {server.TLSURL + "?ca_file=" + a.File("ca.pem") + name, "certificate required"},
		"a stranger's":         {server.TLSURL + "?ca_file=" + a.File("ca.pem") + "&cert_file=" + stranger.File("client.pem") + "&key_file=" + stranger.File("client.key") + name, "unknown certificate authority"},
	} {
		s := open(t, Options{URL: row.url, Password: func() string { return "a-secret" }})
		// A server that refuses our certificate says so after the handshake (TLS 1.3), and may have closed the connection before it is read.
		storetest.WaitFor(t, what, func() error {
			err := s.Ping(t.Context())
			if !storetest.CannotTell(err) || strings.Contains(err.Error(), "a-secret") {
				t.Fatalf("%s: %v", what, err)
			}
			if Cause(err) != "tls" || !strings.Contains(err.Error(), row.says) {
				return err
			}
			return nil
		})
	}
}

// TestTLSRotates: each of the files can be replaced while the service runs, and new connections use what they find. A file that is spoilt spoils nothing:
// what it held when it was last good goes on to count.
func TestTLSRotates(t *testing.T) {
	a := storetest.NewAuthority(t)
	a.Issue("client", time.Hour)
	server := storetest.StartRedisTLS(t, a)
	s := open(t, Options{URL: server.TLSURL + a.Query("client")})
	records := stored(t, s, 2)
	anew := func() { // all connections are new from now on
		server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	}
	refused := func(what string) {
		t.Helper()
		anew()
		storetest.WaitFor(t, what, func() error {
			err := s.Ping(t.Context())
			if err == nil || Cause(err) == "connection" {
				return net.ErrClosed
			}
			return nil
		})
	}
	// The server takes what it finds when it is told so.
	reload := func() {
		server.Do("CONFIG", "SET", "tls-cert-file", a.File("server.pem"), "tls-key-file", a.File("server.key"), "tls-ca-cert-file", a.File("ca.pem"))
	}

	a.Renew()
	a.Issue("server", time.Hour, "127.0.0.1")
	reload()
	refused("the old client's certificate to be refused")
	a.Issue("client", time.Hour)
	healthy(t, s)
	anew()
	intact(t, s, records)

	for _, file := range []string{"client.pem", "client.key", "ca.pem"} {
		pem, err := os.ReadFile(a.File(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, spoilt := range [][]byte{nil, pem[:len(pem)/2], []byte("garbage")} {
			if err := os.WriteFile(a.File(file), spoilt, 0o600); err != nil {
				t.Fatal(err)
			}
			anew()
			healthy(t, s)
			intact(t, s, records)
		}
	}
}

// TestTLSNeverPlain: what does not speak TLS hears nothing but the first words of a handshake.
func TestTLSNeverPlain(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: strings.Replace(server.URL, "redis://", "rediss://user:a-secret@", 1), Timeout: bound})
	before := server.Info("total_commands_processed")
	for range 3 {
		if _, err := s.Load(t.Context(), record(1).ID); !storetest.CannotTell(err) {
			t.Errorf("a plain server: %v", err)
		}
	}
	if n := server.Info("total_commands_processed") - before; n > 1 { // the INFO that told
		t.Errorf("%d commands were understood", n)
	}
}

func TestTLSTopologies(t *testing.T) {
	a := storetest.NewAuthority(t)
	a.Issue("client", time.Hour)
	for name, start := range map[string]func(testing.TB, *storetest.Authority) string{
		"sentinels": func(tb testing.TB, a *storetest.Authority) string { return storetest.StartSentinelTLS(tb, a).URL },
		"a Cluster": func(tb testing.TB, a *storetest.Authority) string { return storetest.StartClusterTLS(tb, a).URL },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Options{URL: start(t, a) + a.Query("client")})
			records := stored(t, s, 20)
			intact(t, s, records)
			if err := s.SelfTest(t.Context()); err != nil {
				t.Error(err)
			}
			f := watching(t, s)
			if err := s.Delete(t.Context(), records[0].ID); err != nil {
				t.Error(err)
			}
			f.await(t, records[0].ID.String())
		})
	}
}

func TestTLSFilesAreReadByOpen(t *testing.T) {
	a := storetest.NewAuthority(t)
	a.Issue("client", time.Hour)
	if err := os.WriteFile(a.File("garbage.pem"), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{
		"?ca_file=" + a.File("missing.pem"), "?ca_file=" + a.File("garbage.pem"),
		"?cert_file=" + a.File("client.pem") + "&key_file=" + a.File("missing.key"),
		"?cert_file=" + a.File("garbage.pem") + "&key_file=" + a.File("client.key"),
	} {
		if s, err := Open(Options{URL: "rediss://localhost" + query}); err == nil {
			s.Close()
			t.Errorf("%s was taken", query)
		}
	}
}

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"authsvc/e2e/history"
	"authsvc/e2e/rig"
)

// providerWays are F37: replicas do not reach the provider, or not him. Whoever is signed in notices nothing.
var providerWays = []row{
	{
		id: "F37a", name: "the way to the provider swallows everything for 4 s", on: []topology{standalone},
		bound: "200; a login ends within 10 s", heal: 2 * time.Second,
		fault: func(ctx context.Context, s *scene) error {
			s.begin(history.Login)
			if err := s.toProvider.Hurt(rig.Answers, "timeout", map[string]any{"timeout": 0}); err != nil {
				return err
			}
			err := s.failedLogin(ctx)
			s.during(ctx, time.Second)
			s.toProvider.Heal()
			s.end()
			return err
		},
	},
	impostorRow(),
	{
		id: "F37c", name: "the provider's name is known to nobody; then it has another address", on: []topology{standalone},
		own: special{before: withName}, missing: noHosts,
		bound: "200; a login ends within 5 s; then all is well, no restart", fault: nameless,
	},
}

// impostorRow is a provider whose certificate is not the one that replicas trust.
func impostorRow() row {
	var shown atomic.Pointer[tls.Certificate]
	var good *authority
	show := func(by *authority, name string, expiry time.Duration) error {
		der, key, err := by.issue(name, expiry)
		shown.Store(&tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
		return err
	}
	before := func(_ context.Context, s *stage) (err error) {
		if good, err = newAuthority(); err != nil {
			return err
		}
		s.ProviderTLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return shown.Load(), nil }}
		s.Settings = []string{"AUTHSVC_OIDC_CA_FILE=" + caFile(s)}
		return errors.Join(good.trust(s), show(good, loopback, time.Hour))
	}
	return row{
		id: "F37b", name: "the provider's certificate: expired, wrong name, unknown authority", on: []topology{standalone}, own: special{before: before},
		bound: "200; a login ends within 10 s, the cause in the log; then all is well",
		fault: func(ctx context.Context, s *scene) error {
			stranger, err := newAuthority()
			if err != nil {
				return err
			}
			s.begin(history.Login)
			for _, bad := range []struct {
				by     *authority
				name   string
				expiry time.Duration
				cause  string
			}{
				{good, loopback, -time.Minute, "certificate has expired"},
				{good, "provider.example", time.Hour, "doesn't contain any IP SANs"},
				{stranger, loopback, time.Hour, "unknown authority"},
			} {
				if err := errors.Join(show(bad.by, bad.name, bad.expiry), s.hangUp(ctx), s.failedLogin(ctx), s.told(bad.cause)); err != nil {
					return err
				}
			}
			err = errors.Join(show(good, loopback, time.Hour), s.hangUp(ctx))
			s.end()
			return err
		},
	}
}

// told fails the row when no replica's log tells the cause.
func (s *scene) told(cause string) error {
	for _, one := range s.Replicas {
		if text, err := os.ReadFile(one.Log); err != nil || strings.Contains(string(text), cause) {
			return err
		}
	}
	s.fail("no log tells of %q", cause)
	return nil
}

// hostsCache is for how long Go remembers what /etc/hosts says.
const hostsCache = 5 * time.Second

// nameless takes the provider's name away, and gives it another address then.
func nameless(ctx context.Context, s *scene) error {
	const bound = 5 * time.Second
	s.begin(history.Login)
	err := s.setHosts("")
	s.during(ctx, hostsCache)
	err = errors.Join(err, s.hangUp(ctx)) // only now: connections that were made meanwhile need no name
	began := time.Now()
	err = errors.Join(err, s.failedLogin(ctx))
	if took := time.Since(began); took > s.patiently(bound) {
		s.fail("a login without the provider's name took %v", took)
	}
	const elsewhere = "127.0.0.2"
	_, port, _ := strings.Cut(s.toProvider.Address(), ":")
	if _, moved := s.startProxy("the provider elsewhere", elsewhere+":"+port, s.toProvider.Upstream()); moved != nil {
		return errors.Join(err, moved)
	}
	err = errors.Join(err, s.setHosts(elsewhere))
	s.toProvider.Down()
	s.during(ctx, hostsCache)
	s.end()
	return err
}

const providerName = "provider.example"

// withName lets replicas know the provider by a name, which is in an /etc/hosts of their own, and nobody else to ask for it.
func withName(_ context.Context, s *stage) error {
	s.providerName, s.Settings = providerName, []string{"AUTHSVC_OIDC_INSECURE_HTTP=true"}
	err := errors.Join(s.setHosts(loopback), os.WriteFile(s.resolver(), []byte("nameserver 127.0.0.1\n"), 0o600))
	return errors.Join(err, s.through(fmt.Sprintf(
		`exec unshare --mount sh -c 'mount --bind "%s" /etc/hosts && mount --bind "%s" /etc/resolv.conf && exec "$0" "$@"' "$program" "$@"`, s.hosts(), s.resolver())))
}

func (s *stage) hosts() string    { return filepath.Join(s.Dir, "hosts") }
func (s *stage) resolver() string { return filepath.Join(s.Dir, "resolv.conf") }

// setHosts gives the provider's name an address, or none.
func (s *stage) setHosts(address string) error {
	text := loopback + " localhost\n"
	if address != "" {
		text += address + " " + s.providerName + "\n"
	}
	return os.WriteFile(s.hosts(), []byte(text), 0o600)
}

// noHosts tells why replicas on this machine can have no /etc/hosts of their own; "": they can.
func noHosts() string {
	if os.Geteuid() != 0 {
		return "only root may give a process another /etc/hosts"
	}
	if output, err := exec.Command("unshare", "--mount", "mount", "--bind", "/etc/hosts", "/etc/hosts").CombinedOutput(); err != nil {
		return fmt.Sprintf("unshare: %v %s", err, output)
	}
	return ""
}

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const loopback = "127.0.0.1"

// network is a network namespace, in which a replica is as on a machine of its own: what is not let through is lost without a word, which no proxy can do. It has two
// links to everybody else, which are pairs of devices with addresses that are kept for tests (RFC 2544, appendix C.2.2) and that no other machine ever sees.
type network struct {
	name   string
	number int // of its addresses
}

// newNetwork is one that no other process has.
func newNetwork() *network { return &network{fmt.Sprintf("faults%d", os.Getpid()), os.Getpid() % 256} }

// link is one of the two.
type link int

const (
	site      link = iota // to people and the provider
	redisLink             // to Redis
)

// host is our end of the link; on loopback where there is no network.
func (n *network) host(l link) string {
	if n == nil {
		return loopback
	}
	return fmt.Sprintf("198.18.%d.%d", n.number, 4*l+1)
}

// inside is the replica's end of the link.
func (n *network) inside(l link) string { return fmt.Sprintf("198.18.%d.%d", n.number, 4*l+2) }

func (n *network) device(l link) string { return fmt.Sprintf("%s-%d", n.name, l) }

// noNetworks tells why this machine can have none; "": it can.
func noNetworks() string {
	if os.Geteuid() != 0 {
		return "only root may add network namespaces"
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return "there is no ip; on Debian and Ubuntu: apt-get install iproute2"
	}
	n := newNetwork()
	err := n.add()
	if err = errors.Join(err, n.remove()); err != nil {
		return strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return ""
}

// add makes the namespace and its links. It is to be removed, also after an error.
func (n *network) add() error {
	commands := []string{"netns add NAME", "-n NAME link set lo up"}
	for _, l := range []link{site, redisLink} {
		commands = append(commands, strings.NewReplacer("DEVICE", n.device(l), "HOST", n.host(l), "INSIDE", n.inside(l), "PEER", fmt.Sprintf("link%d", l)).Replace(
			`link add DEVICE type veth peer name PEER netns NAME
			addr add HOST/30 dev DEVICE
			link set DEVICE up
			-n NAME addr add INSIDE/30 dev PEER
			-n NAME link set PEER up`))
	}
	for line := range strings.SplitSeq(strings.Join(commands, "\n"), "\n") {
		if err := ip(strings.ReplaceAll(line, "NAME", n.name)); err != nil {
			return err
		}
	}
	return nil
}

// remove removes it, and its links with it.
func (n *network) remove() error { return ip("netns del " + n.name) }

// set takes a link down or up.
func (n *network) set(l link, state string) error {
	return ip("link set " + n.device(l) + " " + state)
}

func ip(arguments string) error {
	if output, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", arguments, err, output)
	}
	return nil
}

// inNetwork gives the first replica a network of its own.
func inNetwork(_ context.Context, s *stage) error {
	s.network = newNetwork()
	s.OnStop(s.network.remove)
	if err := s.network.add(); err != nil {
		return err
	}
	s.Hosts = []string{s.network.inside(site)}
	s.Settings = []string{"AUTHSVC_OIDC_INSECURE_HTTP=true"}
	return s.through(`[ -z "$NETWORK" ] || exec ip netns exec "$NETWORK" "$program" "$@"
exec "$program" "$@"`)
}

// through lets a shell start the replicas.
func (s *stage) through(script string) error {
	text := fmt.Sprintf("#!/bin/sh\nprogram='%s'\n%s\n", s.Program, script)
	s.Program = filepath.Join(s.Dir, "started")
	return os.WriteFile(s.Program, []byte(text), 0o700)
}

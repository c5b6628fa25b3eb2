package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"authsvc/e2e/rig"
)

// scantMeans are F45, F48, F49, F52 and F53: a replica has few files, little memory, one processor, a log that nobody reads, or no secret.
var scantMeans = []row{
	{
		id: "F45", name: "a replica has 256 files, and clients take them all for 3 s", on: []topology{standalone}, own: special{spoils: true},
		bound: "200 elsewhere; then 200", heal: 3 * time.Second, fault: fewFiles,
	},
	{
		id: "F48", name: "64 MiB of memory (GOMEMLIMIT)", on: []topology{standalone}, own: special{settings: []string{"GOMEMLIMIT=64MiB"}},
		bound: "200", fault: bounded,
	},
	{
		id: "F49", name: "one processor (GOMAXPROCS)", on: []topology{standalone}, own: special{settings: []string{"GOMAXPROCS=1"}},
		bound: "200", fault: bounded,
	},
	{
		id: "F52", name: "nobody reads a replica's log, whose pipe is full", on: []topology{standalone}, own: special{spoils: true},
		bound: "200; it leaves with SIGTERM", fault: blockedLog,
	},
	{
		id: "F53", name: "a secret's file becomes empty for 4 s", on: []topology{standalone},
		own:   special{redis: []string{"--requirepass", "first"}, passwordFile: "first"},
		bound: "200; /readyz and the metrics tell", fault: badReload,
	},
}

// throughShell starts the replica by a shell, after a line of it.
func (s *scene) throughShell(ctx context.Context, one *rig.Replica, line string) error {
	script := filepath.Join(s.Dir, "started")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"+line+"\n"), 0o700); err != nil {
		return err
	}
	s.begin()
	s.silence(one)
	err := s.Restart(ctx, []*rig.Replica{one}, rig.Change{Program: script, Env: []string{"PROGRAM=" + s.Program}})
	s.end()
	return err
}

func fewFiles(ctx context.Context, s *scene) error {
	one := s.Replicas[0]
	if err := s.throughShell(ctx, one, `ulimit -n 256 && exec "$PROGRAM" "$@"`); err != nil {
		return err
	}
	s.during(ctx, time.Second+healBound)
	s.begin()
	s.silence(one)
	defer s.end()
	var conns []net.Conn
	for range 400 {
		conn, err := net.Dial("tcp", one.Address)
		if err != nil {
			return err
		}
		defer conn.Close()
		conns = append(conns, conn)
	}
	s.during(ctx, 3*time.Second)
	select {
	case <-one.Done:
		s.fail("the replica ended")
	default:
	}
	for _, conn := range conns {
		conn.Close()
	}
	_, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
		a, err := s.Get(ctx, "http://"+one.Admin+"/readyz", nil)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d", a.Status)
		}
		return err
	})
	return err
}

// bounded looks at what replicas take while everybody is asked about.
func bounded(ctx context.Context, s *scene) error {
	const most = 96 << 20
	if err := s.sweep(ctx, s.history); err != nil {
		return err
	}
	for _, one := range s.Replicas {
		metrics, err := one.Metrics(ctx)
		if err != nil {
			return err
		}
		memory := metrics["process_resident_memory_bytes"]
		if memory > most {
			s.fail("%s takes %.0f MiB", one.Name, memory/(1<<20))
		}
		s.note("%.0f MiB", memory/(1<<20))
	}
	return nil
}

func blockedLog(ctx context.Context, s *scene) error {
	one, pipe := s.Replicas[0], filepath.Join(s.Dir, "log-that-nobody-reads")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		return err
	}
	unread, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unread.Close()
	if err := s.throughShell(ctx, one, `exec "$PROGRAM" "$@" 2>"`+pipe+`"`); err != nil {
		return err
	}
	s.during(ctx, time.Second+healBound)
	err = s.crowd(ctx, 3*time.Second, 300, func(int) error { // more than the pipe holds
		a, err := s.Get(ctx, "http://"+one.Address+"/auth", nil)
		if err == nil && a.Status != http.StatusUnauthorized {
			err = fmt.Errorf("a stranger is answered %d", a.Status)
		}
		return err
	})
	s.begin()
	s.silence(one)
	err = errors.Join(err, s.Restart(ctx, []*rig.Replica{one}))
	s.end()
	return err
}

func badReload(ctx context.Context, s *scene) error {
	told := func(bad float64) error {
		for _, one := range s.Replicas {
			if _, err := s.await(ctx, 5*time.Second, func(ctx context.Context) error {
				metrics, err := one.Metrics(ctx)
				if err != nil {
					return err
				}
				if got := metrics["authsvc_config_reload_failed"]; got != bad {
					return fmt.Errorf("%s: authsvc_config_reload_failed is %v", one.Name, got)
				}
				a, err := s.Get(ctx, "http://"+one.Admin+"/readyz", nil)
				if err == nil && (a.Status != http.StatusOK || strings.Contains(a.Body, `"configuration"`) != (bad == 1)) {
					err = fmt.Errorf("%s: /readyz answers %d %s", one.Name, a.Status, a.Body)
				}
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}
	if err := os.WriteFile(s.passwordFile(), nil, 0o600); err != nil {
		return err
	}
	err := told(1)
	s.during(ctx, 2*time.Second)
	return errors.Join(err, os.WriteFile(s.passwordFile(), []byte("first\n"), 0o600), told(0))
}

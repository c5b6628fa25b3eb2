package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

// flushTime is what the last lines of the log get to be written when the program ends.
const flushTime = time.Second

func newServeCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service until SIGTERM",
		Long: `Runs the service. On SIGTERM or SIGINT it says that it is not ready, serves on for shutdown.delay so
that gateways notice, and then has shutdown.timeout to finish what is under way. A second one ends it at once.

Secrets that come from files, and certificates, are read again when the files change. What cannot be used changes nothing, and
the log and /readyz say so. Every other change takes a restart; SIGHUP is not needed, and does no harm.

The log goes to stderr. Nobody waits for it: where it is not read, or cannot be written, lines are lost and counted.`,
		Example: `  authsvc serve --config /etc/authsvc.yaml

  AUTHSVC_PUBLIC_URL=https://app.example.com AUTHSVC_OIDC_ISSUER=https://login.example.com \
  AUTHSVC_OIDC_CLIENT_ID=app AUTHSVC_OIDC_CLIENT_SECRET_FILE=/run/secrets/client \
  AUTHSVC_COOKIE_SECRET_FILE=/run/secrets/cookie AUTHSVC_STORE_URL=redis://127.0.0.1:6379/0 authsvc serve`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := s.load()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			// A second signal ends the process at once, as it does where nobody listens for it.
			context.AfterFunc(ctx, stop)
			signal.Ignore(syscall.SIGPIPE) // whoever reads the log may go, and the service stays
			silenceLibraries()
			log, lines := newLogger(config, c.ErrOrStderr())
			err = serve(ctx, s, config, log, lines)
			if written := lines.close(flushTime); !written && err != nil {
				return exitStatus(exitCode(err, io.Discard)) // nobody reads why
			}
			return err
		},
	}
}

// serve runs the service until ctx ends, and then drains it. lines is where log goes to.
func serve(ctx context.Context, s *settings, config *authsvc.Config, log zerolog.Logger, lines *sink) error {
	_, warnings := config.Validate()
	for _, warning := range warnings {
		log.Warn().Msg(warning.String())
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	lines.observe(registry)

	// The secrets in use, which change when their files do.
	var current atomic.Pointer[authsvc.Config]
	current.Store(config)
	store, err := openStore(config, &current, registry)
	if err != nil {
		return err
	}
	defer store.Close()
	service, err := authsvc.New(authsvc.Options{
		Config: config, Store: store, Log: log, Metrics: registry, Version: readBuild().version,
	})
	if err != nil {
		return err
	}
	failed := make(chan error, 4) // the admin listener's end, the public one's, and that it could not be opened, or refused
	sources := func() ([]net.Listener, error) { return openAddress(config.Listen) }
	public := &gate{failed: failed, listen: func() (*listener, error) {
		return newListener(sources, config.TLS.CertFile, config.TLS.KeyFile, service.Handler(), log)
	}}
	if inherited := inheritedSockets(); config.Listen == listenSystemd {
		if err := inherited.check(); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		sources, public.turnAway = inherited.listeners, inherited.turnAway
	} else if len(inherited) > 0 {
		log.Warn().Msg("systemd passed a socket that nobody serves; write listen: systemd, or stop the socket unit")
	}
	var admin *listener
	if config.AdminListen != "" {
		address := func() ([]net.Listener, error) { return openAddress(config.AdminListen) }
		if admin, err = newListener(address, "", "", service.AdminHandler(), log); err != nil {
			return fmt.Errorf("admin_listen: %w", err)
		}
	}

	// Work beside requests goes on while requests do, and ends after the last one.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	beside := func(work func(context.Context)) {
		running.Go(func() { service.Keep(background, work) })
	}
	beside(store.Run)
	beside(func(ctx context.Context) { warnOfStore(ctx, store, log) })
	beside(service.Run)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	beside(func(ctx context.Context) { followSecrets(ctx, s, &current, service, log, hangup) })
	if admin != nil {
		running.Go(func() { failed <- admin.Serve() })
	}
	notify(log, "STATUS=asking the other replicas; takes no requests until they agree (authsvc replicas tells)")
	arrival := time.AfterFunc(queueTime, func() {
		if err := public.refuse(); err != nil {
			failed <- fmt.Errorf("listen: %w", err)
		}
	})
	defer arrival.Stop()
	beside(func(ctx context.Context) {
		service.Join(ctx, func(open bool) {
			if !open {
				closing, cancel := context.WithTimeout(ctx, closingTime)
				defer cancel()
				if err := public.close(closing); err != nil {
					log.Warn().Err(err).Msg("requests were broken off")
				}
				notify(log, "STATUS=takes no requests: differs from other replicas (authsvc replicas tells)")
				return
			}
			collectLessOften()
			if err := public.open(); err != nil {
				failed <- fmt.Errorf("listen: %w", err)
				return
			}
			log.Info().Str("version", readBuild().version).Str("listen", config.Listen).Str("admin_listen", config.AdminListen).
				Str("public_url", config.PublicURL).Stringer("store", config.Store.URL).Msg("serving")
			notify(log, daemon.SdNotifyReady+"\nSTATUS=takes requests")
		})
	})

	select {
	case err = <-failed:
	case <-ctx.Done():
		log.Info().Dur("delay", config.Shutdown.Delay).Msg("draining")
		notify(log, daemon.SdNotifyStopping+"\nSTATUS=draining")
		service.Drain()
		select {
		case err = <-failed:
		case <-time.After(config.Shutdown.Delay):
		}
	}
	finish, cancelFinish := context.WithTimeout(context.WithoutCancel(ctx), config.Shutdown.Timeout)
	defer cancelFinish()
	err = errors.Join(err, public.shutDown(finish))
	if admin != nil {
		last, cancel := context.WithTimeout(finish, closingTime)
		defer cancel()
		if admin.Shutdown(last) != nil {
			admin.Close() // whoever does not read its figures is no reason to stay
		}
	}
	err = errors.Join(err, service.Finish(finish))
	if err == nil {
		log.Info().Msg("stopped")
	}
	return err
}

// gcPercent is GOGC unless the environment says something else.
const gcPercent = 200

// collectLessOften lets the heap grow to three times of what is in use before garbage is collected, instead of twice. So little is in use, 2 MB beside the cached
// sessions, that a busy replica would collect twenty times a second, which took a tenth of its CPU. Before the first request nothing is gained by it; and
// GOMEMLIMIT bounds the heap as ever.
func collectLessOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}

// listener is an HTTP server on one address.
type listener struct {
	*http.Server
	serve func() error
}

// Serve serves until the listener is shut down, which is no error.
func (l *listener) Serve() error {
	if err := l.serve(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

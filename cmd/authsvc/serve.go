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
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/mattn/go-isatty"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

func newServeCommand(s *settings) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the service until SIGTERM",
		Long: `Runs the service. On SIGTERM or SIGINT it says that it is not ready, serves on for shutdown.delay so
that gateways notice, and then has shutdown.timeout to finish what is under way. A second one ends it at once.

Secrets that come from files are read again when the files change.`,
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
			return serve(ctx, s, config, newLogger(config, c.ErrOrStderr()))
		},
	}
}

func newLogger(config *authsvc.Config, stderr io.Writer) zerolog.Logger {
	out := stderr
	if config.Log.Format == "console" {
		out = zerolog.ConsoleWriter{Out: stderr, TimeFormat: time.RFC3339, TimeLocation: time.UTC, NoColor: !isTerminal(stderr)}
	}
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	level, err := zerolog.ParseLevel(config.Log.Level)
	if err != nil {
		level = zerolog.InfoLevel // Validate knows the levels
	}
	return zerolog.New(out).Level(level).With().Timestamp().Logger()
}

// isTerminal reports whether somebody sits at the other end of stream, rather than a file or another program.
func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// serve runs the service until ctx ends, and then drains it.
func serve(ctx context.Context, s *settings, config *authsvc.Config, log zerolog.Logger) error {
	_, warnings := config.Validate()
	for _, warning := range warnings {
		log.Warn().Msg(warning.String())
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

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
		return newListener(sources, config.TLS.CertFile, config.TLS.KeyFile, service.Handler())
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
		if admin, err = newListener(address, "", "", service.AdminHandler()); err != nil {
			return fmt.Errorf("admin_listen: %w", err)
		}
	}

	// Work beside requests goes on while requests do, and ends after the last one.
	background, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() { store.Run(background) })
	running.Go(func() { warnOfStore(background, store, log) })
	running.Go(func() { service.Run(background) })
	running.Go(func() { followSecrets(background, s, &current, service, log) })
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
	running.Go(func() {
		service.Join(background, func(open bool) {
			if !open {
				closing, cancel := context.WithTimeout(background, closingTime)
				defer cancel()
				if err := public.close(closing); err != nil {
					log.Warn().Err(err).Msg("requests were broken off")
				}
				notify(log, "STATUS=takes no requests: differs from other replicas (authsvc replicas tells)")
				return
			}
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
		err = errors.Join(err, admin.Shutdown(finish))
	}
	err = errors.Join(err, service.Finish(finish))
	if err == nil {
		log.Info().Msg("stopped")
	}
	return err
}

// secretsInterval is how often files with secrets are looked at.
const secretsInterval = time.Second

// followSecrets loads the configuration again and again, and puts secrets that have changed to use once two looks in
// a row agree on them: the first may have seen a file half written. What is bad, or comes too early, is told once and changes nothing;
// what comes too early is tried again until its time has come.
func followSecrets(ctx context.Context, s *settings, current *atomic.Pointer[authsvc.Config], service *authsvc.Service, log zerolog.Logger) {
	ticker := time.NewTicker(secretsInterval)
	defer ticker.Stop()
	var seen *authsvc.Config // by the last look, where it differs from what is in use
	complaint := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		config, err := s.load()
		switch {
		case err != nil:
			seen = nil
		case config.SameSecrets(current.Load()):
			seen, complaint = nil, ""
		case seen == nil || !config.SameSecrets(seen):
			seen = config
		default:
			if err = replaceSecrets(ctx, config, current, service, log); err == nil {
				seen, complaint = nil, ""
			}
		}
		if err == nil {
			continue
		}
		early, news := tooEarly(err)
		if news == complaint {
			continue
		}
		if complaint = news; early {
			log.Warn().Err(err).Msg("the cookie secrets in use stay for now")
		} else {
			log.Error().Err(err).Msg("the configuration has become bad; the one in use stays")
		}
	}
}

// replaceSecrets puts the secrets of a configuration to use, and nothing else of it: every other change takes a restart. Where it is too early
// for the cookie secrets, the others need not wait.
func replaceSecrets(ctx context.Context, config *authsvc.Config, current *atomic.Pointer[authsvc.Config], service *authsvc.Service, log zerolog.Logger) error {
	next := current.Load().WithSecretsOf(config)
	refused := service.ReplaceSecrets(ctx, next)
	if early, _ := tooEarly(refused); early {
		if next.Cookie.Secret = current.Load().Cookie.Secret; next.SameSecrets(current.Load()) {
			return refused
		}
		if err := service.ReplaceSecrets(ctx, next); err != nil {
			return errors.Join(refused, err)
		}
	} else if refused != nil {
		return refused
	}
	current.Store(next)
	log.Info().Msg("secrets replaced")
	return refused
}

// tooEarly reports whether new cookie secrets were refused for a reason that time mends, and what an operator has to be told once: a date
// that moves on while a key signs is no news.
func tooEarly(err error) (early bool, news string) {
	if needed, ok := errors.AsType[*authsvc.KeyNeededError](err); ok {
		return true, fmt.Sprint("key ", needed.Key, " signs: ", needed.Signs)
	}
	if errors.Is(err, authsvc.ErrKeysUnknown) {
		return true, authsvc.ErrKeysUnknown.Error()
	}
	if err == nil {
		return false, ""
	}
	return false, err.Error()
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

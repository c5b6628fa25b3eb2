package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"authsvc/authsvc"
)

// secretsInterval is how often files with secrets are looked at.
const secretsInterval = time.Second

// followSecrets loads the configuration again and again, and puts secrets that have changed to use once two looks in
// a row agree on them: the first may have seen a file half written. What is bad, or comes too early, is told once and changes nothing;
// what comes too early is tried again until its time has come. Who sends SIGHUP, hangup, is told what that is good for.
func followSecrets(ctx context.Context, s *settings, current *atomic.Pointer[authsvc.Config], service *authsvc.Service, log zerolog.Logger, hangup <-chan os.Signal) {
	ticker := time.NewTicker(secretsInterval)
	defer ticker.Stop()
	var seen *authsvc.Config    // by the last look, where it differs from what is in use
	complaint, bad := "", false // what was told last, and whether that was that the configuration is bad
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			log.Info().Msg("secrets and certificates are read again by themselves, two seconds after their files have changed; every other change takes a restart")
			continue
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
		early, news := tooEarly(err)
		service.ReloadFails(err != nil && !early)
		if bad && complaint == "" {
			bad = false
			log.Info().Msg("the configuration is good again")
		}
		if err == nil || news == complaint {
			continue
		}
		if complaint = news; early {
			log.Warn().Err(err).Msg("the cookie secrets in use stay for now")
		} else {
			bad = true
			message := "the configuration has become bad; the one in use stays"
			if outOfFiles(err) {
				message = "the files of the configuration cannot be opened, and the one in use stays; " + raiseFiles
			}
			log.Error().Err(err).Msg(message)
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

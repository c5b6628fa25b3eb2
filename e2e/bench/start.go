package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"authsvc/e2e/rig"
)

// starts measures from exec to ready, with the provider there and away.
func (b *bench) starts(ctx context.Context) error {
	var provider *rig.Proxy
	d, err := b.raise(ctx, "start", 1, func(address string) (front string, err error) {
		if provider, err = rig.StartProxy("the provider", "127.0.0.1:0", address); err != nil {
			return "", err
		}
		return provider.Address(), nil
	})
	if err != nil {
		return err
	}
	d.OnStop(func() error { provider.Down(); return nil })
	one, err := d.replica(ctx)
	if err != nil {
		return err
	}
	var up, down []float64
	for range b.rounds {
		took, err := startAgain(ctx, one)
		if err != nil {
			return err
		}
		up = append(up, took)
		provider.Down()
		if took, err = startAgain(ctx, one); err != nil {
			return fmt.Errorf("without the provider: %w", err)
		}
		down = append(down, took)
		if err := provider.Up(); err != nil {
			return err
		}
	}
	b.fill("start-up", newFigure(up...), "")
	b.fill("start-down", newFigure(down...), "")
	return d.Stop()
}

// startAgain stops a replica and starts it, and returns after how many milliseconds it was ready, and served.
func startAgain(ctx context.Context, one *rig.Replica) (milliseconds float64, err error) {
	if err := one.Stop(); err != nil {
		return 0, err
	}
	begun := time.Now()
	if err := one.Start(); err != nil {
		return 0, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	limit, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, ready := range []struct {
		address string
		status  int
	}{{"http://" + one.Admin + "/readyz", http.StatusOK}, {"http://" + one.Address + "/auth", http.StatusUnauthorized}} {
		for {
			answer, err := client.Get(ready.address)
			if err == nil {
				answer.Body.Close()
				if answer.StatusCode == ready.status {
					break
				}
				err = fmt.Errorf("it answers %d", answer.StatusCode)
			}
			if limit.Err() != nil {
				return 0, fmt.Errorf("%s: %w", ready.address, errors.Join(err, limit.Err()))
			}
			pause(limit, 500*time.Microsecond)
		}
	}
	return time.Since(begun).Seconds() * 1e3, nil
}

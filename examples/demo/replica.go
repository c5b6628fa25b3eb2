package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// replica is one running authsvc.
type replica struct {
	*process
	address string // where nginx asks it
}

// buildService builds authsvc from this module.
func buildService(ctx context.Context, dir string) (program string, err error) {
	program = filepath.Join(dir, "authsvc")
	output, err := exec.CommandContext(ctx, "go", "build", "-o", program, "authsvc/cmd/authsvc").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building authsvc: %w\n%s", err, output)
	}
	return program, nil
}

// startReplicas starts two replicas with the same settings and returns when both are ready.
func (c *chain) startReplicas(ctx context.Context, program, clientSecret string) error {
	addresses, err := freeAddresses(4)
	if err != nil {
		return err
	}
	shared := []string{
		"AUTHSVC_PUBLIC_URL=" + c.url(),
		"AUTHSVC_OIDC_ISSUER=" + c.provider.Issuer(),
		"AUTHSVC_OIDC_CLIENT_ID=demo",
		"AUTHSVC_OIDC_CLIENT_SECRET=" + clientSecret,
		"AUTHSVC_STORE_URL=" + c.store.url,
		"AUTHSVC_COOKIE_SECRET=" + randomKey(),
		"AUTHSVC_LOG_FORMAT=console",
		"AUTHSVC_SHUTDOWN_DELAY=0",
	}
	var admin []string
	for i := range 2 {
		cmd := exec.Command(program, "serve")
		cmd.Env = append(environment(), append([]string{
			"AUTHSVC_LISTEN=" + addresses[i],
			"AUTHSVC_ADMIN_LISTEN=" + addresses[2+i],
		}, shared...)...)
		p, err := c.spawn(fmt.Sprintf("replica-%d", i+1), cmd)
		if err != nil {
			return err
		}
		c.replicas = append(c.replicas, &replica{p, addresses[i]})
		admin = append(admin, addresses[2+i])
	}
	for i, r := range c.replicas {
		// strict: the provider is known too, so that the first visitor can sign in.
		if err := r.await(ctx, 20*time.Second, isOK("http://"+admin[i]+"/readyz?strict=1")); err != nil {
			return err
		}
		go func() {
			<-r.done
			if ctx.Err() == nil {
				fmt.Printf("Replica %d (process %d) has ended.\n", i+1, r.pid())
			}
		}()
	}
	return nil
}

// environment is ours without settings of an authsvc.
func environment() []string {
	var kept []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AUTHSVC_") {
			kept = append(kept, variable)
		}
	}
	return kept
}

// isOK asks an address for its 200.
func isOK(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, answer.Status)
		}
		return nil
	}
}

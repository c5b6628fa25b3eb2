package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"authsvc/nginx"
	"authsvc/nginx/nginxtest"
)

// answeredBy is how the application hears which replica gave the verdict. No real site needs to know.
const answeredBy = "X-Answered-By"

// startNginx starts an nginx of the demo's own with the configuration that authsvc renders for this site.
func (c *chain) startNginx(ctx context.Context, application string) error {
	configuration, err := siteConfiguration(c.site, application, c.replicas)
	if err != nil {
		return err
	}
	dir := filepath.Join(c.dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("nginx's folder: %w", err)
	}
	server, err := nginxtest.Run(context.WithoutCancel(ctx), dir, configuration) // stop ends it, in its turn
	if errors.Is(err, nginxtest.ErrNotInstalled) {
		return err
	} else if err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	c.onStop(server.Stop)
	go func() {
		<-server.Done()
		// Ctrl-C reaches nginx too, maybe before it reaches us; that is no failure.
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
			c.fail(fmt.Errorf("nginx ended\n%s", server.ErrorLog()))
		}
	}()
	return nil
}

// siteConfiguration renders the site. One thing is added for the demo's sake: an identity header whose value
// is the address that nginx asked, in place of a header of the answer.
func siteConfiguration(site, application string, replicas []*replica) (string, error) {
	host, _, err := net.SplitHostPort(site)
	if err != nil {
		return "", fmt.Errorf("the site's address: %w", err)
	}
	description := nginx.Site{
		ServerName: host,
		Listen:     []string{site},
		Upstreams:  []string{application},
		Headers:    append(nginx.DefaultHeaders(), answeredBy),
	}
	for _, r := range replicas {
		description.Replicas = append(description.Replicas, r.address)
	}
	var text strings.Builder
	if err := nginx.Render(&text, description); err != nil {
		return "", err
	}
	const answer = "$upstream_http_x_answered_by;"
	if strings.Count(text.String(), answer) != 1 {
		return "", errors.New("the rendered nginx configuration does not read X-Answered-By exactly once")
	}
	return strings.Replace(text.String(), answer, "$upstream_addr;", 1), nil
}

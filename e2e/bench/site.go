package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"authsvc/e2e/rig"
	"authsvc/nginx/nginxtest"
)

// site starts an nginx with what authsvc renders for these replicas, and returns its address. Instead of an application it has a file of its own, as when the
// incumbent was measured: an application's cost would hide that of the verdict.
func (d *deployment) site(ctx context.Context, name string, asksNobody bool, replicas []string, flags ...string) (address string, err error) {
	if address, err = rig.FreeAddress(); err != nil {
		return "", err
	}
	args := append([]string{"nginx", "render", "--server-name", "127.0.0.1", "--listen", address, "--upstream", "unix:/nobody"}, flags...)
	for _, one := range replicas {
		args = append(args, "--replica", one)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, d.Program, args...)
	cmd.Env, cmd.Stderr = rig.Environment(), &stderr
	rendered, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("authsvc %s: %w\n%s", strings.Join(args, " "), err, &stderr)
	}
	dir := filepath.Join(d.Dir, name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, filepath.Base(pagePath)), []byte("a page\n"), 0o600); err != nil {
		return "", err
	}
	lines := map[string]string{"proxy_pass http://authsvc_127_0_0_1-app;": fmt.Sprintf("root %q;", dir)}
	if asksNobody {
		lines["auth_request /auth;"] = ""
	}
	text, err := replaceEach(string(rendered), lines)
	if err != nil {
		return "", err
	}
	server, err := nginxtest.Run(context.WithoutCancel(ctx), dir, text) // Stop ends it, in its turn
	if err != nil {
		return "", err
	}
	d.OnStop(server.Stop)
	return "http://" + address + pagePath, nil
}

// replaceEach replaces each text, which stands in the configuration once.
func replaceEach(configuration string, texts map[string]string) (string, error) {
	for text, by := range texts {
		if n := strings.Count(configuration, text); n != 1 {
			return "", fmt.Errorf("the rendered site has %q %d times, not once", text, n)
		}
		configuration = strings.Replace(configuration, text, by, 1)
	}
	return configuration, nil
}

// throughNginx compares the rendered site with replicas, and with handlers in their place.
func (b *bench) throughNginx(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	handlers := subject{name: "nginx + handler", crowd: v.browsers, counters: noCounters}
	ours := []*rig.Replica{v.warm}
	var handlerAddresses, replicaAddresses []string
	for i := range b.replicas {
		one, err := v.deployment.handler(ctx, fmt.Sprintf("handler %d", i+1), v.headers, "", v.crowd)
		if err != nil {
			return err
		}
		u, err := url.Parse(one.address)
		if err != nil {
			return err
		}
		handlers.pids, handlerAddresses = append(handlers.pids, one.pids...), append(handlerAddresses, u.Host)
		if i > 0 {
			more, err := v.replica(ctx)
			if err != nil {
				return err
			}
			ours = append(ours, more)
		}
		replicaAddresses = append(replicaAddresses, ours[i].Address)
	}
	if handlers.address, err = v.site(ctx, "nginx-handler", false, handlerAddresses); err != nil {
		return err
	}
	address, err := v.site(ctx, "nginx-authsvc", false, replicaAddresses)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, handlers, v.ofReplicas("nginx + authsvc", address, v.browsers, ours...))
	if err != nil {
		return err
	}
	r := b.fill("nginx-rate", figureOf(pairs, rateRatio), "%s /s", decimal(figureOf(pairs, limitRate).Median))
	r.note("%s", latencies(pairs))
	if pairs, err = b.overSockets(ctx, v, v.ofReplicas("nginx + authsvc", address, v.browsers, ours...)); err != nil {
		return err
	}
	r.note("over unix sockets, beside itself over TCP: requests a second %s ×, CPU %s ×; %s", decimal(figureOf(pairs, rateRatio).Median),
		decimal(figureOf(pairs, cpuRatio).Median), latencies(pairs))
	return nil
}

// overSockets compares the site with another whose replicas nginx reaches over unix sockets.
func (b *bench) overSockets(ctx context.Context, v *verdicts, overTCP subject) ([]pair, error) {
	var sockets []string
	var replicas []*rig.Replica
	for i := range b.replicas {
		sockets = append(sockets, fmt.Sprintf("unix:%s/authsvc-%d.sock", v.Dir, i+1))
		one, err := v.replica(ctx, "AUTHSVC_LISTEN="+sockets[i])
		if err != nil {
			return nil, err
		}
		replicas = append(replicas, one)
	}
	address, err := v.site(ctx, "nginx-sockets", false, sockets)
	if err != nil {
		return nil, err
	}
	return b.compare(ctx, overTCP, v.ofReplicas("over sockets", address, v.browsers, replicas...))
}

func noCounters(context.Context) (counters, error) { return counters{}, nil }

// microCache compares the rendered site that keeps verdicts for a second with one that asks for none.
func (b *bench) microCache(ctx context.Context) error {
	v, err := b.verdictParts(ctx)
	if err != nil {
		return err
	}
	open := subject{name: "nginx, no auth", crowd: v.browsers, counters: noCounters}
	if open.address, err = v.site(ctx, "nginx-open", true, []string{v.warm.Address}); err != nil {
		return err
	}
	kept := filepath.Join(v.Dir, "verdicts")
	address, err := v.site(ctx, "nginx-micro", false, []string{v.warm.Address}, "--micro-cache", "1s", "--micro-cache-path", kept)
	if err != nil {
		return err
	}
	pairs, err := b.compare(ctx, open, v.ofReplicas("nginx, micro-cache", address, v.browsers, v.warm))
	if err != nil {
		return err
	}
	b.fill("micro-rate", figureOf(pairs, rateRatio), "%s /s", decimal(figureOf(pairs, limitRate).Median)).note("%s", latencies(pairs))
	return nil
}

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/nginx/nginxtest"
)

// Settings of the replicas that scenarios reckon with.
const (
	refreshBefore = 15 * time.Second // session.refresh_before
	refreshWait   = 2 * time.Second  // session.refresh_wait, the default
	leaseLife     = 6 * time.Second  // how long a replica that vanished keeps others from refreshing
	replicaCount  = 3
)

// rig is everything that runs: nginx in front of three replicas and an application, Redis and a provider behind them.
type rig struct {
	program  string // the built authsvc
	shifted  string // it, with a clock that can be wrong
	dir      string // of all that the parts write
	stops    []func() error
	site     string // where nginx listens
	url      string // public_url
	redis    *redis.Client
	redisURL string
	socket   string // of Redis
	provider *provider
	replicas []*replica
	browser  *http.Client // of all people: it keeps no cookies and follows nothing
	say      func(format string, args ...any)
}

// replica is one running "authsvc serve".
type replica struct {
	*process
	rig            *rig
	name           string
	address, admin string
	env            []string
	change         change
}

// change is how a replica differs for the time of a scenario.
type change struct {
	program string   // "": the rig's
	env     []string // added
}

// start brings up each part after those that it needs. What has started when it fails, stop stops.
func (r *rig) start(ctx context.Context, names []string) error {
	var addresses []string
	tb := &portPicker{}
	for range 1 + 2*replicaCount {
		addresses = append(addresses, nginxtest.FreeAddress(tb))
	}
	if tb.err != nil {
		return tb.err
	}
	r.site, addresses = addresses[0], addresses[1:]
	r.url = "http://" + r.site
	r.browser = &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, IdleConnTimeout: 20 * time.Second, DisableCompression: true},
		Timeout:   time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if err := r.startRedis(ctx); err != nil {
		return err
	}
	secret := rand.Text()
	if err := r.startProvider(secret, names); err != nil {
		return err
	}
	if err := r.startReplicas(ctx, secret, addresses); err != nil {
		return err
	}
	application, err := r.startApplication()
	if err != nil {
		return err
	}
	return r.startNginx(ctx, application)
}

// portPicker lets nginxtest choose free ports for a program that is no test.
type portPicker struct{ err error }

func (p *portPicker) Helper()                           {}
func (p *portPicker) Cleanup(func())                    {}
func (p *portPicker) TempDir() string                   { return os.TempDir() }
func (p *portPicker) Context() context.Context          { return context.Background() }
func (p *portPicker) Fatalf(format string, args ...any) { p.err = fmt.Errorf(format, args...) }

// stop ends every part, the last started first.
func (r *rig) stop() error {
	var errs []error
	for _, stop := range slices.Backward(r.stops) {
		errs = append(errs, stop())
	}
	r.stops = nil
	return errors.Join(errs...)
}

func (r *rig) onStop(stop func() error) { r.stops = append(r.stops, stop) }

// serve runs a handler of this process.
func (r *rig) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener) // ends with Close; a listener that fails earlier fails every scenario
	}()
	r.onStop(func() error {
		err := server.Close()
		<-done
		return err
	})
}

// startApplication serves the protected site on a socket. It answers with the name that nginx told it.
func (r *rig) startApplication() (address string, err error) {
	socket := filepath.Join(r.dir, "app.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return "", fmt.Errorf("a socket for the application: %w", err)
	}
	r.serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Auth-Request-User")) // an error means that the browser has gone
	}))
	return "unix:" + socket, nil
}

// startReplicas starts the replicas with the same settings and returns when all are ready.
func (r *rig) startReplicas(ctx context.Context, secret string, addresses []string) error {
	key := make([]byte, 32)
	rand.Read(key)
	shared := append(environment(),
		"AUTHSVC_PUBLIC_URL="+r.url,
		"AUTHSVC_OIDC_ISSUER="+r.provider.Issuer(),
		"AUTHSVC_OIDC_CLIENT_ID="+clientID,
		"AUTHSVC_OIDC_CLIENT_SECRET="+secret,
		"AUTHSVC_STORE_URL="+r.redisURL,
		"AUTHSVC_COOKIE_SECRET="+base64.StdEncoding.EncodeToString(key),
		"AUTHSVC_SESSION_REFRESH_BEFORE="+refreshBefore.String(),
		"AUTHSVC_SESSION_REFRESH_WAIT="+refreshWait.String(),
		"AUTHSVC_SESSION_IDLE_TIMEOUT=2h",
		"AUTHSVC_SHUTDOWN_DELAY=0",
	)
	for i := range replicaCount {
		one := &replica{rig: r, name: fmt.Sprintf("replica-%d", i+1), address: addresses[2*i], admin: addresses[2*i+1]}
		one.env = append(slices.Clone(shared), "AUTHSVC_LISTEN="+one.address, "AUTHSVC_ADMIN_LISTEN="+one.admin)
		if err := one.start(); err != nil {
			return err
		}
		r.replicas = append(r.replicas, one)
		r.onStop(func() error { return one.stop() })
	}
	for _, one := range r.replicas {
		if err := one.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// environment is ours without settings of an authsvc.
func environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AUTHSVC_") })
}

// start starts the replica, also again after its end.
func (one *replica) start() error {
	cmd := exec.Command(cmp.Or(one.change.program, one.rig.program), "serve")
	cmd.Env = slices.Concat(one.env, one.change.env)
	p, err := spawn(one.rig.dir, one.name, cmd)
	if err == nil {
		one.process = p
	}
	return err
}

// awaitReady returns when the replica is ready and knows the provider.
func (one *replica) awaitReady(ctx context.Context) error {
	return one.await(ctx, 20*time.Second, func(ctx context.Context) error {
		answer, err := one.rig.get(ctx, "http://"+one.admin+"/readyz?strict=1", nil)
		if err == nil && answer.status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d %s", answer.status, answer.body)
		}
		return err
	})
}

// restart starts replicas anew, each with its change; those that have none are as in the beginning.
func (r *rig) restart(ctx context.Context, replicas []*replica, changes ...change) error {
	for _, one := range replicas {
		if err := one.stop(); err != nil {
			return err
		}
	}
	for i, one := range replicas {
		one.change = change{}
		if i < len(changes) {
			one.change = changes[i]
		}
		if err := one.start(); err != nil {
			return err
		}
	}
	for _, one := range replicas {
		if err := one.awaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (one *replica) pause() error  { return one.signal(syscall.SIGSTOP) }
func (one *replica) resume() error { return one.signal(syscall.SIGCONT) }

// startNginx starts nginx with what the program renders.
func (r *rig) startNginx(ctx context.Context, application string) error {
	args := []string{"nginx", "render", "--server-name", "127.0.0.1", "--listen", r.site, "--upstream", application}
	for _, one := range r.replicas {
		args = append(args, "--replica", one.address)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, r.program, args...)
	cmd.Env, cmd.Stderr = environment(), &stderr
	rendered, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("authsvc %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	dir := filepath.Join(r.dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("nginx's folder: %w", err)
	}
	server, err := nginxtest.Run(context.WithoutCancel(ctx), dir, string(rendered)) // stop ends it, in its turn
	if err != nil {
		return err
	}
	r.onStop(server.Stop)
	return nil
}

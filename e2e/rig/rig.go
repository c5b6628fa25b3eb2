// Package rig starts the real parts of a deployment on loopback, for programs that prove something about authsvc: redis-server, the embedded provider,
// replicas of the built authsvc, nginx with the configuration that it renders, and an application; and people with browsers who use them. It needs
// no test: its parts are started in order, and stopped in the opposite one.
package rig

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
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

// Rig is everything that runs. Its parts are started by one goroutine; what people do with them is safe for concurrent use.
type Rig struct {
	Program string // the built authsvc
	Dir     string // of all that the parts write
	// Settings are environment variables that all replicas have besides the rig's own, over which they win.
	Settings []string
	// Front, unless nil, puts something between the provider, which listens on the address, and replicas, and returns where those find it. People's
	// browsers reach the provider past it.
	Front func(address string) (front string, err error)
	// RedisPort lets replicas reach Redis over TCP, as most do, rather than by its socket.
	RedisPort bool

	// ProviderTLS, unless nil, lets the provider speak TLS. Only replicas look at its certificate.
	ProviderTLS *tls.Config
	// Hosts are where replicas listen, one after the other; on loopback where there is none.
	Hosts []string

	Site     string // the host and port of URL, where nginx listens if it was started
	URL      string // public_url
	StoreURL string // what replicas take for Redis
	Redis    *redis.Client
	Masters  []*redis.Client // Redis alone, or the three masters of a Cluster, of which it is the first
	Socket   string          // of Redis
	Provider *Provider
	Replicas []*Replica
	Browser  *http.Client // of all people: it keeps no cookies and follows nothing

	secret, key string            // of the client; of the cookies
	detours     map[string]string // where the browser goes instead
	stops       []func() error
}

// Replica is one running "authsvc serve".
type Replica struct {
	*Process
	Name           string
	Address, Admin string // where it listens

	rig    *Rig
	env    []string
	change Change
}

// Change is how a replica differs for the time of a scenario.
type Change struct {
	Program string   // "": the rig's
	Env     []string // added
}

// Prepare chooses the site's address. It is the first thing to do.
func (r *Rig) Prepare() error {
	address, err := FreeAddress()
	if err != nil {
		return err
	}
	r.Site, r.URL, r.secret, r.detours = address, "http://"+address, rand.Text(), map[string]string{}
	key := make([]byte, 32)
	rand.Read(key)
	r.key = base64.StdEncoding.EncodeToString(key)
	dial := (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	r.Browser = &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, IdleConnTimeout: 20 * time.Second, DisableCompression: true,
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // see ProviderTLS
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				return dial(ctx, network, cmp.Or(r.detours[address], address))
			}},
		Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// freeAddresses chooses ports that are free now.
func freeAddresses(n int) (addresses []string, err error) {
	tb := &portPicker{}
	for range n {
		addresses = append(addresses, nginxtest.FreeAddress(tb))
	}
	return addresses, tb.err
}

// FreeAddress chooses a port that is free now, for a part of somebody's own.
func FreeAddress() (string, error) {
	addresses, err := freeAddresses(1)
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}

// portPicker lets nginxtest choose free ports for a program that is no test.
type portPicker struct{ err error }

func (p *portPicker) Helper()                           {}
func (p *portPicker) Cleanup(func())                    {}
func (p *portPicker) TempDir() string                   { return os.TempDir() }
func (p *portPicker) Context() context.Context          { return context.Background() }
func (p *portPicker) Fatalf(format string, args ...any) { p.err = fmt.Errorf(format, args...) }

// Stop ends every part, the last started first. What has started when a start fails, it stops as well.
func (r *Rig) Stop() error {
	var errs []error
	for _, stop := range slices.Backward(r.stops) {
		errs = append(errs, stop())
	}
	r.stops = nil
	return errors.Join(errs...)
}

// OnStop adds something for Stop to end.
func (r *Rig) OnStop(stop func() error) { r.stops = append(r.stops, stop) }

// Serve runs a handler of this process.
func (r *Rig) Serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	if r.ProviderTLS != nil {
		server.ErrorLog = log.New(io.Discard, "", 0) // that replicas refuse a certificate
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener) // ends with Close; a listener that fails earlier fails every scenario
	}()
	r.OnStop(func() error {
		err := server.Close()
		<-done
		return err
	})
}

// StartReplicas starts n replicas with the same settings and returns when all are ready. Redis and the provider run already. different, unless nil, gives
// what is added to the environment of the i-th, from 0.
func (r *Rig) StartReplicas(ctx context.Context, n int, different func(i int) []string) error {
	shared := append(Environment(),
		"AUTHSVC_PUBLIC_URL="+r.URL,
		"AUTHSVC_OIDC_ISSUER="+r.Provider.Issuer(),
		"AUTHSVC_OIDC_CLIENT_ID="+ClientID,
		"AUTHSVC_OIDC_CLIENT_SECRET="+r.secret,
		"AUTHSVC_STORE_URL="+r.StoreURL,
		"AUTHSVC_COOKIE_SECRET="+r.key,
		"AUTHSVC_SESSION_IDLE_TIMEOUT=2h",
		"AUTHSVC_SHUTDOWN_DELAY=0",
	)
	addresses, err := freeAddresses(2 * n)
	if err != nil {
		return err
	}
	for i := range n {
		one := &Replica{rig: r, Name: fmt.Sprintf("replica-%d", len(r.Replicas)+1), Address: r.at(i, addresses[2*i]), Admin: r.at(i, addresses[2*i+1])}
		one.env = append(slices.Concat(shared, r.Settings), "AUTHSVC_LISTEN="+one.Address, "AUTHSVC_ADMIN_LISTEN="+one.Admin)
		if different != nil {
			one.env = append(one.env, different(i)...)
		}
		if err := one.Start(); err != nil {
			return err
		}
		r.Replicas = append(r.Replicas, one)
		r.OnStop(func() error { return one.Stop() })
	}
	for _, one := range r.Replicas {
		if err := one.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// at is the address on the host of the i-th replica.
func (r *Rig) at(i int, address string) string {
	if i >= len(r.Hosts) {
		return address
	}
	_, port, _ := strings.Cut(address, ":")
	return net.JoinHostPort(r.Hosts[i], port)
}

// Environment is ours without settings of an authsvc.
func Environment() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AUTHSVC_") })
}

// Start starts the replica, also again after its end.
func (one *Replica) Start() error {
	cmd := exec.Command(cmp.Or(one.change.Program, one.rig.Program), "serve")
	cmd.Env = slices.Concat(one.env, one.change.Env)
	p, err := Spawn(one.rig.Dir, one.Name, cmd)
	if err == nil {
		one.Process = p
	}
	return err
}

// Command is what somebody runs beside the replica, with its settings.
func (one *Replica) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, one.rig.Program, args...)
	cmd.Env = one.env
	return cmd
}

// AwaitReady returns when the replica is ready and knows the provider.
func (one *Replica) AwaitReady(ctx context.Context) error {
	return one.Await(ctx, 20*time.Second, func(ctx context.Context) error {
		answer, err := one.rig.Get(ctx, "http://"+one.Admin+"/readyz?strict=1", nil)
		if err == nil && answer.Status != http.StatusOK {
			err = fmt.Errorf("/readyz answers %d %s", answer.Status, answer.Body)
		}
		return err
	})
}

// Restart starts replicas anew, each with its change; those that have none are as in the beginning.
func (r *Rig) Restart(ctx context.Context, replicas []*Replica, changes ...Change) error {
	for _, one := range replicas {
		if err := one.Stop(); err != nil {
			return err
		}
	}
	for i, one := range replicas {
		one.change = Change{}
		if i < len(changes) {
			one.change = changes[i]
		}
		if err := one.Start(); err != nil {
			return err
		}
	}
	for _, one := range replicas {
		if err := one.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Pause stops the replica where it stands: its connections stay, and nothing is answered.
func (one *Replica) Pause() error { return one.Signal(syscall.SIGSTOP) }

// Resume ends Pause; a second time it does nothing.
func (one *Replica) Resume() error { return one.Signal(syscall.SIGCONT) }

// StartSite starts nginx at the site, with what the program renders, and the protected application behind it.
func (r *Rig) StartSite(ctx context.Context) error {
	application, err := r.startApplication()
	if err != nil {
		return err
	}
	return r.startNginx(ctx, application)
}

// startApplication serves the protected site on a socket. It answers with the name that nginx told it.
func (r *Rig) startApplication() (address string, err error) {
	socket := filepath.Join(r.Dir, "app.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return "", fmt.Errorf("a socket for the application: %w", err)
	}
	r.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Auth-Request-User")) // an error means that the browser has gone
	}))
	return "unix:" + socket, nil
}

func (r *Rig) startNginx(ctx context.Context, application string) error {
	args := []string{"nginx", "render", "--server-name", "127.0.0.1", "--listen", r.Site, "--upstream", application}
	for _, one := range r.Replicas {
		args = append(args, "--replica", one.Address)
	}
	var stderr strings.Builder
	cmd := exec.CommandContext(ctx, r.Program, args...)
	cmd.Env, cmd.Stderr = Environment(), &stderr
	rendered, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("authsvc %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	dir := filepath.Join(r.Dir, "nginx")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("nginx's folder: %w", err)
	}
	server, err := nginxtest.Run(context.WithoutCancel(ctx), dir, string(rendered)) // Stop ends it, in its turn
	if err != nil {
		return err
	}
	r.OnStop(server.Stop)
	return nil
}

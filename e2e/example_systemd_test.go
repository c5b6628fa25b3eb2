package e2e

import (
	"bufio"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/nginx/nginxtest"
	"authsvc/session/storetest"
)

const systemdFolder = "../examples/systemd"

// unit is an instance of authsvc@.service with its socket, run as systemd runs it. Its address is the socket's.
type unit struct {
	*replica
	keys     map[string][]string // of the service: what each is set to
	socket   *net.TCPListener    // systemd's own; it stays open when the service ends
	notified logBuffer           // what the service told (sd_notify(3))
}

// readUnit reads a unit file of an instance.
func readUnit(t *testing.T, name, instance, credentials string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(systemdFolder, name))
	check(t, err)
	keys := map[string][]string{}
	for line := range strings.Lines(strings.NewReplacer("%i", instance, "%d", credentials).Replace(string(text))) {
		if key, value, found := strings.Cut(strings.TrimSpace(line), "="); found && !strings.HasPrefix(key, "#") {
			keys[key] = append(keys[key], value)
		}
	}
	return keys
}

// newUnit starts an instance of the example, with settings that the files leave to the machine. Files of /etc/authsvc are in etc.
func newUnit(t *testing.T, instance, etc string, settings map[string]string) *unit {
	t.Helper()
	dir, err := os.MkdirTemp("", "unit") // a socket's path must be short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	u := &unit{keys: readUnit(t, "authsvc@.service", instance, dir)}
	moved := strings.NewReplacer("/usr/local/bin/authsvc", program, "/etc/authsvc/", etc+"/")
	for _, credential := range u.keys["LoadCredential"] {
		name, path, _ := strings.Cut(credential, ":")
		text, err := os.ReadFile(moved.Replace(path))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), text, 0o400))
	}
	if stream := readUnit(t, "authsvc@.socket", instance, "")["ListenStream"]; !slices.Equal(stream, []string{"127.0.0.1:" + instance}) {
		t.Errorf("the socket listens on %q", stream)
	}
	u.socket = listenOn(t, "127.0.0.1:0").(*net.TCPListener)
	passed, err := u.socket.File()
	check(t, err)
	t.Cleanup(func() { passed.Close() })

	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	check(t, err)
	t.Cleanup(func() { notify.Close() })
	go func() {
		message := make([]byte, 4096)
		for {
			n, err := notify.Read(message)
			if err != nil {
				return
			}
			u.notified.Write(append(message[:n:n], '\n'))
		}
	}()

	settings = maps.Clone(settings)
	settings["admin_listen"] = nginxtest.FreeAddress(t)
	u.replica = &replica{t: t, address: u.socket.Addr().String(), admin: settings["admin_listen"], command: func() *exec.Cmd {
		// Only the shell knows the process ID that the program will have.
		args := append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, strings.Fields(moved.Replace(u.keys["ExecStart"][0]))...)
		cmd := exec.Command("sh", args...)
		cmd.Env = slices.Concat(environment(), strings.Fields(strings.Join(u.keys["Environment"], " ")), variables(settings),
			[]string{"LISTEN_FDS=1", "LISTEN_FDNAMES=authsvc@" + instance + ".socket", "NOTIFY_SOCKET=" + filepath.Join(dir, "notify")})
		cmd.ExtraFiles = []*os.File{passed}
		return cmd
	}}
	u.begin()
	return u
}

// awaitTold waits until the service has told systemd this.
func (u *unit) awaitTold(text string) {
	u.t.Helper()
	storetest.WaitFor(u.t, "the service to tell "+text, func() error {
		if told := u.notified.String(); !strings.Contains(told, text) {
			return errors.New(told)
		}
		return nil
	})
}

// ask sends a request for a verdict over a new connection to the socket, and returns what will be answered; "" if it is turned away.
func (u *unit) ask() <-chan string {
	answer := make(chan string, 1)
	conn, err := net.Dial("tcp", u.address)
	if err != nil {
		answer <- ""
		return answer
	}
	conn.SetDeadline(time.Now().Add(patience))
	go func() {
		defer conn.Close()
		io.WriteString(conn, "GET /auth HTTP/1.0\r\n\r\n") // an error shows when the answer is read
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		switch {
		case err == nil:
			answer <- response.Status
		case errors.Is(err, os.ErrDeadlineExceeded):
			answer <- "it waits"
		default:
			answer <- ""
		}
	}()
	return answer
}

// TestExampleSystemd runs examples/systemd: two replicas on sockets that systemd listens on, with the secrets as credentials.
func TestExampleSystemd(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	etc := t.TempDir()
	file, err := os.ReadFile(filepath.Join(systemdFolder, "authsvc.yaml"))
	check(t, err)
	check(t, os.WriteFile(filepath.Join(etc, "authsvc.yaml"), file, 0o644))
	check(t, os.WriteFile(filepath.Join(etc, "client-secret"), []byte(clientSecret+"\n"), 0o600))
	check(t, os.WriteFile(filepath.Join(etc, "cookie-secret"), []byte(newSecret()+"\n"), 0o600))
	settings := map[string]string{"shutdown.delay": "0"}
	for _, key := range []string{"public_url", "oidc.issuer", "store.url"} {
		settings[key] = s.settings[key]
	}
	var units []*unit
	for _, instance := range []string{"4180", "4182"} {
		units = append(units, newUnit(t, instance, etc, settings))
	}
	for _, u := range units {
		u.awaitTold("\nREADY=1\nSTATUS=takes requests\n")
		u.awaitReady()
		s.replicas = append(s.replicas, u.replica)
	}
	s.startNginx()
	v := s.visitor("alice")
	v.signIn()

	// A replica that is restarted keeps nobody from passing: who comes in between waits for the next process.
	for _, u := range units {
		if code := u.terminate(); code != 0 {
			t.Errorf("it left with %d", code)
		}
		u.awaitTold("\nSTOPPING=1\n")
		answer := u.ask()
		u.start()
		if got := <-answer; got != "401 Unauthorized" {
			t.Errorf("between two processes: %q", got)
		}
		_, err := v.arrive("/page")
		check(t, err)
	}

	// A newcomer that differs has not started, and its connections do not wait either.
	settings["cookie.name"] = "other"
	newcomer := newUnit(t, "4184", etc, settings)
	for range 3 {
		if got := <-newcomer.ask(); got != "" {
			t.Errorf("held back, and it answers: %s", got)
		}
	}
	newcomer.awaitTold("STATUS=asking the other replicas")
	if told := newcomer.notified.String(); strings.Contains(told, "READY=1") {
		t.Errorf("held back, and it tells systemd %q", told)
	}
	_, err = v.arrive("/page") // nobody has lost anything
	check(t, err)
}

// TestExampleSystemdUnits: systemd understands every line of the units, and finds little that the service could do beyond its work.
func TestExampleSystemdUnits(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"authsvc@.service", "authsvc@.socket"} {
		text, err := os.ReadFile(filepath.Join(systemdFolder, name))
		check(t, err)
		check(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(string(text), "/usr/local/bin/authsvc", program)), 0o644))
	}
	service, socket := filepath.Join(dir, "authsvc@4180.service"), filepath.Join(dir, "authsvc@4180.socket")
	// --threshold is ten times the exposure that is printed: 0 is safest, 10 is none of these lines.
	for _, args := range [][]string{{"verify", service, socket}, {"security", "--offline=true", "--threshold=15", filepath.Join(dir, "authsvc@.service")}} {
		output, err := exec.Command("systemd-analyze", args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(output) > 0 {
			t.Errorf("systemd-analyze %s: %v; to install it: sh examples/demo/install.sh systemd\n%s", args[0], err, output)
		}
	}
}

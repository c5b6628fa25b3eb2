package e2e

import (
	"debug/elf"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"authsvc/nginx/nginxtest"
)

const composeFolder = "../examples/compose"

// instruction is a line of a Dockerfile, with those that continue it.
type instruction struct{ name, args string }

func readDockerfile(t *testing.T) []instruction {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(composeFolder, "Dockerfile"))
	check(t, err)
	var all []instruction
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
		if name, args, found := strings.Cut(strings.TrimSpace(line), " "); found && !strings.HasPrefix(name, "#") {
			all = append(all, instruction{name, args})
		}
	}
	return all
}

// image is what the Dockerfile makes, on this machine.
type image struct {
	binary  string
	environ []string
	command []string // ENTRYPOINT and CMD
	health  []string // of HEALTHCHECK
}

// buildImage runs the Dockerfile's build on copies of the files that it copies, and of nothing else.
func buildImage(t *testing.T) image {
	t.Helper()
	source := t.TempDir()
	i := image{binary: filepath.Join(t.TempDir(), "authsvc")}
	list := func(text string) (words []string) {
		check(t, json.Unmarshal([]byte(text), &words))
		return words
	}
	for _, step := range readDockerfile(t) {
		switch words := strings.Fields(step.args); step.name {
		case "COPY":
			if strings.HasPrefix(words[0], "--from=") {
				continue
			}
			for _, name := range words[:len(words)-1] {
				from, to := filepath.Join("..", name), filepath.Join(source, words[len(words)-1])
				if info, err := os.Stat(from); err != nil || info.IsDir() {
					check(t, err)
					check(t, os.CopyFS(to, os.DirFS(from)))
					continue
				}
				text, err := os.ReadFile(from)
				check(t, err)
				check(t, os.WriteFile(filepath.Join(to, name), text, 0o644))
			}
		case "RUN":
			if step.args == "go mod download" { // they are here
				continue
			}
			cmd := exec.Command("sh", "-c", strings.ReplaceAll(step.args, "/out/authsvc", i.binary))
			cmd.Dir, cmd.Env = source, append(environment(), "TARGETARCH="+runtime.GOARCH, "VERSION=v1.2.3", "GOFLAGS=")
			if output, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", step.args, err, output)
			}
		case "ENV":
			i.environ = append(i.environ, words...)
		case "ENTRYPOINT", "CMD":
			i.command = append(i.command, list(step.args)...)
		case "HEALTHCHECK":
			_, command, _ := strings.Cut(step.args, "CMD ")
			i.health = list(command)
		}
	}
	for _, command := range [][]string{i.command, i.health} {
		if len(command) == 0 || command[0] != "/authsvc" {
			t.Fatalf("the image runs %q", command)
		}
		command[0] = i.binary
	}
	return i
}

// composeFile is what the test needs of compose.yaml; e2e/compose reads all of it.
type composeFile struct {
	Services map[string]struct {
		Environment map[string]string
		Volumes     []string
		Secrets     []string
	}
	Secrets map[string]struct{ File string }
}

// TestExampleCompose runs examples/compose without Docker: the image's program in the image's environment, the files where compose.yaml puts
// them, nginx with its file.
func TestExampleCompose(t *testing.T) {
	i := buildImage(t)
	i.needsNothing(t)
	var compose composeFile
	text, err := os.ReadFile(filepath.Join(composeFolder, "compose.yaml"))
	check(t, err)
	check(t, yaml.Unmarshal(text, &compose))
	config, err := os.ReadFile(filepath.Join(composeFolder, "authsvc.yaml"))
	check(t, err)
	secrets := map[string]string{"client-secret": clientSecret, "cookie-secret": newSecret()}
	names := map[string]string{"172.31.41.11:4180": "authsvc-1", "172.31.41.12:4180": "authsvc-2"}

	x := startNginxExample(t, exampleFiles{
		folder: "compose", clientID: "app", cookie: "authsvc", url: "http://localhost:8080", hosts: []string{"localhost"},
		sites:    map[string]map[string]http.Handler{"nginx.conf": {"172.31.42.20:80": exampleApplication("app")}},
		replicas: slices.Sorted(maps.Keys(names)), listen: "8080",
		start: func(s *stack, address string) *replica {
			service, dir := compose.Services[names[address]], t.TempDir()
			for _, name := range service.Secrets {
				if compose.Secrets[name].File != "secrets/"+name {
					t.Errorf("secret %s: %q", name, compose.Secrets[name].File)
				}
				replace(t, filepath.Join(dir, name), secrets[name]+"\n")
			}
			moved := strings.NewReplacer("/run/secrets/", dir+"/", "redis://redis:6379/0", s.redis.URL,
				"https://id.example.com/realms/main", s.provider.Issuer(), "[172.31.41.10]", "[127.0.0.1]").Replace(string(config))
			replace(t, filepath.Join(dir, "authsvc.yaml"), moved)
			if want := []string{"./authsvc.yaml:/etc/authsvc/authsvc.yaml:ro"}; !slices.Equal(service.Volumes, want) {
				t.Errorf("%s mounts %q", names[address], service.Volumes)
			}
			r := &replica{t: t, address: nginxtest.FreeAddress(t), admin: nginxtest.FreeAddress(t)}
			environ := append(environment(), "AUTHSVC_SHUTDOWN_DELAY=0")
			for _, variable := range i.environ {
				here := strings.NewReplacer("0.0.0.0:4180", r.address, "0.0.0.0:4181", r.admin).Replace(variable)
				if here == variable {
					t.Errorf("the image has %s", variable)
				}
				environ = append(environ, here)
			}
			for name, value := range service.Environment {
				environ = append(environ, name+"="+strings.Replace(value, "/etc/authsvc", dir, 1))
			}
			r.command = func() *exec.Cmd {
				cmd := exec.Command(i.command[0], i.command[1:]...)
				cmd.Env = environ
				return cmd
			}
			r.begin()
			r.awaitReady()
			health := exec.Command(i.health[0], i.health[1:]...)
			health.Env = environ
			if output, err := health.CombinedOutput(); err != nil || !strings.HasSuffix(string(output), "\nready\n") {
				t.Errorf("the health check: %v\n%s", err, output)
			}
			return r
		},
	})
	alice := x.visitor("alice")
	alice.signIn()
	answer, err := alice.send(http.MethodGet, "/page", http.Header{"X-Auth-Request-User": {"mallory"}})
	if err != nil || answer.header.Get("X-Application-Saw") != "app alice" {
		t.Errorf("a forged identity: %s, %v", answer, err)
	}
	x.replicas[0].kill()
	for n := range 5 {
		_, err := alice.arrive(fmt.Sprintf("/page?n=%d", n))
		check(t, err)
	}
	x.leave(alice, map[string]string{"http://localhost:8080/page": "app alice"})
}

// needsNothing checks that the program runs in an image that has nothing else, and knows its version.
func (i image) needsNothing(t *testing.T) {
	t.Helper()
	file, err := elf.Open(i.binary)
	check(t, err)
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("the program is linked dynamically: %v", part.Type)
		}
	}
	cmd := exec.Command(i.binary, "version")
	cmd.Env = []string{}
	if output, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(output), "authsvc v1.2.3\n") {
		t.Errorf("version: %v\n%s", err, output)
	}
}

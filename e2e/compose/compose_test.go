// Package compose reads examples/compose/compose.yaml as Docker Compose reads it, with Compose's own loader: a module of its own, so that
// nobody else builds that loader.
package compose

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const folder = "../../examples/compose"

func load(t *testing.T, file string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{file}, cli.WithDiscardEnvFile)
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(t.Context())
}

// TestCompose: the file is right by schema and in itself, and agrees with the files beside it.
func TestCompose(t *testing.T) {
	project, err := load(t, filepath.Join(folder, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	address := func(service, network string) string {
		at := project.Services[service].Networks[network]
		if at == nil || at.Ipv4Address == "" {
			t.Fatalf("%s has no fixed address in %s", service, network)
		}
		return at.Ipv4Address
	}
	for name, service := range project.Services {
		for _, volume := range service.Volumes {
			if _, err := os.Stat(volume.Source); err != nil || !volume.ReadOnly {
				t.Errorf("%s mounts %s, which is not there or can be written to: %v", name, volume.Source, err)
			}
		}
	}

	// Who reaches whom.
	for name, want := range map[string][]string{
		"front": {"authsvc-1", "authsvc-2", "nginx"}, "application": {"application", "nginx"}, "store": {"authsvc-1", "authsvc-2", "redis"},
	} {
		var members []string
		for _, service := range project.Services {
			if _, ok := service.Networks[name]; ok {
				members = append(members, service.Name)
			}
		}
		slices.Sort(members)
		if !slices.Equal(members, want) {
			t.Errorf("network %s has %q, want %q", name, members, want)
		}
		if internal := name != "front"; bool(project.Networks[name].Internal) != internal {
			t.Errorf("network %s: internal is %v", name, !internal)
		}
	}
	for name, service := range project.Services {
		if name != "nginx" && len(service.Ports) > 0 {
			t.Errorf("%s can be reached from outside", name)
		}
	}

	// Four fifths of the memory are Go's.
	for _, name := range []string{"authsvc-1", "authsvc-2"} {
		service := project.Services[name]
		want := fmt.Sprint(int64(service.MemLimit)/(1<<20)*4/5, "MiB")
		if got := service.Environment["GOMEMLIMIT"]; got == nil || *got != want || service.MemLimit == 0 {
			t.Errorf("%s: GOMEMLIMIT of %d bytes is not %s", name, service.MemLimit, want)
		}
	}

	// The addresses that the files beside it name.
	site := read("nginx.conf")
	for _, server := range []string{address("authsvc-1", "front") + ":4180 ", address("authsvc-2", "front") + ":4180 ", address("application", "application") + ":80;"} {
		if strings.Count(site, "    server "+server) != 1 {
			t.Errorf("nginx.conf does not name %s once", server)
		}
	}
	config := read("authsvc.yaml")
	for _, line := range []string{"trusted_proxies: [" + address("nginx", "front") + "]", "redis://redis:6379/0", "/run/secrets/client-secret", "/run/secrets/cookie-secret"} {
		if !strings.Contains(config, line) {
			t.Errorf("authsvc.yaml has no %s", line)
		}
	}

	// A replica can do what it is there for, and is the same as the other.
	one, two := project.Services["authsvc-1"], project.Services["authsvc-2"]
	for _, replica := range []types.ServiceConfig{one, two} {
		if !replica.ReadOnly || !slices.Equal(replica.CapDrop, []string{"ALL"}) || !slices.Contains(replica.SecurityOpt, "no-new-privileges:true") || replica.Image != "authsvc" {
			t.Errorf("%s may do more than it needs", replica.Name)
		}
		for _, secret := range replica.Secrets {
			if secret.Source != "client-secret" && secret.Source != "cookie-secret" || secret.Target != "" && secret.Target != "/run/secrets/"+secret.Source {
				t.Errorf("%s has the secret %s at %s", replica.Name, secret.Source, secret.Target)
			}
		}
		if len(replica.Secrets) != 2 || replica.StopGracePeriod == nil || replica.StopGracePeriod.String() != "40s" {
			t.Errorf("%s: %+v", replica.Name, replica)
		}
	}
}

// TestLoaderIsStrict: a key that Compose does not know, and a network that is not there, are errors.
func TestLoaderIsStrict(t *testing.T) {
	for _, text := range []string{
		"services: {a: {image: b, read_olny: true}}",
		"services: {a: {image: b, networks: [c]}}",
		"services: {a: {image: b, depends_on: [c]}}",
		"services: {a: {image: b, secrets: [c]}}",
	} {
		file := filepath.Join(t.TempDir(), "compose.yaml")
		if err := os.WriteFile(file, []byte("name: x\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := load(t, file); err == nil {
			t.Errorf("%s: nothing is wrong with it", text)
		}
	}
}

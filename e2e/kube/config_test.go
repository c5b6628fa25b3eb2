package kube

import (
	"bytes"
	"encoding/base64"
	"io"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// configText is the configuration file of a rendering, and configOf what it says.
func configText(t *testing.T, r rendering) string {
	t.Helper()
	for _, file := range all[*corev1.ConfigMap](r) {
		if file.Name == r.fullname {
			return file.Data["authsvc.yaml"]
		}
	}
	t.Fatal("no ConfigMap of the configuration")
	return ""
}

func configOf(t *testing.T, r rendering) map[string]any {
	t.Helper()
	var file map[string]any
	if err := yaml.UnmarshalStrict([]byte(configText(t, r)), &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// at returns what stands at a path, nil if nothing does.
func at(file map[string]any, path string) any {
	section, rest, below := strings.Cut(path, ".")
	if !below {
		return file[section]
	}
	next, _ := file[section].(map[string]any)
	return at(next, rest)
}

// program builds authsvc once.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "authsvc-kube-")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "authsvc")
	build := exec.Command("go", "build", "-o", file, "./cmd/authsvc")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", &exec.ExitError{Stderr: out}
	}
	return file, nil
})

func TestMain(m *testing.M) {
	log.SetOutput(io.Discard) // Helm tells there what lint lets pass
	code := m.Run()
	if file, err := program(); err == nil {
		os.RemoveAll(filepath.Dir(file))
	}
	os.Exit(code)
}

// authsvc runs the program as a container of a rendering would: with its variables, and with what its volumes hold below dir. It
// returns what it prints.
func authsvc(t *testing.T, dir string, environ []string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	file, err := program()
	if err != nil {
		t.Fatalf("build authsvc: %v", err)
	}
	command := exec.CommandContext(t.Context(), file, args...)
	command.Dir, command.Env = dir, environ
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	if err := command.Run(); err != nil && command.ProcessState == nil {
		t.Fatal(err)
	}
	return out.String(), complaints.String(), command.ProcessState.ExitCode()
}

// containerHere puts what a container of the pod mounts below a folder, and returns its arguments and variables with the paths of that
// folder. Secrets that are the operator's get a value.
func containerHere(t *testing.T, r rendering, name, dir string) (args, environ []string) {
	t.Helper()
	pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
	c := container(t, pod, name)
	var moved []string
	for _, mount := range c.VolumeMounts {
		moved = append(moved, mount.MountPath, filepath.Join(dir, mount.MountPath))
	}
	here := strings.NewReplacer(moved...)
	for _, mount := range c.VolumeMounts {
		volume := pod.Volumes[slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })]
		for file, text := range volumeFiles(t, r, volume) {
			path := filepath.Join(dir, mount.MountPath, file)
			write(t, path, here.Replace(text))
		}
	}
	for _, arg := range slices.Concat(c.Command, c.Args) {
		args = append(args, here.Replace(arg))
	}
	for _, env := range c.Env {
		value := env.Value
		if env.ValueFrom != nil {
			value = operators(env.ValueFrom.SecretKeyRef.Key)
		}
		environ = append(environ, env.Name+"="+here.Replace(value))
	}
	return args, environ
}

// volumeFiles are the files of a volume.
func volumeFiles(t *testing.T, r rendering, volume corev1.Volume) map[string]string {
	t.Helper()
	files := make(map[string]string)
	switch {
	case volume.ConfigMap != nil:
		for _, object := range all[*corev1.ConfigMap](r) {
			if object.Name == volume.ConfigMap.Name {
				maps.Copy(files, object.Data)
			}
		}
	case volume.Secret != nil:
		for _, key := range []string{"cookie-secret", "client-secret"} {
			files[key] = operators(key)
		}
	case volume.Projected != nil:
		for _, source := range volume.Projected.Sources {
			for _, item := range source.Secret.Items {
				files[item.Path] = operators(item.Path)
				for _, made := range all[*corev1.Secret](r) {
					if made.Name == source.Secret.Name {
						files[item.Path] = string(made.Data[item.Key])
					}
				}
			}
		}
	case volume.CSI != nil:
		for _, file := range []string{"cookie", "client"} {
			files[file] = operators(file)
		}
	}
	return files
}

// operators is what an operator's Secret holds.
func operators(key string) string {
	switch key {
	case "cookie-secret", "cookie":
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))
	case "url":
		return "rediss://redis.example.com:6379/0"
	}
	return "some-secret-that-an-operator-has-made"
}

func write(t *testing.T, path, text string) {
	t.Helper()
	mkdir(t, filepath.Dir(path))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mkdir(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestConfiguration: authsvc takes the file as it is, without a complaint, and finds every secret.
func TestConfiguration(t *testing.T) {
	everyRendering(t, func(t *testing.T, r rendering) {
		dir := t.TempDir()
		args, environ := containerHere(t, r, "authsvc", dir)
		args[0] = "check" // for serve
		if _, stderr, code := authsvc(t, dir, environ, args...); code != 0 || stderr != "" {
			t.Errorf("check: exit code %d: %s\n%s", code, stderr, configText(t, r))
		}
	})
}

// TestIdentityHeaders: the gateways pass on what authsvc says in its effective configuration, all of it and nothing else. Of our names that
// it does not write none is a visitor's.
func TestIdentityHeaders(t *testing.T) {
	for _, file := range []string{"none", "everything"} {
		r := render(t, valueFiles(t)[file])
		dir := t.TempDir()
		_, environ := containerHere(t, r, "authsvc", dir)
		stdout, stderr, code := authsvc(t, dir, environ, "config")
		if code != 0 {
			t.Fatal(stderr)
		}
		var effective struct {
			Headers map[string]string `json:"headers"`
		}
		if err := yaml.Unmarshal([]byte(stdout), &effective); err != nil {
			t.Fatal(err)
		}
		want := slices.Sorted(maps.Keys(effective.Headers))
		if len(want) < 4 {
			t.Fatalf("%s: authsvc writes %q", file, want)
		}
		ours := slices.Sorted(slices.Values(slices.Concat(want, unwritten(want))))
		for gateway, got := range forwarded(t, file) {
			want := want
			if gateway == "ingress-nginx" {
				want = ours // each is set to what the verdict has of that name, which is nothing
			}
			if got = slices.Sorted(slices.Values(got)); !slices.Equal(got, want) {
				t.Errorf("%s: %s passes on %q, and authsvc writes %q", file, gateway, got, want)
			}
		}
		removed := map[string][]string{
			"envoy-gateway": httpRoute(t, through(t, file, "envoy-gateway"), fullname+"-application").Spec.Rules[0].Filters[0].RequestHeaderModifier.Remove,
		}
		for _, set := range regexp.MustCompile(`(?m)^proxy_set_header (\S+) "";`).FindAllStringSubmatch(snippets(t, through(t, file, "gateway-api"))["http.server.location"], -1) {
			removed["gateway-api"] = append(removed["gateway-api"], set[1])
		}
		for gateway, got := range removed {
			if !slices.Equal(got, unwritten(want)) {
				t.Errorf("%s: %s takes out %q, want %q", file, gateway, got, unwritten(want))
			}
		}
		if len(removed) != 2 {
			t.Errorf("%s: %v", file, removed)
		}
	}
}

// unwritten are those of our names that are not among these.
func unwritten(names []string) []string {
	ours := []string{"X-Auth-Request-Access-Token", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Auth-Request-Jwt", "X-Auth-Request-Preferred-Username", "X-Auth-Request-User"}
	return slices.DeleteFunc(ours, func(name string) bool { return slices.Contains(names, name) })
}

// TestStorePrefix: releases and namespaces that share a Redis keep apart.
func TestStorePrefix(t *testing.T) {
	if got := at(configOf(t, render(t, valueFiles(t)["none"])), "store.prefix"); got != "shop-web" {
		t.Errorf("store.prefix is %v", got)
	}
	if got := at(configOf(t, render(t, valueFiles(t)["sidecar-tls"])), "store.prefix"); got != "shop" {
		t.Errorf("store.prefix is %v, and the values say shop", got)
	}
}

// TestGeneratedSecret: one that is made is a secret that authsvc takes, is another each time, and stays when the release goes.
func TestGeneratedSecret(t *testing.T) {
	made := one[*corev1.Secret](t, render(t, valueFiles(t)["none"]))
	again := one[*corev1.Secret](t, render(t, valueFiles(t)["none"]))
	raw, err := base64.StdEncoding.DecodeString(string(made.Data["cookie-secret"]))
	if err != nil || len(raw) != 32 || bytes.Equal(made.Data["cookie-secret"], again.Data["cookie-secret"]) || made.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("%d bytes, %v, %v", len(raw), err, made.Annotations)
	}
	if others := all[*corev1.Secret](render(t, valueFiles(t)["everything"])); len(others) != 0 {
		t.Error("a Secret is made beside the one that exists")
	}
}

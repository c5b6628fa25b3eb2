package kube

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	chartFolder = "../../examples/helm/authsvc"
	namespace   = "shop"
	release     = "web"
	// fullname is what the chart makes of the release's name.
	fullname = "web-authsvc"
)

// rendering is what the chart makes of some values, or the manifests of an example.
type rendering struct {
	fullname string // of what is ours
	objects  []runtime.Object
	notes    string
}

// renderChart renders the chart as "helm install" does, without a cluster. The error is what a person would be told.
func renderChart(values map[string]any) (map[string]string, error) {
	chart, err := loader.Load(chartFolder)
	if err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, nil)
	if err != nil {
		return nil, err
	}
	return engine.Render(chart, all)
}

// render renders the chart and decodes all of it.
func render(t *testing.T, values map[string]any) rendering {
	t.Helper()
	files, err := renderChart(values)
	if err != nil {
		t.Fatal(err)
	}
	var r rendering
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "NOTES.txt") {
			r.notes = files[name]
			continue
		}
		objects, err := decodeAll([]byte(files[name]))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, files[name])
		}
		r.objects = append(r.objects, objects...)
	}
	r.fullname = one[*appsv1.Deployment](t, r).Name
	return r
}

// all returns the objects of one type, and one the only one there is.
func all[T runtime.Object](r rendering) (found []T) {
	for _, object := range r.objects {
		if typed, ok := object.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

func one[T runtime.Object](t *testing.T, r rendering) T {
	t.Helper()
	found := all[T](r)
	if len(found) != 1 {
		t.Fatalf("%d of %T, want one", len(found), *new(T))
	}
	return found[0]
}

// valueFiles are the sets of values that the chart brings along, by their names.
func valueFiles(t *testing.T) map[string]map[string]any {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(chartFolder, "ci", "*-values.yaml"))
	if err != nil || len(paths) < 8 {
		t.Fatalf("value files: %q, %v", paths, err)
	}
	files := make(map[string]map[string]any)
	for _, path := range paths {
		values, err := chartutil.ReadValuesFile(path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		files[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = values
	}
	return files
}

// valuesOf are the values of one of these files with some set anew, by their paths: "config.public_url". The value nil takes one away.
func valuesOf(t *testing.T, file string, changes map[string]any) map[string]any {
	t.Helper()
	values := valueFiles(t)[file]
	for path, value := range changes {
		at := values
		names := strings.Split(path, ".")
		for _, name := range names[:len(names)-1] {
			next, ok := at[name].(map[string]any)
			if !ok {
				next = make(map[string]any)
				at[name] = next
			}
			at = next
		}
		at[names[len(names)-1]] = value
	}
	return values
}

// documents parts a file at its separators.
func documents(text []byte) (parts [][]byte) {
	for part := range bytes.SplitSeq(append([]byte("\n"), text...), []byte("\n---")) {
		if hasContent(part) {
			parts = append(parts, part)
		}
	}
	return parts
}

// hasContent tells whether there is anything but comments.
func hasContent(document []byte) bool {
	for line := range bytes.Lines(document) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// manifests are the examples without the chart, by their folders and what stands in front.
func manifests(t *testing.T) map[string]rendering {
	t.Helper()
	all := make(map[string]rendering)
	for _, name := range []string{"ingress-nginx/ingress", "gateway-api/nginx-gateway-fabric", "gateway-api/envoy-gateway"} {
		folder := filepath.Join("../../examples", filepath.Dir(name))
		r := rendering{fullname: "authsvc"}
		for _, file := range []string{"authsvc", filepath.Base(name)} {
			objects, err := decodeAll(readFile(t, filepath.Join(folder, file+".yaml")))
			if err != nil {
				t.Fatalf("%s, %s.yaml: %v", folder, file, err)
			}
			r.objects = append(r.objects, objects...)
		}
		all[name] = r
	}
	return all
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

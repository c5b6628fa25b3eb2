//go:build apiserver

package kube

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// restricted is a namespace in which Pod Security admission enforces the profile "restricted".
const restricted = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
`

// important is the class that a value file names; Priority admission refuses a pod of a class that is not there.
const important = `apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: important}
value: 1000
`

// TestInstall installs and upgrades the chart with each of its value files, where kube-apiserver looks at every object.
func TestInstall(t *testing.T) {
	c := newCluster(t)
	c.create("/api/v1/namespaces", []byte(restricted))
	c.create("/apis/scheduling.k8s.io/v1/priorityclasses", []byte(important))
	c.customKinds()
	if status, text := c.ask(http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All", podOf(t, corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}})); status != http.StatusForbidden || !bytes.Contains(text, []byte("restricted")) {
		t.Fatalf("a pod that says nothing of security: %d %s; want it refused", status, text)
	}
	for name := range valueFiles(t) {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			file := filepath.Join(chartFolder, "ci", name+"-values.yaml")
			args := []string{"upgrade", "--install", name, chartFolder, "--namespace", "shop", "--values", file}
			if out := c.helm(args...); !strings.Contains(out, "STATUS: deployed") || !strings.Contains(out, "authsvc 0.1.0 is at https://") {
				t.Errorf("helm says:\n%s", out)
			}
			fullname := name + "-authsvc"
			before := c.deployment(fullname)
			if status, text := c.ask(http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All", podOf(t, before.Spec.Template)); status != http.StatusCreated {
				t.Errorf("its pod: %d %s", status, text)
			}
			var secret, after corev1.Secret
			generated := c.get("/api/v1/namespaces/shop/secrets/"+fullname+"-cookie", &secret)
			if want := name != "everything" && name != "sidecar-tls"; generated != want {
				t.Errorf("a cookie secret is made: %v", generated)
			}

			c.helm(append(args, "--set", "config.session.idle_timeout=20m", "--set", "podLabels.changed=yes")...)
			changed := c.deployment(fullname)
			if changed.Generation <= before.Generation || changed.Spec.Template.Annotations["checksum/config"] == before.Spec.Template.Annotations["checksum/config"] {
				t.Error("an upgrade with another configuration replaces no pods")
			}
			c.helm("uninstall", name, "--namespace", "shop")
			if c.get("/apis/apps/v1/namespaces/shop/deployments/"+fullname, new(appsv1.Deployment)) {
				t.Error("the Deployment is left")
			}
			if !generated {
				return
			}
			if !c.get("/api/v1/namespaces/shop/secrets/"+fullname+"-cookie", &after) || !bytes.Equal(after.Data["cookie-secret"], secret.Data["cookie-secret"]) || len(secret.Data["cookie-secret"]) == 0 {
				t.Errorf("the cookie secret does not stay: %d bytes, then %d", len(secret.Data["cookie-secret"]), len(after.Data["cookie-secret"]))
			}
			// And is taken up again.
			c.helm(args...)
			if c.get("/api/v1/namespaces/shop/secrets/"+fullname+"-cookie", &after); !bytes.Equal(after.Data["cookie-secret"], secret.Data["cookie-secret"]) {
				t.Error("a second install makes another cookie secret")
			}
		})
	}
}

// TestManifests gives the API what "kubectl apply" of the examples would.
func TestManifests(t *testing.T) {
	c := newCluster(t)
	c.create("/api/v1/namespaces", []byte(restricted))
	c.customKinds()
	for name, r := range manifests(t) {
		for _, object := range r.objects {
			text, err := yaml.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			kind := object.GetObjectKind().GroupVersionKind()
			plural, _ := apimeta.UnsafeGuessKindToResource(kind)
			path := fmt.Sprintf("/apis/%s/%s/namespaces/shop/%s", kind.Group, kind.Version, plural.Resource)
			if kind.Group == "" {
				path = fmt.Sprintf("/api/%s/namespaces/shop/%s", kind.Version, plural.Resource)
			}
			if status, answer := c.ask(http.MethodPost, path+"?dryRun=All&fieldValidation=Strict", text); status != http.StatusCreated {
				t.Errorf("%s: %s %s: %d %s", name, kind.Kind, meta(object).GetName(), status, answer)
			}
		}
		if status, text := c.ask(http.MethodPost, "/api/v1/namespaces/shop/pods?dryRun=All", podOf(t, one[*appsv1.Deployment](t, r).Spec.Template)); status != http.StatusCreated {
			t.Errorf("%s: its pod: %d %s", name, status, text)
		}
	}
}

func (c *cluster) deployment(name string) (d appsv1.Deployment) {
	c.t.Helper()
	if !c.get("/apis/apps/v1/namespaces/shop/deployments/"+name, &d) {
		c.t.Fatalf("no Deployment %s", name)
	}
	return d
}

// podOf is the pod that a controller would make of a template.
func podOf(t *testing.T, template corev1.PodTemplateSpec) []byte {
	t.Helper()
	pod := corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name = "pod"
	text, err := yaml.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

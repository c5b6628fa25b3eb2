package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// everyRendering runs a test on the rendering of each of the chart's value files, and on the manifests beside it.
func everyRendering(t *testing.T, test func(t *testing.T, r rendering)) {
	for name, r := range manifests(t) {
		t.Run(name, func(t *testing.T) { test(t, r) })
	}
	for name, values := range valueFiles(t) {
		t.Run(name, func(t *testing.T) { test(t, render(t, values)) })
	}
}

// containers are all of a pod's, those that run once among them.
func containers(pod corev1.PodSpec) []corev1.Container {
	return slices.Concat(pod.InitContainers, pod.Containers)
}

func container(t *testing.T, pod corev1.PodSpec, name string) corev1.Container {
	t.Helper()
	for _, c := range containers(pod) {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return corev1.Container{}
}

// portOf finds a container's port by its name or its number, 0 if there is none.
func portOf(containers []corev1.Container, port intstr.IntOrString) int32 {
	for _, c := range containers {
		for _, p := range c.Ports {
			if p.Name == port.StrVal && port.Type == intstr.String || p.ContainerPort == port.IntVal && port.Type == intstr.Int {
				return p.ContainerPort
			}
		}
	}
	return 0
}

// TestPorts: probes, Services and policies lead to ports that somebody listens on.
func TestPorts(t *testing.T) {
	everyRendering(t, func(t *testing.T, r rendering) {
		pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
		file := configOf(t, r)
		own := container(t, pod, "authsvc")
		for name, key := range map[string]string{"authsvc": "listen", "admin": "admin_listen"} {
			port := portOf([]corev1.Container{own}, intstr.FromString(name))
			if want := fmt.Sprintf("0.0.0.0:%d", port); file[key] != want {
				t.Errorf("port %s: the configuration says %s: %v, want %s", name, key, file[key], want)
			}
		}
		for probe, path := range map[*corev1.Probe]string{own.LivenessProbe: "/livez", own.ReadinessProbe: "/readyz"} {
			if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port.StrVal != "admin" {
				t.Errorf("probe %s: %+v", path, probe)
			}
		}
		gate := "authsvc" // where visitors, or the gateway, come in
		if len(pod.Containers) > 1 {
			gate = "http"
		}
		for _, service := range all[*corev1.Service](r) {
			want := gate
			if service.Name == r.fullname+"-admin" {
				want = "admin"
			}
			for _, port := range service.Spec.Ports {
				if port.TargetPort.StrVal != want || portOf(containers(pod), port.TargetPort) == 0 {
					t.Errorf("Service %s: port %s leads to %s, want %s", service.Name, port.Name, port.TargetPort.String(), want)
				}
			}
			if service.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
				t.Errorf("Service %s is sticky", service.Name)
			}
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](r) {
			for i, rule := range policy.Spec.Ingress {
				want := []string{gate, "admin"}[i]
				if len(rule.From) == 0 || len(rule.Ports) != 1 || rule.Ports[0].Port.StrVal != want {
					t.Errorf("NetworkPolicy: rule %d: %+v, want port %s for somebody", i, rule, want)
				}
			}
		}
	})
}

// TestSelectors: whatever selects pods selects ours.
func TestSelectors(t *testing.T) {
	everyRendering(t, func(t *testing.T, r rendering) {
		deployment := one[*appsv1.Deployment](t, r)
		selectors := map[string]*metav1.LabelSelector{"Deployment": deployment.Spec.Selector}
		for _, service := range all[*corev1.Service](r) {
			selectors["Service "+service.Name] = &metav1.LabelSelector{MatchLabels: service.Spec.Selector}
		}
		for _, budget := range all[*policyv1.PodDisruptionBudget](r) {
			selectors["PodDisruptionBudget"] = budget.Spec.Selector
		}
		for _, policy := range all[*networkingv1.NetworkPolicy](r) {
			selectors["NetworkPolicy"] = &policy.Spec.PodSelector
		}
		for _, constraint := range deployment.Spec.Template.Spec.TopologySpreadConstraints {
			selectors["topology "+constraint.TopologyKey] = constraint.LabelSelector
		}
		if len(selectors) < 4 {
			t.Errorf("only %v select anything", slices.Collect(maps.Keys(selectors)))
		}
		for who, selector := range selectors {
			matches, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil || matches.Empty() || !matches.Matches(labels.Set(deployment.Spec.Template.Labels)) {
				t.Errorf("%s selects %v: %v", who, selector, err)
			}
		}
		for _, scaler := range all[*autoscalingv2.HorizontalPodAutoscaler](r) {
			if scaler.Spec.ScaleTargetRef.Name != deployment.Name || deployment.Spec.Replicas != nil {
				t.Errorf("the autoscaler scales %+v, and the Deployment says %v replicas", scaler.Spec.ScaleTargetRef, deployment.Spec.Replicas)
			}
		}
		for _, monitor := range all[*serviceMonitor](r) {
			matches, err := metav1.LabelSelectorAsSelector(&monitor.Spec.Selector)
			found := 0
			for _, service := range all[*corev1.Service](r) {
				if err == nil && matches.Matches(labels.Set(service.Labels)) {
					found++
					if service.Spec.Ports[0].Name != monitor.Spec.Endpoints[0].Port {
						t.Errorf("ServiceMonitor: %+v", monitor.Spec.Endpoints)
					}
				}
			}
			if found != 1 {
				t.Errorf("the ServiceMonitor finds %d Services, %v", found, err)
			}
		}
	})
}

// TestVolumes: each mount has its volume and each volume a mount, and what a volume takes is there or is the operator's.
func TestVolumes(t *testing.T) {
	theirs := []string{"authsvc", "app-client", "app-cookie", "app-admin", "app-tls", "redis", "roots", "staff-client", "customers-client"}
	everyRendering(t, func(t *testing.T, r rendering) {
		pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
		mounted := make(map[string]bool)
		for _, c := range containers(pod) {
			for _, mount := range c.VolumeMounts {
				mounted[mount.Name] = true
				if mount.SubPath != "" {
					t.Errorf("%s: %s is mounted by a subPath, which never changes", c.Name, mount.Name)
				}
				if !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
					t.Errorf("%s mounts %s, which is no volume", c.Name, mount.Name)
				}
			}
		}
		made := slices.Clone(theirs)
		for _, object := range r.objects {
			made = append(made, meta(object).GetName())
		}
		for _, volume := range pod.Volumes {
			if !mounted[volume.Name] {
				t.Errorf("volume %s is mounted nowhere", volume.Name)
			}
			var from []string
			if volume.ConfigMap != nil {
				from = append(from, volume.ConfigMap.Name)
			}
			if volume.Secret != nil {
				from = append(from, volume.Secret.SecretName)
			}
			if volume.Projected != nil {
				for _, source := range volume.Projected.Sources {
					from = append(from, source.Secret.Name)
				}
			}
			for _, name := range from {
				if !slices.Contains(made, name) {
					t.Errorf("volume %s takes %s, which nobody makes", volume.Name, name)
				}
			}
		}
	})
}

// TestPodSecurity is the profile "restricted" of the Pod Security Standards, and what is ours beyond it.
func TestPodSecurity(t *testing.T) {
	everyRendering(t, func(t *testing.T, r rendering) {
		deployment := one[*appsv1.Deployment](t, r)
		pod := deployment.Spec.Template.Spec
		if pod.HostNetwork || pod.HostPID || pod.HostIPC || pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || !*pod.SecurityContext.RunAsNonRoot {
			t.Errorf("pod: %+v", pod.SecurityContext)
		}
		if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken || pod.EnableServiceLinks == nil || *pod.EnableServiceLinks {
			t.Error("the pod gets a token of the cluster, or links to services")
		}
		for _, volume := range pod.Volumes {
			if volume.HostPath != nil {
				t.Errorf("volume %s is the node's", volume.Name)
			}
		}
		for _, c := range containers(pod) {
			s := c.SecurityContext
			if s == nil || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}) || s.Capabilities.Add != nil {
				t.Errorf("%s: %+v", c.Name, s)
			}
			if c.Name == "application" {
				continue
			}
			if s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.RunAsUser == nil || *s.RunAsUser == 0 {
				t.Errorf("%s: %+v", c.Name, s)
			}
			if c.Resources.Requests.Memory().IsZero() || c.Resources.Limits.Memory().IsZero() {
				t.Errorf("%s says no resources", c.Name)
			}
			if c.Name == "authsvc" {
				limit := slices.IndexFunc(c.Env, func(v corev1.EnvVar) bool { return v.Name == "GOMEMLIMIT" })
				if want := fmt.Sprintf("%dMiB", c.Resources.Limits.Memory().Value()>>20*4/5); limit < 0 || c.Env[limit].Value != want {
					t.Errorf("GOMEMLIMIT is not %s: %+v", want, c.Env)
				}
			}
		}
		for _, account := range all[*corev1.ServiceAccount](r) {
			if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
				t.Error("the ServiceAccount hands out tokens")
			}
		}
	})
}

// TestOwnMemoryLimit: what env says of GOMEMLIMIT stands in the place of what the chart would: no name may stand twice.
func TestOwnMemoryLimit(t *testing.T) {
	for _, file := range []string{"none", "nginx-sidecar"} {
		r := render(t, valuesOf(t, file, map[string]any{"env": []any{map[string]any{"name": "GOMEMLIMIT", "value": "100MiB"}}}))
		var got []string
		for _, v := range container(t, one[*appsv1.Deployment](t, r).Spec.Template.Spec, "authsvc").Env {
			if v.Name == "GOMEMLIMIT" {
				got = append(got, v.Value)
			}
		}
		if !slices.Equal(got, []string{"100MiB"}) {
			t.Errorf("%s: GOMEMLIMIT is %q", file, got)
		}
	}
}

// TestNoSecretInTheOpen: secrets come as files, or by reference; none stands in a variable, an argument or a ConfigMap.
func TestNoSecretInTheOpen(t *testing.T) {
	everyRendering(t, func(t *testing.T, r rendering) {
		pod := one[*appsv1.Deployment](t, r).Spec.Template.Spec
		own := container(t, pod, "authsvc")
		for _, env := range own.Env {
			if strings.HasPrefix(env.Name, "AUTHSVC_") && env.Name != "AUTHSVC_CONFIG" && env.ValueFrom == nil {
				t.Errorf("variable %s = %q", env.Name, env.Value)
			}
		}
		file := configOf(t, r)
		for _, path := range []string{"cookie.secret", "oidc.client_secret", "store.password", "admin_token"} {
			if at(file, path) != nil {
				t.Errorf("%s stands in the ConfigMap", path)
			}
		}
	})
}

// TestRollout: a pod has the time that its service takes to leave, and none leaves before its successor is there.
func TestRollout(t *testing.T) {
	for _, test := range []struct {
		file           string
		delay, timeout string
		grace          int64
	}{
		{"none", "5s", "25s", 35},
		{"everything", "10s", "20s", 35},
		{"nginx-sidecar", "0s", "25s", 35}, // nginx in front of it waits
	} {
		r := render(t, valueFiles(t)[test.file])
		deployment := one[*appsv1.Deployment](t, r)
		file := configOf(t, r)
		if at(file, "shutdown.delay") != test.delay || at(file, "shutdown.timeout") != test.timeout || *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds != test.grace {
			t.Errorf("%s: %v, and the pod gets %d s", test.file, file["shutdown"], *deployment.Spec.Template.Spec.TerminationGracePeriodSeconds)
		}
		if rolling := deployment.Spec.Strategy.RollingUpdate; rolling.MaxUnavailable.IntVal != 0 || rolling.MaxSurge.IntVal != 1 {
			t.Errorf("%s: %+v", test.file, rolling)
		}
	}
	sidecar := one[*appsv1.Deployment](t, render(t, valueFiles(t)["nginx-sidecar"])).Spec.Template.Spec
	if own := container(t, sidecar, "authsvc"); own.RestartPolicy == nil || *own.RestartPolicy != corev1.ContainerRestartPolicyAlways {
		t.Error("authsvc is no sidecar: it would leave before nginx has answered")
	}
	if wait := container(t, sidecar, "nginx").Lifecycle.PreStop.Sleep; wait.Seconds != 5 {
		t.Errorf("nginx leaves after %d s", wait.Seconds)
	}
}

// TestChecksum: pods are replaced when their configuration changes, and not when something else does.
func TestChecksum(t *testing.T) {
	sum := func(changes map[string]any) string {
		return one[*appsv1.Deployment](t, render(t, valuesOf(t, "none", changes))).Spec.Template.Annotations["checksum/config"]
	}
	before := sum(nil)
	if before == "" || before != sum(map[string]any{"replicas": 3}) || before == sum(map[string]any{"config.session.idle_timeout": "20m"}) {
		t.Errorf("checksum %q", before)
	}
}

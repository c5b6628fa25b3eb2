package kube

import (
	"testing"

	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
)

// TestLint is "helm lint --strict" with the default values and with each of the chart's value files.
func TestLint(t *testing.T) {
	sets := valueFiles(t)
	sets["default"] = nil
	for name, values := range sets {
		t.Run(name, func(t *testing.T) {
			for _, message := range lint.All(chartFolder, values, namespace, true).Messages {
				if message.Severity > support.InfoSev {
					t.Error(message)
				}
			}
		})
	}
}

// TestRender: every document of every set of values is one that Kubernetes takes.
func TestRender(t *testing.T) {
	for name, values := range valueFiles(t) {
		t.Run(name, func(t *testing.T) {
			if r := render(t, values); len(r.objects) < 5 || r.notes == "" {
				t.Errorf("%d objects, notes %q", len(r.objects), r.notes)
			}
		})
	}
}

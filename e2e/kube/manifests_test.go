package kube

import (
	"bytes"
	"maps"
	"reflect"
	"testing"

	networkingv1 "k8s.io/api/networking/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// TestManifestsAreTheCharts: what the examples say to a gateway is what the chart says for the same configuration. The rest of them is
// looked at where the chart's renderings are.
func TestManifestsAreTheCharts(t *testing.T) {
	for name, file := range map[string]string{"ingress-nginx/ingress": "ingress-nginx", "gateway-api/nginx-gateway-fabric": "gateway-api", "gateway-api/envoy-gateway": "envoy-gateway"} {
		t.Run(name, func(t *testing.T) {
			values := valuesOf(t, file, map[string]any{"fullnameOverride": "authsvc"})
			example, chart := gatewayObjects(manifests(t)[name]), gatewayObjects(render(t, values))
			if len(example) < 2 || len(example) != len(chart) {
				t.Errorf("the example has %d objects, the chart %d", len(example), len(chart))
			}
			for object, want := range chart {
				if got := example[object]; !reflect.DeepEqual(got, want) {
					t.Errorf("%s: the example says\n%+v\nand the chart\n%+v", object, got, want)
				}
			}
			if chartConfig, exampleConfig := configOf(t, render(t, values)), configOf(t, manifests(t)[name]); !reflect.DeepEqual(without(chartConfig, "shutdown", "store"), without(exampleConfig, "store")) {
				t.Errorf("the example's configuration is\n%v\nand the chart's\n%v", exampleConfig, chartConfig)
			}
		})
	}
}

// gatewayObjects are the parts that a gateway reads of its objects, by kind and name.
func gatewayObjects(r rendering) map[string]any {
	found := make(map[string]any)
	for _, object := range r.objects {
		name := object.GetObjectKind().GroupVersionKind().Kind + " " + meta(object).GetName()
		switch o := object.(type) {
		case *networkingv1.Ingress:
			found[name] = []any{o.Annotations, o.Spec}
		case *gatewayv1.HTTPRoute:
			found[name] = o.Spec
		case *snippetsFilter:
			found[name] = o.Spec
		case *securityPolicy:
			found[name] = o.Spec
		}
	}
	return found
}

func without(file map[string]any, keys ...string) map[string]any {
	file = maps.Clone(file)
	for _, key := range keys {
		delete(file, key)
	}
	return file
}

// TestTheServiceIsTheSame: both folders bring the same authsvc.
func TestTheServiceIsTheSame(t *testing.T) {
	if !bytes.Equal(readFile(t, "../../examples/ingress-nginx/authsvc.yaml"), readFile(t, "../../examples/gateway-api/authsvc.yaml")) {
		t.Error("authsvc.yaml differs in examples/ingress-nginx and examples/gateway-api")
	}
}

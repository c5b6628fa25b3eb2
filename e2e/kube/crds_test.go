package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// What follows is the part of others' custom resources that we use, with the names and shapes of their references. What is not here
// does not decode.

// middleware is Traefik's Middleware, traefik.io/v1alpha1 (doc.traefik.io, ForwardAuth).
type middleware struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		ForwardAuth *struct {
			Address                  string   `json:"address"`
			TrustForwardHeader       *bool    `json:"trustForwardHeader"`
			AuthResponseHeaders      []string `json:"authResponseHeaders"`
			AuthResponseHeadersRegex string   `json:"authResponseHeadersRegex"`
			MaxResponseBodySize      *int64   `json:"maxResponseBodySize"`
		} `json:"forwardAuth"`
		Headers *struct {
			CustomRequestHeaders map[string]string `json:"customRequestHeaders"`
		} `json:"headers"`
	} `json:"spec"`
}

// ingressRoute is Traefik's IngressRoute, traefik.io/v1alpha1.
type ingressRoute struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		EntryPoints []string `json:"entryPoints"`
		Routes      []struct {
			Kind        string          `json:"kind"`
			Match       string          `json:"match"`
			Priority    int             `json:"priority"`
			Middlewares []reference     `json:"middlewares"`
			Services    []traefikTarget `json:"services"`
		} `json:"routes"`
		TLS *struct {
			SecretName string `json:"secretName"`
		} `json:"tls"`
	} `json:"spec"`
}

type reference struct {
	Name string `json:"name"`
}

type traefikTarget struct {
	Name string             `json:"name"`
	Port intstr.IntOrString `json:"port"`
}

// snippetsFilter is NGINX Gateway Fabric's SnippetsFilter, gateway.nginx.org/v1alpha1.
type snippetsFilter struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Snippets []struct {
			Context string `json:"context"`
			Value   string `json:"value"`
		} `json:"snippets"`
	} `json:"spec"`
}

// securityPolicy is Envoy Gateway's SecurityPolicy, gateway.envoyproxy.io/v1alpha1 (v1.9).
type securityPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		TargetRefs []gatewayv1.LocalPolicyTargetReference `json:"targetRefs"`
		ExtAuth    struct {
			HeadersToExtAuth []string            `json:"headersToExtAuth"`
			FailOpen         *bool               `json:"failOpen"`
			StatusOnError    *int32              `json:"statusOnError"`
			Timeout          *gatewayv1.Duration `json:"timeout"`
			HTTP             struct {
				BackendRefs      []gatewayv1.BackendObjectReference `json:"backendRefs"`
				Path             string                             `json:"path"`
				HeadersToBackend []string                           `json:"headersToBackend"`
			} `json:"http"`
		} `json:"extAuth"`
	} `json:"spec"`
}

// serviceMonitor is the Prometheus operator's ServiceMonitor, monitoring.coreos.com/v1.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Path     string `json:"path"`
			Interval string `json:"interval"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// Nothing here is changed, so a copy is the same object.
func (o *middleware) DeepCopyObject() runtime.Object     { return o }
func (o *ingressRoute) DeepCopyObject() runtime.Object   { return o }
func (o *snippetsFilter) DeepCopyObject() runtime.Object { return o }
func (o *securityPolicy) DeepCopyObject() runtime.Object { return o }
func (o *serviceMonitor) DeepCopyObject() runtime.Object { return o }

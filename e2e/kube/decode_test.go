package kube

import (
	"errors"
	"fmt"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// types knows everything that we ship, and nothing else decodes.
var types = func() *runtime.Scheme {
	types := runtime.NewScheme()
	add := func(group, version, kind string, object runtime.Object) {
		types.AddKnownTypeWithName(schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, object)
	}
	if err := scheme.AddToScheme(types); err != nil {
		panic(err)
	}
	if err := gatewayv1.Install(types); err != nil {
		panic(err)
	}
	add("traefik.io", "v1alpha1", "Middleware", &middleware{})
	add("traefik.io", "v1alpha1", "IngressRoute", &ingressRoute{})
	add("gateway.nginx.org", "v1alpha1", "SnippetsFilter", &snippetsFilter{})
	add("gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy", &securityPolicy{})
	add("monitoring.coreos.com", "v1", "ServiceMonitor", &serviceMonitor{})
	return types
}()

var decoder = serializer.NewCodecFactory(types, serializer.EnableStrict).UniversalDeserializer()

// decodeAll decodes every document of a file; a kind or a field that does not exist is an error.
func decodeAll(text []byte) (objects []runtime.Object, err error) {
	for _, document := range documents(text) {
		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}
		if meta(object).GetName() == "" {
			return nil, errors.New("an object has no name")
		}
		objects = append(objects, object)
	}
	return objects, nil
}

func meta(object runtime.Object) metav1.Object {
	accessor, err := apimeta.Accessor(object)
	if err != nil {
		panic(fmt.Sprintf("%T: %v", object, err))
	}
	return accessor
}

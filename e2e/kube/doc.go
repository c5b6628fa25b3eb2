// Package kube tests what is shipped for Kubernetes: the chart in examples/helm/authsvc and the manifests beside it. Renderings are made
// with Helm's own packages and decoded strictly with the Kubernetes types, so that a field which does not exist is an error; what
// decodes is then looked at: do ports, volumes, selectors, configuration and secrets fit each other, and does authsvc take the file.
//
// It is a module of its own because of what Helm and Kubernetes bring with them, and imports nothing of authsvc; it runs the program.
package kube

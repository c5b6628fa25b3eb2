package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"authsvc/nginx/nginxtest"
)

const envoyFile, envoyModel = "../examples/envoy/envoy.yaml", "extauthz"

// envoyContract is examples/envoy played by a model of what Envoy's documentation says of ext_authz: Envoy itself is not at hand. The model
// takes its behaviour from the file, and refuses what Envoy's own types do not know.
var envoyContract = gateway{"envoy-contract", func(t *testing.T, address string, replicas []string, app, _ string) {
	t.Helper()
	for _, file := range []string{"main.go", "recipe.go", "player.go", "authorize.go", "upstream.go", "go.mod"} {
		_, err := os.Stat(filepath.Join(envoyModel, file)) // so that go test does not take a result from before they changed
		check(t, err)
	}
	model, err := buildEnvoyModel()
	check(t, err)
	file := filepath.Join(t.TempDir(), "envoy.yaml")
	checks := nginxtest.FreeAddress(t)
	moved := map[string]string{"http://127.0.0.1:4179": "http://" + checks}
	for from, to := range map[string]string{"8080": address, "3000": app, "4180": replicas[0], "4182": replicas[1]} {
		moved[socketAddress("127.0.0.1:"+from)] = socketAddress(to)
	}
	moved["address: { socket_address: "+socketAddress("127.0.0.1:4179")+" }\n      filter_chains:"] = "address: { socket_address: " + socketAddress(checks) + " }\n      filter_chains:"
	moved["endpoint: { address: { socket_address: "+socketAddress("127.0.0.1:4179")] = "endpoint: { address: { socket_address: " + socketAddress(checks)
	// Envoy's patience is for machines that do nothing else; here a late verdict would be none.
	moved["cluster: check, timeout: 0.2s"] = "cluster: check, timeout: 5s"
	moved["cluster: authsvc\n                            timeout: 0.2s"] = "cluster: authsvc\n                            timeout: 5s"
	for _, name := range []string{"check", "authsvc"} {
		moved["- name: "+name+"\n      connect_timeout: 0.1s"] = "- name: " + name + "\n      connect_timeout: 5s"
	}
	moveExample(t, envoyFile, file, moved)
	startGateway(t, address, model, []string{file})
}, gatewayDiffers{passesOurCookie: true, obeysConnection: true, narrowsByRules: true}}

func socketAddress(address string) string {
	return fmt.Sprintf("{ address: 127.0.0.1, port_value: %s }", address[len("127.0.0.1:"):])
}

// buildEnvoyModel builds the model, which has a module of its own for Envoy's types.
var buildEnvoyModel = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(program), "extauthz")
	cmd := exec.Command("go", "build", "-o", file, ".")
	cmd.Dir = envoyModel
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the model of ext_authz: %w\n%s", err, output)
	}
	return file, nil
})

//go:build apiserver

package kube

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	helmProgram      = flag.String("helm", "../../bin/helm", "the helm program")
	apiserverProgram = flag.String("apiserver", "../../bin/kube-apiserver", "the kube-apiserver program")
)

// cluster is etcd and kube-apiserver: everything that looks at an object before it is kept, and nothing that acts on one.
type cluster struct {
	t          *testing.T
	address    string // https://127.0.0.1:port
	token      string
	kubeconfig string
	helmHome   string
	client     *http.Client
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	dir := t.TempDir()
	etcd, peer, api := freeAddress(t), freeAddress(t), freeAddress(t)
	start(t, etcd, os.Environ(), "etcd", "--data-dir="+filepath.Join(dir, "etcd"), "--listen-client-urls=http://"+etcd, "--advertise-client-urls=http://"+etcd,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=default=http://"+peer)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{t: t, address: "https://" + api, token: rand.Text(), kubeconfig: filepath.Join(dir, "kubeconfig"), helmHome: filepath.Join(dir, "helm")}
	write(t, filepath.Join(dir, "accounts.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	write(t, filepath.Join(dir, "tokens.csv"), c.token+`,admin,admin,"system:masters"`+"\n")
	write(t, c.kubeconfig, fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: %q, insecure-skip-tls-verify: true}}]
users: [{name: test, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: test}}]
`, c.address, c.token))
	_, port, _ := strings.Cut(api, ":")
	start(t, api, os.Environ(), *apiserverProgram, "--etcd-servers=http://"+etcd, "--bind-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+filepath.Join(dir, "certificates"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+filepath.Join(dir, "accounts.pem"),
		"--service-account-signing-key-file="+filepath.Join(dir, "accounts.pem"), "--service-cluster-ip-range=10.96.0.0/16", "--token-auth-file="+filepath.Join(dir, "tokens.csv"),
		"--authorization-mode=RBAC", "--endpoint-reconciler-type=none",
		// Nothing makes accounts here: that is a controller's work.
		"--disable-admission-plugins=ServiceAccount")
	c.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} // it has signed its certificate itself
	t.Cleanup(c.client.CloseIdleConnections)
	c.await("/readyz")
	return c
}

// await waits until a path answers with 200.
func (c *cluster) await(path string) {
	c.t.Helper()
	var status int
	var body []byte
	for deadline := time.Now().Add(2 * patience); time.Now().Before(deadline); {
		if status, body = c.ask(http.MethodGet, path, nil); status == http.StatusOK {
			return
		}
		select {
		case <-c.t.Context().Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	c.t.Fatalf("%s: %d %s", path, status, body)
}

// ask asks the API. The body may be YAML.
func (c *cluster) ask(method, path string, body []byte) (int, []byte) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.address+path, bytes.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+c.token)
	request.Header.Set("Content-Type", "application/yaml")
	request.Header.Set("Accept", "application/json")
	answer, err := c.client.Do(request)
	if err != nil {
		return 0, []byte(err.Error())
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer.StatusCode, text
}

// create makes an object, or fails the test.
func (c *cluster) create(path string, body []byte) {
	c.t.Helper()
	if status, text := c.ask(http.MethodPost, path, body); status != http.StatusCreated {
		c.t.Fatalf("POST %s: %d %s", path, status, text)
	}
}

// get reads an object into what is pointed at, and tells whether it is there.
func (c *cluster) get(path string, into any) bool {
	c.t.Helper()
	status, text := c.ask(http.MethodGet, path, nil)
	if status == http.StatusNotFound {
		return false
	}
	if status != http.StatusOK {
		c.t.Fatalf("GET %s: %d %s", path, status, text)
	}
	if err := json.Unmarshal(text, into); err != nil {
		c.t.Fatal(err)
	}
	return true
}

// helm runs helm, or fails the test, and returns what it prints.
func (c *cluster) helm(args ...string) string {
	c.t.Helper()
	command := exec.CommandContext(c.t.Context(), *helmProgram, args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig, "HELM_CACHE_HOME="+c.helmHome, "HELM_CONFIG_HOME="+c.helmHome, "HELM_DATA_HOME="+c.helmHome)
	out, err := command.CombinedOutput()
	if err != nil {
		c.t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if strings.Contains(string(out), "Warning: ") || strings.Contains(string(out), "would violate") {
		c.t.Errorf("helm %s: %s", strings.Join(args, " "), out)
	}
	return string(out)
}

// customKinds makes the kinds of others known: Gateway API with the definitions of its own module, which look at every field; the rest by
// name alone, since their fields have been looked at when they were decoded.
func (c *cluster) customKinds() {
	c.t.Helper()
	module, err := exec.CommandContext(c.t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/gateway-api").Output()
	if err != nil {
		c.t.Fatal(err)
	}
	const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
	c.create(definitions, readFile(c.t, filepath.Join(strings.TrimSpace(string(module)), "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml")))
	for _, kind := range []struct{ group, version, kind, plural string }{
		{"traefik.io", "v1alpha1", "Middleware", "middlewares"},
		{"traefik.io", "v1alpha1", "IngressRoute", "ingressroutes"},
		{"gateway.nginx.org", "v1alpha1", "SnippetsFilter", "snippetsfilters"},
		{"gateway.envoyproxy.io", "v1alpha1", "SecurityPolicy", "securitypolicies"},
		{"monitoring.coreos.com", "v1", "ServiceMonitor", "servicemonitors"},
	} {
		c.create(definitions, fmt.Appendf(nil, `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[4]s.%[1]s}
spec:
  group: %[1]s
  scope: Namespaced
  names: {kind: %[3]s, plural: %[4]s}
  versions:
    - name: %[2]s
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`, kind.group, kind.version, kind.kind, kind.plural))
		c.await(fmt.Sprintf("/apis/%s/%s/%s", kind.group, kind.version, kind.plural))
	}
	c.await("/apis/gateway.networking.k8s.io/v1/httproutes")
}

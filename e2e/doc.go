// Package e2e tests the built program from outside: processes of authsvc behind a real nginx with exactly the
// configuration that "authsvc nginx render" prints, or behind Caddy and HAProxy with the files under examples/, a real redis-server or Cluster, a provider of ours or npm's
// oidc-provider, an application that says what it got, and browsers: fast ones of a few lines, and headless Chromium.
// Everything listens on the loopback interface and ends with its test. Nothing imports this package.
package e2e

//go:build !race

package e2e

// buildArgs build the program as the tests are built.
var buildArgs []string

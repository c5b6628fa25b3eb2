package e2e

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program is the built authsvc.
var program string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	if *traefikProgram != "" {
		gateways = append(gateways, traefikGateway)
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "authsvc")
	args := slices.Concat([]string{"build"}, buildArgs, []string{"-o", program, "authsvc/cmd/authsvc"})
	if output, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building authsvc: %v\n%s", err, output)
		return 1
	}
	return m.Run()
}

// result is what a run of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the program to its end; args are parted by spaces, environ is the environment besides ours.
func run(t *testing.T, args string, environ ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, strings.Fields(args)...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = slices.Concat(environment(), environ), &stdout, &stderr, dieWithTest()
	err := cmd.Run()
	if cmd.ProcessState == nil || !cmd.ProcessState.Exited() {
		t.Fatalf("authsvc %s: %v\n%s", args, err, stderr.String())
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// environment is ours without settings of an authsvc. A build with the race detector would sleep for a second whenever it ends.
func environment() []string {
	return append([]string{"GORACE=atexit_sleep_ms=20"},
		slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AUTHSVC_") })...)
}

// variables writes settings, which are named as in the configuration, as environment variables.
func variables(settings map[string]string) []string {
	var list []string
	for key, value := range settings {
		list = append(list, "AUTHSVC_"+strings.ToUpper(strings.ReplaceAll(key, ".", "_"))+"="+value)
	}
	slices.Sort(list)
	return list
}

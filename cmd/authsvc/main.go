// Command authsvc signs people in with OpenID Connect and answers gateways that ask whether a request may pass.
//
// "authsvc --help" tells its commands. Exit codes: 0 good; 1 a failure or findings; 2 bad configuration or usage.
package main

import (
	"context"
	"io"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ()))
}

// run is the whole program as a function; it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) int {
	root := newRootCommand(environ)
	root.SetArgs(shieldIDs(args))
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(root.ExecuteContext(ctx), stderr)
}

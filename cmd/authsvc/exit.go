package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"authsvc/authsvc"
)

const (
	exitFailure = 1 // a failure while running, or findings
	exitUsage   = 2 // bad configuration or usage
)

// exitStatus is an error of a command that has said everything itself; the program ends with this code.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// usageError is an error of a command that ran only to find that it was called wrongly.
type usageError string

func (e usageError) Error() string { return string(e) }

// commandError is an error of a command that ran. Every other error that cobra returns is one of usage.
type commandError struct{ err error }

func (e *commandError) Error() string { return e.err.Error() }
func (e *commandError) Unwrap() error { return e.err }

// markErrors wraps what the commands below and including c return, so that exitCode can tell it from errors of usage.
func markErrors(c *cobra.Command) {
	if inner := c.RunE; inner != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := inner(c, args); err != nil {
				return &commandError{err}
			}
			return nil
		}
	}
	for _, child := range c.Commands() {
		markErrors(child)
	}
}

// exitCode says what went wrong on stderr, and returns the exit code for it.
func exitCode(err error, stderr io.Writer) int {
	if err == nil {
		return 0
	}
	if status, ok := errors.AsType[exitStatus](err); ok {
		return int(status)
	}
	if bad, ok := errors.AsType[*authsvc.ConfigError](err); ok {
		fmt.Fprintln(stderr, bad)
		return exitUsage
	}
	fmt.Fprintf(stderr, "authsvc: %v\n", err)
	_, misused := errors.AsType[usageError](err)
	if _, ran := errors.AsType[*commandError](err); misused || !ran {
		return exitUsage
	}
	return exitFailure
}

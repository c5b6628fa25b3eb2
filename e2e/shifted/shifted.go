// Package shifted builds programs of this module whose clock is wrong. A statically linked Go program asks the kernel for the time without any
// library that could be put before it, so the standard library's time.Now is replaced when the program is built. Time that passes, that
// of timers and of what time.Since measures, is right, as it is on a host whose clock is wrong.
package shifted

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Variable is the environment variable that says by how much the clock of a built program is wrong, as time.ParseDuration reads it, in whole
// seconds; behind the right time it is negative. Not set: the clock is right. The program does not start with anything else.
const Variable = "SHIFTED_CLOCK"

// now is the beginning of time.Now as the standard library has it, and with the shift.
const now, shiftedNow = "\nfunc Now() Time {\n\tsec, nsec, mono := runtimeNow()\n", now + "\tsec += clockShift\n"

const shift = `package time

import "syscall"

// clockShift is by how many seconds this program's clock is wrong.
var clockShift = func() int64 {
	text, found := syscall.Getenv("` + Variable + `")
	if !found {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil || d%Second != 0 {
		panic("` + Variable + `: " + text + " is no number of seconds")
	}
	return int64(d / Second)
}()
`

// Build builds a program with a shifted clock; args are further arguments of go build, such as -race. Its files, and the program, are written to
// the folder; name is that of the program in it. An error says, too, that this Go's time.Now is not the one that Build knows.
func Build(ctx context.Context, folder, name, packagePath string, args ...string) (program string, err error) {
	output, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("shifted: go env GOROOT: %w", err)
	}
	library := filepath.Join(strings.TrimSpace(string(output)), "src", "time")
	overlay, err := overlay(folder, library)
	if err != nil {
		return "", fmt.Errorf("shifted: %w", err)
	}
	program = filepath.Join(folder, name)
	args = slices.Concat([]string{"build", "-overlay", overlay}, args, []string{"-o", program, packagePath})
	if output, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return "", fmt.Errorf("shifted: go %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return program, nil
}

// overlay writes the files that replace some of the library, and the one that go build's -overlay wants.
func overlay(folder, library string) (file string, err error) {
	text, err := os.ReadFile(filepath.Join(library, "time.go"))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), now); n != 1 {
		return "", fmt.Errorf("%s has %d places that read %q, expected one; see what its Now does", filepath.Join(library, "time.go"), n, now)
	}
	replace := map[string]string{}
	for name, text := range map[string]string{"time.go": strings.Replace(string(text), now, shiftedNow, 1), "shift.go": shift} {
		ours := filepath.Join(folder, "shifted-"+name)
		if err := os.WriteFile(ours, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(library, name)] = ours
	}
	text, err = json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "shifted-overlay.json")
	return file, os.WriteFile(file, text, 0o600)
}

package shifted

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestBuild: the clock of a built program is as wrong as asked for, and time passes in it as ever.
func TestBuild(t *testing.T) {
	program, err := Build(t.Context(), t.TempDir(), "clock", "./testdata/clock")
	if err != nil {
		t.Fatal(err)
	}
	for shift, want := range map[string]time.Duration{"": 0, "4m": 4 * time.Minute, "-4m": -4 * time.Minute} {
		cmd := exec.Command(program)
		if cmd.Env = os.Environ(); shift != "" {
			cmd.Env = append(cmd.Env, Variable+"="+shift)
		}
		output, err := cmd.Output()
		var seconds, passed int64
		if err == nil {
			_, err = fmt.Sscan(string(output), &seconds, &passed)
		}
		if err != nil {
			t.Fatalf("%s=%s: %v", Variable, shift, err)
		}
		if off := time.Since(time.Unix(seconds, 0)) + want; off.Abs() > 30*time.Second {
			t.Errorf("%s=%s: the clock is %v from where it should be", Variable, shift, off)
		}
		if passed < 20 || passed > 30_000 {
			t.Errorf("%s=%s: 20 ms took %d ms", Variable, shift, passed)
		}
	}
	wrong := exec.Command(program)
	wrong.Env = append(os.Environ(), Variable+"=soon")
	if output, err := wrong.Output(); err == nil {
		t.Errorf("%s=soon: %s", Variable, output)
	}
}

// TestAnotherLibrary: where time.Now reads otherwise, nothing is built.
func TestAnotherLibrary(t *testing.T) {
	library := t.TempDir()
	if err := os.WriteFile(filepath.Join(library, "time.go"), []byte("package time\n\nfunc Now() Time {\n\treturn Time{}\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if file, err := overlay(t.TempDir(), library); err == nil {
		t.Errorf("a library that is not known gives %s", file)
	}
}

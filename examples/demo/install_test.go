package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall runs install.sh as an ordinary user among stand-ins for apt-get and sudo, which write down
// what they were asked.
func TestInstall(t *testing.T) {
	script, err := filepath.Abs("install.sh")
	if err != nil {
		t.Fatal(err)
	}
	const good, failing = "exit 0", `case "$*" in *install*) exit 100;; esac`
	for name, row := range map[string]struct {
		arguments string
		sudo      string // what sudo does; "": there is none
		apt       string // the version of chromium that it knows; "": there is no apt
		code      int
		says      string
		asked     []string // in this order, by sudo
	}{
		"all there":          {"sh --optional sh", "", "", 0, "", nil},
		"by sudo":            {"sh not-here-1 not-here-2", good, "1.0", 0, "Installing: not-here-1 not-here-2", []string{"apt-get update", "apt-get install -y -q --no-install-recommends not-here-1 not-here-2"}},
		"optional by sudo":   {"--optional not-here", good, "1.0", 0, "Installing: not-here", []string{"apt-get install -y -q --no-install-recommends not-here"}},
		"nobody may":         {"not-here", "", "1.0", 1, "run as root: apt-get update && apt-get install -y --no-install-recommends not-here", nil},
		"nobody need":        {"--optional not-here", "", "1.0", 0, "run as root: apt-get update", nil},
		"needed fails":       {"not-here", failing, "1.0", 1, "That did not work", []string{"apt-get install"}},
		"optional fails":     {"sh --optional not-here", failing, "1.0", 0, "going on without it", []string{"apt-get install"}},
		"a compiler":         {"gcc libc6-dev", good, "1.0", 0, "Installing: gcc libc6-dev", []string{"apt-get install -y -q --no-install-recommends gcc libc6-dev"}},
		"a browser":          {"not-here chromium", good, "1.0", 0, "Installing: not-here chromium", []string{"apt-get update", "apt-get install -y -q --no-install-recommends not-here chromium"}},
		"a browser by snap":  {"not-here chromium", good, "(none)", 1, "snap install chromium", []string{"apt-get update"}},
		"another system":     {"not-here", good, "", 1, "There is no apt-get here", nil},
		"not a name":         {"not;here", good, "1.0", 2, "want names of packages", nil},
		"not a known option": {"--force", good, "1.0", 2, "want names of packages", nil},
	} {
		t.Run(name, func(t *testing.T) {
			bin := t.TempDir()
			asked := filepath.Join(bin, "asked")
			programs := map[string]string{"id": "echo 1000", "dpkg-query": "exit 1"}
			if row.apt != "" {
				programs["apt-get"] = "exit 99" // only sudo may call it
				programs["apt-cache"] = `printf '%s:\n  Installed: (none)\n  Candidate: ` + row.apt + `\n' "$2"`
			}
			if row.sudo != "" {
				programs["sudo"] = `echo "$*" >>'` + asked + `'; ` + row.sudo
			}
			for program, text := range programs {
				if err := os.WriteFile(filepath.Join(bin, program), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Symlink("/bin/sh", filepath.Join(bin, "sh")); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("/bin/sh", append([]string{script}, strings.Fields(row.arguments)...)...)
			cmd.Env = []string{"PATH=" + bin}
			output, err := cmd.CombinedOutput()
			if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != row.code) || err == nil && row.code != 0 {
				t.Errorf("ended with %v, want %d", err, row.code)
			}
			if !strings.Contains(string(output), row.says) || row.says == "" && len(output) > 0 {
				t.Errorf("said %q, want %q", output, row.says)
			}
			text, err := os.ReadFile(asked)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			rest := string(text)
			for _, want := range row.asked {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("sudo was asked\n%s\nwant %s", text, want)
				}
				rest = after
			}
			if strings.Contains(rest, "apt-get") {
				t.Errorf("sudo was asked\n%s", text)
			}
			policyMade, policyGone := strings.Contains(string(text), "tee /usr/sbin/policy-rc.d"), strings.Contains(string(text), "rm -f /usr/sbin/policy-rc.d")
			_, err = os.Stat("/usr/sbin/policy-rc.d")
			if wanted := row.asked != nil && err != nil; policyMade != wanted || policyGone != wanted {
				t.Errorf("policy-rc.d made %t, removed %t; want both %t\n%s", policyMade, policyGone, wanted, text)
			}
		})
	}
}

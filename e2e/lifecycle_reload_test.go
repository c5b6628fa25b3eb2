package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"authsvc/session/storetest"
)

// TestLifecycleReload: whatever file becomes bad on disk, the replica serves on with what was good, says so once, and takes what is good again. SIGHUP does no harm.
func TestLifecycleReload(t *testing.T) {
	s := newStack(t, options{noReplica: true})
	dir := t.TempDir()
	certificate, key := pair(t, 1)
	good := map[string]string{
		"cookie.secret_file": s.settings["cookie.secret"] + "\n", "oidc.client_secret_file": clientSecret, "tls.cert_file": certificate, "tls.key_file": key, "oidc.ca_file": certificate,
	}
	file := func(setting string) string { return filepath.Join(dir, setting) }
	for setting, text := range good {
		delete(s.settings, strings.TrimSuffix(setting, "_file"))
		s.settings[setting] = file(setting)
		check(t, os.WriteFile(file(setting), []byte(text), 0o600))
	}
	r := newReplica(t, s.settings)
	r.awaitReady()
	serves := func(t *testing.T) {
		t.Helper()
		if serial, status, err := r.overTLS(); err != nil || serial != 1 || status != http.StatusUnauthorized {
			t.Errorf("certificate %d, status %d, %v", serial, status, err)
		}
	}
	state := func(t *testing.T, bad bool) {
		t.Helper()
		r.awaitState("the configuration", func(state readiness) bool {
			return state.status == http.StatusOK && (state.Degraded["configuration"] != "") == bad
		})
		want := map[bool]string{true: "1", false: "0"}[bad]
		if got := r.metric("authsvc_config_reload_failed"); got != want {
			t.Errorf("authsvc_config_reload_failed is %s, want %s", got, want)
		}
	}
	serves(t)
	otherCertificate, otherKey := pair(t, 2)
	told := 0
	for _, test := range []struct{ setting, bad string }{
		{"cookie.secret_file", "garbage\n"},
		{"oidc.client_secret_file", ""},
		{"tls.cert_file", otherCertificate}, // its key is to come yet
		{"tls.key_file", otherKey[:len(otherKey)/2]},
		{"oidc.ca_file", "garbage"},
	} {
		t.Run(test.setting, func(t *testing.T) {
			told++
			replace(t, file(test.setting), test.bad)
			state(t, true)
			serves(t)
			r.awaitLog("the configuration has become bad; the one in use stays", told)
			replace(t, file(test.setting), good[test.setting])
			state(t, false)
			r.awaitLog("the configuration is good again", told)
			serves(t)
		})
	}
	r.signal(syscall.SIGHUP)
	r.awaitLog("every other change takes a restart", 1)
	serves(t)

	// And what is good is taken, whichever of the two comes first.
	replace(t, file("tls.key_file"), otherKey)
	replace(t, file("tls.cert_file"), otherCertificate)
	storetest.WaitFor(t, "the other certificate", func() error {
		serial, _, err := r.overTLS()
		if err == nil && serial != 2 {
			err = fmt.Errorf("certificate %d", serial)
		}
		return err
	})
	if n := strings.Count(r.log.String(), "has become bad"); n != told {
		t.Errorf("it says %d times that the configuration is bad, want %d", n, told)
	}
}

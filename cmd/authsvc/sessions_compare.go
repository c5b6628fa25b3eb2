package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"authsvc/authsvc"
)

// What the commands tell more about than that it differs. The first three say under which name the sessions of a user are listed.
const (
	ringSetting   = "cookie.secret"
	issuerSetting = "oidc.issuer"
	sitesSetting  = "sites"
	// recordSetting is none of the file: what this release reads.
	recordSetting = "record_format"
)

// warnOfDifferences says, one line each, in what a configuration that is used from outside is not that of the replicas.
func warnOfDifferences(w io.Writer, replicas authsvc.Comparison) {
	if replicas.Ready == 0 {
		fmt.Fprintln(w, "warning: no replica runs on this Redis, database and prefix; check store.url and store.prefix")
	}
	for _, d := range replicas.Differences {
		if d.Must {
			fmt.Fprintln(w, "warning:", differenceText(d, replicas))
		}
	}
	if !replicas.KeyLost.IsZero() {
		fmt.Fprintf(w, "warning: cookie.secret lacks a key that signed sessions until lately; no replica holds it, and its sessions, needed until %s, are not found by user\n",
			replicas.KeyLost.Format(time.RFC3339))
	}
}

// differenceText names a setting, who differs in it, and what would be right.
func differenceText(d authsvc.Difference, replicas authsvc.Comparison) string {
	who := strings.Join(d.Replicas, ", ")
	switch {
	case d.Setting == ringSetting && !replicas.KeyNeeded.IsZero():
		return fmt.Sprintf("cookie.secret lacks a key of %s that is needed until %s; name all keys that they hold", who, replicas.KeyNeeded.Format(time.RFC3339))
	case d.Setting == ringSetting:
		return fmt.Sprintf("cookie.secret has no key in common with %s; name all keys that they hold", who)
	case d.Setting == issuerSetting:
		return fmt.Sprintf("oidc.issuer differs from that of %s; write it as they do, a final / counts", who)
	case d.Setting == recordSetting:
		return fmt.Sprintf("%s writes records that this release does not read; use theirs", who)
	}
	return fmt.Sprintf("%s differs from that of %s; take the configuration that they have", d.Setting, who)
}

// missesSessions returns an error if sessions of a user could not be found whom the replicas would let pass.
func missesSessions(replicas authsvc.Comparison) error {
	for _, d := range replicas.Differences {
		if _, ofSite, _ := strings.Cut(d.Setting, "]."); slices.Contains([]string{d.Setting, ofSite}, issuerSetting) || ofSite == "public_url" ||
			d.Setting == ringSetting || d.Setting == sitesSetting {
			return errors.New("nothing was ended, since sessions could be missed: " + differenceText(d, replicas))
		}
	}
	return nil
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"authsvc/session"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func newVersionCommand() *cobra.Command {
	var sbom bool
	command := &cobra.Command{
		Use:   "version",
		Short: "Print version, commit, and the record formats read and written",
		Example: `  authsvc version
  authsvc version --sbom > authsvc.cdx.json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if sbom {
				info, ok := debug.ReadBuildInfo()
				if !ok {
					return errors.New("this binary does not tell what it was made of; build it with Go's own linker")
				}
				return writeBillOfMaterials(c.OutOrStdout(), readBuild(), info)
			}
			_, err := fmt.Fprint(c.OutOrStdout(), readBuild())
			return err
		},
	}
	command.Flags().BoolVar(&sbom, "sbom", false, "print what this binary was made of, a software bill of materials: CycloneDX 1.6, JSON")
	return command
}

// build is what is known about this binary.
type build struct{ version, commit string }

func readBuild() build {
	b := build{version: version}
	if info, ok := debug.ReadBuildInfo(); ok {
		b.version = cmp.Or(b.version, info.Main.Version)
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" {
				b.commit = setting.Value
			}
		}
	}
	return build{version: cmp.Or(b.version, "(devel)"), commit: cmp.Or(b.commit, "unknown")}
}

// String returns one line for each fact.
func (b build) String() string {
	formats := fmt.Sprint(session.RecordFormat)
	if session.OldestRecordFormat < session.RecordFormat {
		formats = fmt.Sprintf("%d to %d", session.OldestRecordFormat, session.RecordFormat)
	}
	return fmt.Sprintf("authsvc %s\ncommit  %s\ngo      %s %s/%s\nrecords read %s, written %[6]s\n",
		b.version, b.commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, formats)
}

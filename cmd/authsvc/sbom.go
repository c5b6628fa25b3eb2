package main

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"runtime/debug"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// writeBillOfMaterials tells as CycloneDX 1.6 JSON what this binary was made of: the modules, with their sums, that the linker wrote into it, and the
// Go release whose standard library is in it. The same binary always tells the same bytes: there is no serial number and no time.
func writeBillOfMaterials(w io.Writer, b build, info *debug.BuildInfo) error {
	main := component("authsvc", b.version)
	main.Type = cyclonedx.ComponentTypeApplication
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &main}
	components := []cyclonedx.Component{component("std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, module := range info.Deps {
		if module.Replace != nil {
			module = module.Replace
		}
		c := component(module.Path, module.Version)
		sum, err := sumOf(module)
		if err != nil {
			return err
		}
		c.Hashes = sum
		components = append(components, c)
	}
	bom.Components = &components
	var needs []string
	for _, c := range components {
		needs = append(needs, c.BOMRef)
	}
	bom.Dependencies = &[]cyclonedx.Dependency{{Ref: main.BOMRef, Dependencies: &needs}}
	return cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6)
}

// component names a module as package URLs do (purl-spec, type golang).
func component(path, version string) cyclonedx.Component {
	purl := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cyclonedx.Component{
		Type: cyclonedx.ComponentTypeLibrary, BOMRef: purl, Name: path, Version: version, PackageURL: purl, Scope: cyclonedx.ScopeRequired,
	}
}

// sumOf returns a module's sum as go.sum has it, in the form that other writers of CycloneDX give it: the SHA-256 behind "h1:", in hexadecimal.
func sumOf(module *debug.Module) (*[]cyclonedx.Hash, error) {
	encoded, ok := strings.CutPrefix(module.Sum, "h1:")
	if !ok {
		return nil, nil // a folder in the place of a module has none
	}
	sum, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("the sum of %s: %w", module.Path, err)
	}
	return &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: hex.EncodeToString(sum)}}, nil
}

package main

import (
	"bytes"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

func TestBillOfMaterials(t *testing.T) {
	info := &debug.BuildInfo{GoVersion: "go1.26.8", Deps: []*debug.Module{
		{Path: "example.com/one", Version: "v1.2.3", Sum: "h1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="},
		{Path: "example.com/forked", Version: "v1.0.0", Replace: &debug.Module{Path: "example.com/fork", Version: "v2.0.0+incompatible"}},
	}}
	var once, again bytes.Buffer
	for _, out := range []*bytes.Buffer{&once, &again} {
		if err := writeBillOfMaterials(out, build{version: "v0.9.0"}, info); err != nil {
			t.Fatal(err)
		}
	}
	if once.String() != again.String() {
		t.Error("it is not the same each time")
	}
	bom := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(&once, cyclonedx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range *bom.Components {
		line := c.PackageURL
		if c.Hashes != nil {
			line += " " + (*c.Hashes)[0].Value
		}
		got = append(got, line)
	}
	want := []string{
		"pkg:golang/std@1.26.8",
		"pkg:golang/example.com/one@v1.2.3 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"pkg:golang/example.com/fork@v2.0.0%2Bincompatible",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if main := bom.Metadata.Component; main.PackageURL != "pkg:golang/authsvc@v0.9.0" || main.Type != cyclonedx.ComponentTypeApplication {
		t.Errorf("of %+v", main)
	}

	info.Deps[0].Sum = "h1:?"
	if err := writeBillOfMaterials(&again, build{}, info); err == nil {
		t.Error("a sum that cannot be read is left out")
	}
}

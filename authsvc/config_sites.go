package authsvc

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Format writes the configuration as every other struct is written, which masks secrets; behind a pointer fmt would not ask them.
func (s SiteConfig) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), *s.Config)
}

// sitesNode is the list of sites as it was written, by the file or by a variable.
type sitesNode struct {
	node     *yaml.Node
	variable string
}

// keepSites keeps the list of sites until the main one has been read: what a site does not set is the main one's.
func (d *decoder) keepSites(node *yaml.Node, k Key) {
	d.sites = sitesNode{}
	if node.Kind != yaml.SequenceNode {
		d.reportNoList(node, k)
		return
	}
	d.sites = sitesNode{node, d.variable}
}

// readSites reads each site over a copy of c, in which nothing has been derived yet from other keys.
func (d *decoder) readSites(c *Config) {
	if d.sites.node == nil {
		return
	}
	d.variable, d.inSite = d.sites.variable, true
	for i, node := range d.sites.node.Content {
		site := c.forSite()
		// Who names providers has none of the main one's, nor has who names one of their own.
		if sets(node, "providers") {
			groups := site.OIDC.GroupsClaim
			site.OIDC = DefaultConfig().OIDC
			site.OIDC.GroupsClaim = groups
		} else if sets(node, "oidc") {
			site.Providers = nil
		}
		k := Key{Path: item("sites", i), kind: reflect.TypeFor[Config]()}
		if node.Kind != yaml.MappingNode {
			d.report(node, k.Path, "is not a mapping", "write keys with their values, one a line and indented below it")
		} else {
			d.decode(node, k, reflect.ValueOf(site).Elem())
		}
		c.Sites = append(c.Sites, SiteConfig{site})
	}
	d.variable, d.inSite = "", false
}

// forSite is a copy in which keys can be set, without the sites, and without hosts: they are each site's own.
func (c *Config) forSite() *Config {
	site := *c
	site.Sites, site.Hosts = nil, nil
	site.Headers = maps.Clone(c.Headers)
	site.Providers = slices.Clone(c.Providers)
	return &site
}

// sets reports whether a mapping has a key.
func sets(node *yaml.Node, key string) bool {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return true
		}
	}
	return false
}

// EachSite goes through the sites by the name that stands in everything they seal, the main one first, each with its whole configuration.
func (c *Config) EachSite() iter.Seq2[string, *Config] {
	return func(yield func(string, *Config) bool) {
		if !yield(mainSite, c) {
			return
		}
		for _, site := range c.Sites {
			if !yield(site.siteName(), site.Config) {
				return
			}
		}
	}
}

// usable leaves out the fields that no site can have, while a site is read.
func (d *decoder) usable(fields []Key) []Key {
	if !d.inSite {
		return fields
	}
	return slices.DeleteFunc(slices.Clone(fields), func(k Key) bool { return k.service })
}

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	route "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	mutation "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	router "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcher "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

const authzFilter = "envoy.filters.http.ext_authz"

// player plays one listener.
type player struct {
	config   *manager.HttpConnectionManager
	clusters map[string]*upstream
	routes   []*route.Route
	filters  []func(http.ResponseWriter, *http.Request, *route.Route) bool // each says whether the request goes on
}

func newPlayer(config *manager.HttpConnectionManager, clusters map[string]*upstream) (*player, error) {
	p := &player{config: config, clusters: clusters}
	for _, host := range config.GetRouteConfig().GetVirtualHosts() {
		if len(host.Domains) != 1 || host.Domains[0] != "*" {
			return nil, fmt.Errorf("virtual host %s: the model plays one for all domains", host.Name)
		}
		p.routes = append(p.routes, host.Routes...)
	}
	for i, filter := range config.HttpFilters {
		last := i == len(config.HttpFilters)-1
		if m, ok := unpack(filter.GetTypedConfig(), &mutation.HeaderMutation{}); ok && !last {
			p.filters = append(p.filters, func(_ http.ResponseWriter, r *http.Request, _ *route.Route) bool {
				mutate(r.Header, m)
				return true
			})
		} else if a, ok := unpack(filter.GetTypedConfig(), &authz.ExtAuthz{}); ok && !last {
			p.filters = append(p.filters, func(w http.ResponseWriter, r *http.Request, to *route.Route) bool {
				off, ok := unpack(to.TypedPerFilterConfig[authzFilter], &authz.ExtAuthzPerRoute{})
				return ok && off.GetDisabled() || p.authorize(w, r, a)
			})
		} else if _, ok := unpack(filter.GetTypedConfig(), &router.Router{}); !ok || !last {
			return nil, fmt.Errorf("filter %s: the model does not play it, or not in this place", filter.Name)
		}
	}
	return p, nil
}

func (p *player) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.enter(r) {
		p.reply(w, r, http.StatusForbidden)
		return
	}
	to := p.route(r)
	if to == nil {
		p.reply(w, r, http.StatusNotFound)
		return
	}
	for _, filter := range p.filters {
		if !filter(w, r, to) {
			return
		}
	}
	ctx := r.Context()
	if t := to.GetRoute().Timeout.AsDuration(); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	p.clusters[to.GetRoute().GetCluster()].forward(w, r.WithContext(ctx), to.GetRoute().GetRetryPolicy(), func(status int) { p.reply(w, r, status) })
}

// enter does what the connection manager does before any filter. It reports whether the request goes on.
func (p *player) enter(r *http.Request) bool {
	upgrade := r.Header.Get("Upgrade")
	for _, list := range r.Header["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); !strings.EqualFold(name, "upgrade") {
				r.Header.Del(name)
			}
		}
	}
	r.Header.Del("Connection")
	r.Header.Del("Upgrade")
	switch {
	case upgrade == "" || strings.EqualFold(upgrade, "h2c"):
	case len(p.config.UpgradeConfigs) == 1 && strings.EqualFold(upgrade, p.config.UpgradeConfigs[0].UpgradeType):
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", upgrade)
	default:
		return false
	}
	if p.config.GetCommonHttpProtocolOptions().GetHeadersWithUnderscoresAction() == core.HttpProtocolOptions_DROP_HEADER {
		for name := range r.Header {
			if strings.Contains(name, "_") {
				delete(r.Header, name)
			}
		}
	}
	if p.config.UseRemoteAddress.GetValue() {
		r.Header.Set("X-Forwarded-Proto", "http")
		client, _, _ := net.SplitHostPort(r.RemoteAddr)
		r.Header.Add("X-Forwarded-For", client)
	}
	return true
}

// route returns the first route that matches the path as it was sent; nil if there is none.
func (p *player) route(r *http.Request) *route.Route {
	path, _, _ := strings.Cut(r.URL.RequestURI(), "?")
	for _, to := range p.routes {
		if regex := to.Match.GetSafeRegex(); regex != nil && fully(regex.Regex).MatchString(path) || regex == nil && strings.HasPrefix(path, to.Match.GetPrefix()) {
			return to
		}
	}
	return nil
}

// fully is a regular expression of the whole text.
func fully(regex string) *regexp.Regexp { return regexp.MustCompile(`\A(?:` + regex + `)\z`) }

// mutate takes headers out.
func mutate(h http.Header, m *mutation.HeaderMutation) {
	for _, change := range m.Mutations.RequestMutations {
		for name := range h {
			if strings.EqualFold(name, change.GetRemove()) || change.GetRemoveOnMatch() != nil && matches(change.GetRemoveOnMatch().KeyMatcher, name) {
				delete(h, name)
			}
		}
	}
}

// matches matches a header's name, which Envoy has in lower case.
func matches(m *matcher.StringMatcher, name string) bool {
	name = strings.ToLower(name)
	switch {
	case m.GetSafeRegex() != nil:
		return fully(m.GetSafeRegex().Regex).MatchString(name)
	case m.GetPrefix() != "":
		return strings.HasPrefix(name, m.GetPrefix())
	case m.GetContains() != "":
		return strings.Contains(name, m.GetContains())
	}
	return name == m.GetExact()
}

func matchesAny(list *matcher.ListStringMatcher, name string) bool {
	for _, m := range list.GetPatterns() {
		if matches(m, name) {
			return true
		}
	}
	return false
}

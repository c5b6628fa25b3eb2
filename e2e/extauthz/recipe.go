package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	cluster "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	manager "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// recipe is a bootstrap file with the parts that the model plays.
type recipe struct {
	listeners []listener
	clusters  map[string]*upstream
}

type listener struct {
	address string
	config  *manager.HttpConnectionManager
}

// readRecipe reads a bootstrap file strictly: a field that Envoy's types do not have, a value that they refuse and a field that the model
// does not play are errors.
func readRecipe(file string) (*recipe, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	document, err := json.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var b bootstrap.Bootstrap
	if err := protojson.Unmarshal(document, &b); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := b.ValidateAll(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := played(b.ProtoReflect()); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	r := &recipe{clusters: map[string]*upstream{}}
	for _, c := range b.StaticResources.Clusters {
		r.clusters[c.Name] = newUpstream(c)
	}
	for _, l := range b.StaticResources.Listeners {
		h := &manager.HttpConnectionManager{}
		if err := l.FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(h); err != nil {
			return nil, fmt.Errorf("%s: listener %s: %w", file, l.Name, err)
		}
		r.listeners = append(r.listeners, listener{hostPort(l.Address), h})
	}
	return r, nil
}

func hostPort(a *core.Address) string {
	s := a.GetSocketAddress()
	return fmt.Sprintf("%s:%d", s.GetAddress(), s.GetPortValue())
}

// newUpstream makes a cluster's endpoints.
func newUpstream(c *cluster.Cluster) *upstream {
	u := &upstream{connectTimeout: c.ConnectTimeout.AsDuration()}
	for _, e := range c.LoadAssignment.Endpoints[0].LbEndpoints {
		u.endpoints = append(u.endpoints, hostPort(e.GetEndpoint().Address))
	}
	return u
}

// fields are those that the model plays, for each message; health_checks and stat_prefix change no answer. Messages
// that are not named here may have every field, as all of it is handed on.
var fields = map[protoreflect.FullName][]string{
	"envoy.config.bootstrap.v3.Bootstrap":                 {"static_resources"},
	"envoy.config.bootstrap.v3.Bootstrap.StaticResources": {"listeners", "clusters"},
	"envoy.config.listener.v3.Listener":                   {"name", "address", "filter_chains"},
	"envoy.config.listener.v3.FilterChain":                {"filters"},
	"envoy.config.cluster.v3.Cluster":                     {"name", "connect_timeout", "load_assignment", "health_checks"},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager": {
		"use_remote_address", "normalize_path", "merge_slashes", "common_http_protocol_options", "upgrade_configs", "route_config", "http_filters", "local_reply_config", "stat_prefix",
	},
	"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager.UpgradeConfig": {"upgrade_type"},
	"envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig":                    {"mappers"},
	"envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper":                      {"filter", "headers_to_add", "body_format_override"},
	"envoy.config.core.v3.HttpProtocolOptions":                                                        {"headers_with_underscores_action"},
	"envoy.config.route.v3.RouteConfiguration":                                                        {"virtual_hosts"},
	"envoy.config.route.v3.VirtualHost":                                                               {"name", "domains", "routes"},
	"envoy.config.route.v3.Route":                                                                     {"match", "route", "typed_per_filter_config"},
	"envoy.config.route.v3.RouteMatch":                                                                {"prefix", "safe_regex"},
	"envoy.config.route.v3.RouteAction":                                                               {"cluster", "timeout", "retry_policy"},
	"envoy.config.route.v3.RetryPolicy":                                                               {"retry_on", "num_retries"},
	"envoy.extensions.filters.http.header_mutation.v3.HeaderMutation":                                 {"mutations"},
	"envoy.extensions.filters.http.header_mutation.v3.Mutations":                                      {"request_mutations"},
	"envoy.config.common.mutation_rules.v3.HeaderMutation":                                            {"remove", "remove_on_match"},
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthz": {
		"http_service", "failure_mode_allow", "status_on_error", "encode_raw_headers", "allowed_headers",
	},
	"envoy.extensions.filters.http.ext_authz.v3.HttpService":           {"server_uri", "path_prefix", "authorization_response"},
	"envoy.extensions.filters.http.ext_authz.v3.AuthorizationResponse": {"allowed_upstream_headers", "allowed_client_headers"},
	"envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute":      {"disabled"},
	"envoy.extensions.filters.http.router.v3.Router":                   {},
	"envoy.type.matcher.v3.StringMatcher":                              {"exact", "prefix", "contains", "safe_regex"},
	"envoy.config.accesslog.v3.AccessLogFilter":                        {"status_code_filter", "header_filter", "and_filter"},
	"envoy.config.core.v3.SubstitutionFormatString":                    {"content_type", "text_format_source"},
}

// played reports a field that is set and that the model does not play, in the message and in all below it.
func played(m protoreflect.Message) (err error) {
	if packed, ok := m.Interface().(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			return err
		}
		if checked, ok := inner.(interface{ ValidateAll() error }); ok {
			if err := checked.ValidateAll(); err != nil {
				return err
			}
		}
		return played(inner.ProtoReflect())
	}
	known, listed := fields[m.Descriptor().FullName()]
	m.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case listed && !slices.Contains(known, string(field.Name())):
			err = fmt.Errorf("%s.%s: the model does not play it", m.Descriptor().FullName(), field.Name())
		case field.IsMap() && field.MapValue().Message() != nil:
			value.Map().Range(func(_ protoreflect.MapKey, entry protoreflect.Value) bool {
				err = played(entry.Message())
				return err == nil
			})
		case field.IsList() && field.Message() != nil:
			for i := range value.List().Len() {
				if err = played(value.List().Get(i).Message()); err != nil {
					break
				}
			}
		case !field.IsMap() && field.Message() != nil:
			err = played(value.Message())
		}
		return err == nil
	})
	return err
}

// unpack returns what an Any holds, which readRecipe has checked.
func unpack[M proto.Message](packed *anypb.Any, into M) (M, bool) {
	if !packed.MessageIs(into) {
		return into, false
	}
	return into, packed.UnmarshalTo(into) == nil
}

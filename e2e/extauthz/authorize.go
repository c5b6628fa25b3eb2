package main

import (
	"context"
	"io"
	"net/http"
	"strings"

	accesslog "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authz "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
)

// authorize asks the authorization service, and reports whether the request goes on. Otherwise it has been answered.
func (p *player) authorize(w http.ResponseWriter, r *http.Request, a *authz.ExtAuthz) bool {
	answer, body, err := p.ask(r, a)
	switch {
	case err != nil || answer.StatusCode >= 500 || answer.StatusCode < 200:
		if a.FailureModeAllow {
			return true
		}
		status := http.StatusForbidden
		if a.StatusOnError != nil {
			status = int(a.StatusOnError.Code)
		}
		p.reply(w, r, status)
		return false
	case answer.StatusCode == http.StatusOK:
		for name, values := range answer.Header {
			if matchesAny(a.GetHttpService().GetAuthorizationResponse().GetAllowedUpstreamHeaders(), name) {
				r.Header[name] = values
			}
		}
		return true
	}
	// Denied: Path, Status, Content-Length, WWW-Authenticate and Location always go to the client.
	allowed := a.GetHttpService().GetAuthorizationResponse().GetAllowedClientHeaders()
	for name, values := range answer.Header {
		if allowed == nil || matchesAny(allowed, name) || name == "Location" || name == "Www-Authenticate" || name == "Content-Length" {
			w.Header()[name] = values
		}
	}
	w.WriteHeader(answer.StatusCode)
	w.Write(body) // an error means that the client has gone
	return false
}

// ask sends the check: the client's method, host and path, and of its headers those that are allowed.
func (p *player) ask(r *http.Request, a *authz.ExtAuthz) (*http.Response, []byte, error) {
	service := a.GetHttpService()
	ctx, cancel := context.WithTimeout(r.Context(), service.ServerUri.Timeout.AsDuration())
	defer cancel()
	to := p.clusters[service.ServerUri.GetCluster()]
	check, err := http.NewRequestWithContext(ctx, r.Method, "http://"+to.next()+service.PathPrefix+r.URL.RequestURI(), http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	check.Host = r.Host
	for name, values := range r.Header {
		if name == "Authorization" || matchesAny(a.AllowedHeaders, name) {
			check.Header[name] = values
			if !a.EncodeRawHeaders {
				check.Header[name] = []string{strings.Join(values, ",")}
			}
		}
	}
	if check.Header["User-Agent"] == nil {
		check.Header["User-Agent"] = []string{""} // not this program's own
	}
	check.Header.Set("Content-Length", "0")
	answer, err := to.transport().RoundTrip(check)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	return answer, body, err
}

// reply is what Envoy answers by itself: a status without a body, unless local_reply_config has a mapper that fits.
func (p *player) reply(w http.ResponseWriter, r *http.Request, status int) {
	body := ""
	for _, mapper := range p.config.GetLocalReplyConfig().GetMappers() {
		if !fits(mapper.Filter, r, status) {
			continue
		}
		for _, add := range mapper.HeadersToAdd {
			if add.AppendAction == core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
				w.Header().Del(add.Header.Key)
			}
			w.Header().Add(add.Header.Key, add.Header.Value)
		}
		if format := mapper.BodyFormatOverride; format != nil {
			body = format.GetTextFormatSource().GetInlineString()
			w.Header().Set("Content-Type", format.ContentType)
		}
		break
	}
	w.WriteHeader(status)
	io.WriteString(w, body) // an error means that the client has gone
}

func fits(f *accesslog.AccessLogFilter, r *http.Request, status int) bool {
	switch {
	case f.GetAndFilter() != nil:
		for _, each := range f.GetAndFilter().Filters {
			if !fits(each, r, status) {
				return false
			}
		}
		return true
	case f.GetHeaderFilter() != nil:
		h := f.GetHeaderFilter().Header
		return r.Header.Get(h.Name) != "" && matches(h.GetStringMatch(), r.Header.Get(h.Name))
	}
	return f.GetStatusCodeFilter() != nil && f.GetStatusCodeFilter().Comparison.Op == accesslog.ComparisonFilter_EQ &&
		int(f.GetStatusCodeFilter().Comparison.Value.DefaultValue) == status
}

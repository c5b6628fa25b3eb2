package authsvc

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// asked is the request that a gateway asks about: what the browser sent to the application.
type asked struct {
	Method string
	Scheme string // "http" or "https"
	Host   string // canonical, with the port unless it is the scheme's own
	URI    string // path and query as they were sent, starting with a slash
}

// url returns the asked address, "" when it is unknown.
func (a asked) url() string {
	if a.URI == "" {
		return ""
	}
	return a.Scheme + "://" + a.Host + a.URI
}

// errRequestUnknown says that the gateway did not tell, or not clearly, what was asked. Its message names the
// directive that is missing or wrong.
var errRequestUnknown = errors.New("the asked request is unknown")

// maxURI bounds an asked URI, in bytes; gateways take 8 KB at most unless told otherwise.
const maxURI = 64 << 10

// askedOfAuth reads what was asked from the headers of the dialect of /auth, which nginx and its
// relatives speak. The peer must be a trusted proxy: the caller has checked it. Headers that say the same are fine;
// headers that disagree, that are repeated or that cannot be parsed make the request unknown. When only the method is missing the
// address is returned beside the error.
func askedOfAuth(r *http.Request, _ requestInfo, _ *sites) (asked, error) {
	single := headerReader{header: r.Header}
	var a asked
	agree := agreement{}

	if original := single.get("X-Original-Url"); original != "" {
		scheme, authority, uri, ok := splitURL(original)
		if !ok || authority == "" {
			return asked{}, fmt.Errorf("%w: X-Original-URL is not an http or https URL with a host", errRequestUnknown)
		}
		if uri == "" {
			uri = "/"
		}
		agree.set(&a.Scheme, scheme, "X-Original-URL")
		agree.setHost(&a.Host, a.Scheme, authority, "X-Original-URL")
		agree.set(&a.URI, uri, "X-Original-URL")
	}
	agree.set(&a.Scheme, lowerASCII(single.get("X-Forwarded-Proto")), "X-Forwarded-Proto")
	if host := single.get("X-Forwarded-Host"); host != "" {
		agree.setHost(&a.Host, a.Scheme, host, "X-Forwarded-Host")
	} else if a.Host == "" {
		// Some gateways put the name of this service here, so Host counts only when nothing else tells.
		agree.setHost(&a.Host, a.Scheme, r.Host, "Host")
	}
	agree.set(&a.URI, single.get("X-Original-Uri"), "X-Original-URI")
	agree.set(&a.URI, single.get("X-Forwarded-Uri"), "X-Forwarded-Uri")
	agree.set(&a.Method, single.get("X-Original-Method"), "X-Original-Method")
	agree.set(&a.Method, single.get("X-Forwarded-Method"), "X-Forwarded-Method")

	return a.whole(cmp.Or(single.err, agree.err), missing{
		uri:    "set X-Original-URL ($scheme://$host$request_uri in nginx)",
		scheme: "set X-Original-URL, or X-Forwarded-Proto beside X-Original-URI",
		method: "set X-Original-Method ($request_method in nginx)",
	})
}

// missing is what the operator is told where a part of what was asked is missing.
type missing struct{ uri, scheme, method string }

// whole returns what was read, unless that failed with err, or it is not all there, or cannot be. When only the method is missing the rest is
// returned beside the error.
func (a asked) whole(err error, parts missing) (asked, error) {
	switch {
	case err != nil:
		return asked{}, err
	case a.URI == "":
		return asked{}, fmt.Errorf("%w: %s", errRequestUnknown, parts.uri)
	case a.Scheme == "":
		return asked{}, fmt.Errorf("%w: %s", errRequestUnknown, parts.scheme)
	}
	if err := checkAsked(a); err != nil {
		return asked{}, err
	}
	if a.Method == "" {
		return a, fmt.Errorf("%w: %s", errRequestUnknown, parts.method)
	}
	return a, nil
}

// askedOfForward is askedOfAuth for the dialect of /forward: four headers, each from one place.
func askedOfForward(r *http.Request, _ requestInfo, _ *sites) (asked, error) {
	single := headerReader{header: r.Header}
	var agree agreement
	a := asked{Method: single.get("X-Forwarded-Method"), URI: single.get("X-Forwarded-Uri")}
	switch scheme := lowerASCII(single.get("X-Forwarded-Proto")); scheme {
	case "ws": // Traefik says so of a WebSocket's handshake, where trustForwardHeader is set
		a.Scheme = "http"
	case "wss":
		a.Scheme = "https"
	default:
		a.Scheme = scheme
	}
	agree.setHost(&a.Host, a.Scheme, single.get("X-Forwarded-Host"), "X-Forwarded-Host")
	return a.whole(cmp.Or(single.err, agree.err), missing{
		uri: "X-Forwarded-Uri is missing", scheme: "X-Forwarded-Proto is missing", method: "X-Forwarded-Method is missing",
	})
}

// askedOfEnvoy is askedOfAuth for the dialect of /envoy/, in which the check is the original request with a prefix to its path. The
// path is taken from the request line: nothing has decoded or cleaned it. Envoy passes X-Forwarded-Proto only where it is told to,
// so without it the scheme is that of the site's public_url.
func askedOfEnvoy(r *http.Request, info requestInfo, all *sites) (asked, error) {
	single := headerReader{header: r.Header}
	var agree agreement
	prefix := info.prefix + "/envoy"
	uri, below := strings.CutPrefix(r.RequestURI, prefix)
	a := asked{Method: r.Method, URI: uri, Scheme: lowerASCII(single.get("X-Forwarded-Proto"))}
	if a.Scheme == "" {
		a.Scheme, _, _ = strings.Cut(cmp.Or(all.ofHost(lowerASCII(r.Host)), all.main).origin, ":")
	}
	agree.setHost(&a.Host, a.Scheme, r.Host, "Host")
	switch {
	case single.err != nil:
		return asked{}, single.err
	case agree.err != nil:
		return asked{}, agree.err
	case !below || uri == "":
		return asked{}, fmt.Errorf("%w: the request line has no path below %s; set path_prefix to that", errRequestUnknown, prefix)
	}
	if err := checkAsked(a); err != nil {
		return asked{}, err
	}
	return a, nil
}

// checkAsked refuses what no gateway would have let through as it is.
func checkAsked(a asked) error {
	if a.Host == "" {
		return fmt.Errorf("%w: no host is named", errRequestUnknown)
	}
	if a.Scheme != "http" && a.Scheme != "https" {
		return fmt.Errorf("%w: its scheme is neither http nor https", errRequestUnknown)
	}
	if a.URI[0] != '/' || len(a.URI) > maxURI {
		return fmt.Errorf("%w: its URI does not start with a slash or is too long", errRequestUnknown)
	}
	for i := range len(a.URI) {
		if c := a.URI[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("%w: its URI contains a control character or a space", errRequestUnknown)
		}
	}
	for i := range len(a.Method) {
		if c := a.Method[i]; (c < 'A' || c > 'Z') && c != '-' {
			return fmt.Errorf("%w: its method is not one", errRequestUnknown)
		}
	}
	return nil
}

// headerReader reads headers that must not be repeated, and keeps the first error.
type headerReader struct {
	header http.Header
	err    error
}

func (h *headerReader) get(canonical string) string {
	values := h.header[canonical]
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	if h.err == nil {
		h.err = fmt.Errorf("%w: %s is repeated", errRequestUnknown, canonical)
	}
	return ""
}

// agreement collects a value from several headers, and keeps the first contradiction.
type agreement struct{ err error }

func (g *agreement) set(field *string, value, header string) {
	switch {
	case value == "" || g.err != nil:
	case *field == "":
		*field = value
	case *field != value:
		g.err = fmt.Errorf("%w: %s disagrees with another header", errRequestUnknown, header)
	}
}

func (g *agreement) setHost(field *string, scheme, authority, header string) {
	if authority == "" || g.err != nil {
		return
	}
	at, err := parseHostPort(scheme, authority)
	if err != nil {
		g.err = fmt.Errorf("%w: %s names no host: %w", errRequestUnknown, header, err)
		return
	}
	host := at.host
	if !at.standard {
		host += ":" + at.port
	}
	g.set(field, host, header)
}

package redisstore

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// topology is how the Redis behind a URL is laid out.
type topology int

const (
	standalone topology = iota
	sentinel
	cluster
)

// location is what a store URL says.
type location struct {
	topology  topology
	tls       bool
	unix      bool     // then the only address is a path
	addresses []string // host:port
	master    string   // the name that sentinels know the master by
	database  int

	user, password                 string
	sentinelUser, sentinelPassword string
	caFile, certFile, keyFile      string
	serverName                     string
}

// credentials returns what a connection says who it is; password, unless nil, wins over the URL's unless it gives none.
func (loc location) credentials(password func() string) func() (user, password string) {
	return func() (string, string) {
		if password != nil {
			if p := password(); p != "" {
				return loc.user, p
			}
		}
		return loc.user, loc.password
	}
}

var schemes = map[string]location{
	"redis":           {topology: standalone},
	"rediss":          {topology: standalone, tls: true},
	"unix":            {topology: standalone, unix: true},
	"redis+sentinel":  {topology: sentinel},
	"rediss+sentinel": {topology: sentinel, tls: true},
	"redis+cluster":   {topology: cluster},
	"rediss+cluster":  {topology: cluster, tls: true},
}

var errScheme = errors.New("store URL: the scheme is none of redis, rediss, unix, redis+sentinel, " +
	"rediss+sentinel, redis+cluster, rediss+cluster; a URL looks like redis://host:6379/0")

// parseURL reads a store URL. It is taken apart by hand: a list of hosts is no valid authority for net/url,
// and net/url's errors quote what they are about, which here may be a password. Its errors quote nothing but names
// of query parameters, after it is certain that these are not the tail of a password.
func parseURL(text string) (location, error) {
	scheme, rest, found := strings.Cut(text, "://")
	loc, known := schemes[scheme]
	if !found || !known {
		return location{}, errScheme
	}
	authority, path, query := split(rest)
	if strings.Contains(path+query, "@") {
		return location{}, errors.New("store URL: there is an @ behind the host; " +
			"write @ as %40, / as %2F, ? as %3F and # as %23 in user, password, path and query")
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		if err := loc.setUser(authority[:at]); err != nil {
			return location{}, err
		}
		authority = authority[at+1:]
	}
	if strings.Contains(query, "#") {
		return location{}, errors.New("store URL: it has a fragment; write # as %23")
	}
	if err := loc.setPath(authority, path); err != nil {
		return location{}, err
	}
	if err := loc.setQuery(query); err != nil {
		return location{}, err
	}
	return loc, nil
}

// split cuts what follows the scheme into authority, path and query.
func split(rest string) (authority, path, query string) {
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest, query = rest[:i], strings.TrimPrefix(rest[i:], "?")
	}
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		rest, path = rest[:i], rest[i:]
	}
	return rest, path, query
}

func (loc *location) setUser(info string) error {
	user, password, _ := strings.Cut(info, ":")
	var errUser, errPassword error
	loc.user, errUser = url.PathUnescape(user)
	loc.password, errPassword = url.PathUnescape(password)
	if errUser != nil || errPassword != nil {
		return errors.New("store URL: user or password is not percent-encoded; write % as %25")
	}
	return nil
}

func (loc *location) setPath(authority, path string) (err error) {
	if loc.unix {
		socket, err := url.PathUnescape(path)
		if authority != "" || err != nil || len(socket) < 2 || strings.ContainsRune(socket, 0) {
			return errors.New("store URL: a socket is named by an absolute path, as in unix:///run/redis.sock?db=0")
		}
		loc.addresses = []string{socket}
		return nil
	}
	defaultPort := "6379"
	if loc.topology == sentinel {
		defaultPort = "26379"
	}
	for host := range strings.SplitSeq(authority, ",") {
		address, err := hostPort(host, defaultPort)
		if err != nil {
			return err
		}
		loc.addresses = append(loc.addresses, address)
	}
	path = strings.TrimPrefix(path, "/")
	switch loc.topology {
	case cluster:
		if path != "" {
			return errors.New("store URL: a Redis Cluster has only database 0; nothing follows the hosts")
		}
		return nil
	case sentinel:
		var master string
		master, path, _ = strings.Cut(path, "/")
		loc.master, err = url.PathUnescape(master)
		if err != nil || loc.master == "" {
			return errors.New("store URL: the master's name is missing; write redis+sentinel://h1:26379,h2/master/0")
		}
	default:
		if len(loc.addresses) != 1 {
			return errors.New("store URL: several hosts need redis+sentinel or redis+cluster")
		}
	}
	return loc.setDatabase(path)
}

func (loc *location) setDatabase(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return errors.New("store URL: the database is a number, as in redis://host:6379/0")
	}
	loc.database = int(n)
	return nil
}

// hostPort reads host, host:port, [v6] or [v6]:port.
func hostPort(text, defaultPort string) (string, error) {
	wrong := errors.New("store URL: a host is missing or malformed; write host:port, or [::1]:port for IPv6")
	host, port := text, defaultPort
	if i := strings.LastIndexByte(text, ':'); i >= 0 && !strings.HasSuffix(text, "]") {
		host, port = text[:i], text[i+1:]
	}
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		if host, bracketed = strings.CutSuffix(inner, "]"); !bracketed || net.ParseIP(host) == nil {
			return "", wrong
		}
	} else if strings.ContainsAny(host, ":[]%\\ \t\r\n\x00") {
		return "", wrong
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if host == "" || err != nil || n == 0 {
		return "", wrong
	}
	return net.JoinHostPort(host, strconv.FormatUint(n, 10)), nil
}

func (loc *location) setQuery(query string) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return errors.New("store URL: the query is malformed; write it as ?name=value&name=value, percent-encoded")
	}
	targets := map[string]*string{}
	if loc.tls {
		targets["ca_file"], targets["cert_file"], targets["key_file"] = &loc.caFile, &loc.certFile, &loc.keyFile
		targets["server_name"] = &loc.serverName
	}
	if loc.topology == sentinel {
		targets["sentinel_user"], targets["sentinel_password"] = &loc.sentinelUser, &loc.sentinelPassword
	}
	var database string
	if loc.unix {
		targets["db"] = &database
	}
	for name, given := range values {
		target := targets[name]
		if target == nil {
			return unknownParameter(name)
		}
		if len(given) != 1 {
			return fmt.Errorf("store URL: the query has %s more than once", name)
		}
		*target = given[0]
	}
	if (loc.certFile == "") != (loc.keyFile == "") {
		return errors.New("store URL: cert_file and key_file go together; one of them is missing")
	}
	return loc.setDatabase(database)
}

func unknownParameter(name string) error {
	const known = "known are ca_file, cert_file, key_file and server_name with rediss, rediss+sentinel and rediss+cluster, " +
		"sentinel_user and sentinel_password with sentinels, and db with unix"
	if slices.Contains([]string{"ca_file", "cert_file", "key_file", "server_name", "sentinel_user", "sentinel_password", "db"}, name) {
		return fmt.Errorf("store URL: %s does not go with this scheme; %s", name, known)
	}
	return errors.New("store URL: the query has an unknown parameter; " + known)
}

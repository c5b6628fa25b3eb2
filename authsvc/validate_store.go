package authsvc

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (v *validator) store() {
	if v.c.Store.URL == "memory:" {
		v.warn("store.url", "memory: keeps sessions in this process: they end with it", "run one replica only, or name a Redis such as redis://localhost:6379/0")
	} else if err := checkStoreURL(v.c.Store.URL.Reveal()); err != nil {
		v.wrong("store.url", err.wrong, err.right)
	}
	if !isStorePrefix(v.c.Store.Prefix) {
		v.wrong("store.prefix", quote(v.c.Store.Prefix)+" is no prefix of keys", "use up to 64 letters, digits and . _ - :, such as authsvc")
	}
	if v.duration("store.timeout", v.c.Store.Timeout, time.Millisecond, maxStoreTimeout) && v.c.Store.Timeout > verdictTime {
		v.warn("store.timeout", formatDuration(v.c.Store.Timeout)+" is longer than a verdict waits", "verdicts are given within 150ms all the same; logins and logouts use it")
	}
}

// isStorePrefix reports whether a prefix has no braces, which would move a cluster's hash tag, and nothing that a pattern of Redis would take for
// more than itself.
func isStorePrefix(prefix string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:-"
	return prefix != "" && len(prefix) <= 64 && strings.Trim(prefix, letters) == ""
}

// storeProblem says what is wrong with a store's address, and never what the address says: it may hold a password.
type storeProblem struct{ wrong, right string }

// storeForms are the schemes of a store, each with an example.
var storeForms = map[string]string{
	"redis":           "redis://user:pass@host:6379/0",
	"rediss":          "rediss://user:pass@host:6379/0",
	"unix":            "unix:///run/redis.sock?db=0",
	"redis+sentinel":  "redis+sentinel://host1:26379,host2:26379/master/0",
	"rediss+sentinel": "rediss+sentinel://host1:26379,host2:26379/master/0",
	"redis+cluster":   "redis+cluster://host1:6379,host2:6379",
	"rediss+cluster":  "rediss+cluster://host1:6379,host2:6379",
}

func checkStoreURL(address string) *storeProblem {
	scheme, rest, found := strings.Cut(address, "://")
	form, known := storeForms[scheme]
	if !found || !known {
		return &storeProblem{"is no address of a store", "begin with redis://, rediss://, unix:///, redis+sentinel://, redis+cluster://, rediss+sentinel:// or rediss+cluster://, or write memory:"}
	}
	rest, query, _ := strings.Cut(rest, "?")
	authority, path := cutAny(rest, "/"), rest[len(cutAny(rest, "/")):]
	if strings.Contains(address, "#") || strings.Contains(path+query, "@") {
		return &storeProblem{"has a #, or an @ behind the host", "write @ as %40, / as %2F, ? as %3F and # as %23 in user, password, path and query"}
	}
	hosts := authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		if _, err := url.PathUnescape(authority[:i]); err != nil || strings.Contains(authority[:i], "@") {
			return &storeProblem{"its user or password has a @ or % as it is", "write them as %40 and %25, or use store.password"}
		}
		hosts = authority[i+1:]
	}
	if err := checkStorePlace(scheme, hosts, path); err != nil {
		return &storeProblem{err.Error(), "write it as " + form}
	}
	return checkStoreQuery(scheme, query)
}

// checkStorePlace checks hosts and path: which servers, and which database, or for a unix socket its file.
func checkStorePlace(scheme, hosts, path string) error {
	path, err := url.PathUnescape(path)
	if err != nil {
		return errors.New("its path has a % as it is")
	}
	if scheme == "unix" {
		if hosts != "" || len(path) < 2 || strings.ContainsRune(path, 0) {
			return errors.New("has no absolute path of a socket")
		}
		return nil
	}
	list := strings.Split(hosts, ",")
	_, kind, _ := strings.Cut(scheme, "+")
	if kind == "" && len(list) > 1 {
		return errors.New("names several hosts")
	}
	for _, host := range list {
		if _, err := parseHostPort("", host); err != nil {
			return err
		}
	}
	database := strings.TrimPrefix(path, "/")
	switch kind {
	case "sentinel":
		var master string
		master, database, _ = strings.Cut(database, "/")
		if master == "" {
			return errors.New("does not name the master behind the hosts")
		}
	case "cluster":
		if database != "" {
			return errors.New("has a path, and a cluster has no databases")
		}
	}
	return checkDatabase(database)
}

func checkDatabase(text string) error {
	if _, err := strconv.ParseUint(text, 10, 16); err != nil && text != "" {
		return errors.New("its database is no number")
	}
	return nil
}

func checkStoreQuery(scheme, query string) *storeProblem {
	parameters, err := url.ParseQuery(query)
	if err != nil {
		return &storeProblem{"its query cannot be read", "write name=value, with & between them and %25 for %"}
	}
	allowed := storeParametersOf(scheme)
	for name, values := range parameters {
		switch {
		case !slices.Contains(storeParameters, name):
			// Its name stays untold: behind an & in a password it is a part of that.
			right := "remove it"
			if meant := nearest(name, allowed); meant != "" {
				right = "did you mean " + meant + "?"
			} else if len(allowed) > 0 {
				right = "use none, or one of " + strings.Join(allowed, ", ")
			}
			return &storeProblem{"has a parameter that is not known", right}
		case !slices.Contains(allowed, name):
			return &storeProblem{"has the parameter " + name + ", which means nothing with " + scheme + "://", "remove it, or use a scheme that has it"}
		case len(values) > 1 || values[0] == "":
			return &storeProblem{"its parameter " + name + " is empty or stands there twice", "give it one value"}
		}
	}
	if parameters.Has("cert_file") != parameters.Has("key_file") {
		return &storeProblem{"has only one of cert_file and key_file", "give both or neither"}
	}
	if err := checkDatabase(parameters.Get("db")); err != nil {
		return &storeProblem{err.Error(), "write it as ?db=0"}
	}
	return nil
}

func storeParametersOf(scheme string) (allowed []string) {
	if scheme == "unix" {
		return []string{"db"}
	}
	if strings.HasPrefix(scheme, "rediss") {
		allowed = append(allowed, "ca_file", "cert_file", "key_file", "server_name")
	}
	if strings.HasSuffix(scheme, "+sentinel") {
		allowed = append(allowed, "sentinel_user", "sentinel_password")
	}
	return allowed
}

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"authsvc/session/redisstore"
)

// patience is how long a check waits for one answer of Redis: long enough to measure one that is too slow for the service.
const patience = 2 * time.Second

func checkStore(ctx context.Context, o *online) []finding {
	const subject = "redis"
	if o.config.Store.URL == "memory:" {
		return []finding{{skipped, subject, "sessions are kept in the memory of the one replica", ""}}
	}
	store, err := redisstore.Open(redisstore.Options{
		URL: o.config.Store.URL.Reveal(), Password: o.config.Store.Password.Reveal, Prefix: o.config.Store.Prefix, Timeout: patience,
	})
	if err != nil {
		return []finding{{problem, subject, err.Error(), ""}}
	}
	reached, err := reachStore(ctx, o, store)
	if err != nil {
		store.Close()
		return []finding{storeFinding(err)}
	}
	o.store = store
	findings := append([]finding{reached}, storeFindings(ctx, store)...)
	o.ahead = time.Until(store.Now())
	return findings
}

// reachStore measures how soon the store answers. That the user may not ask is the rights' finding.
func reachStore(ctx context.Context, o *online, store *redisstore.Store) (finding, error) {
	const tries = 5
	fastest := patience
	for n := range tries {
		start := time.Now()
		if err := store.Ping(ctx); err != nil && redisstore.Cause(err) != "permission" {
			return finding{}, err
		}
		if n > 0 { // the first one also connects
			fastest = min(fastest, time.Since(start))
		}
	}
	f := finding{good, "redis", fmt.Sprintf("%s answers in %v", o.config.Store.URL, fastest.Round(10*time.Microsecond)), ""}
	if fastest > o.config.Store.Timeout/2 {
		f.level = warning
		f.do = fmt.Sprintf("store.timeout is %v: bring Redis nearer, or allow it more time", o.config.Store.Timeout)
	}
	return f, nil
}

// storeFindings looks at a store that answers, and stores a session of its own.
func storeFindings(ctx context.Context, store *redisstore.Store) []finding {
	findings, err := serverFindings(ctx, store)
	if err != nil {
		findings = []finding{storeFinding(err)}
	}
	rights, err := rightsFinding(ctx, store)
	if err != nil {
		rights = storeFinding(err)
	}
	if findings = append(findings, rights); rights.level != good {
		return findings
	}
	if err := store.SelfTest(ctx); err != nil {
		return append(findings, storeFinding(err))
	}
	findings = append(findings, finding{good, "redis self-test", "a session was stored, changed, found and ended", ""})
	totals, err := store.Count(ctx)
	if err != nil {
		return append(findings, storeFinding(err))
	}
	return append(findings, finding{good, "redis sessions", fmt.Sprintf("%d of %d users, %s", totals.Sessions, totals.Users, size(totals.Bytes)), ""})
}

// rightsFinding tries each right that the service uses. An error means that the store could not be asked.
func rightsFinding(ctx context.Context, store *redisstore.Store) (finding, error) {
	const subject = "redis rights"
	missing, err := store.MissingRights(ctx)
	switch {
	case err != nil:
		return finding{}, err
	case len(missing) > 0:
		all := strings.Join(missing, " ")
		return finding{problem, subject, "the user lacks " + all, "grant them: ACL SETUSER <user> " + all}, nil
	}
	return finding{good, subject, "the user may do all that is needed", ""}, nil
}

// storeFinding tells why the store could not be asked, and what to do about the usual causes.
func storeFinding(err error) finding {
	do := map[string]string{
		"refused":     "nothing listens there: check store.url, and that Redis runs",
		"timeout":     "check store.url, and that no firewall lies between",
		"connection":  "check store.url, and whether Redis wants TLS (rediss://)",
		"tls":         "check the certificate, and ca_file and server_name in store.url",
		"auth":        "check user and password in store.url, store.password and store.password_file",
		"permission":  "grant what is missing: ACL SETUSER <user>",
		"readonly":    "store.url names a replica, which takes no writes: name the master, or the sentinels (redis+sentinel://)",
		"memory":      "its memory is full: raise maxmemory; until then nobody can sign in",
		"persistence": "it cannot write to disk and so takes no writes: see its log",
		"replicas":    "too few of its replicas are connected to take writes: see min-replicas-to-write",
		"clients":     "raise maxclients",
		"cluster":     "the Cluster is not whole, or store.url does not name it (redis+cluster://)",
		"loading":     "it is loading its data: try again in a moment",
	}[redisstore.Cause(err)]
	return finding{problem, "redis", err.Error(), do}
}

// serverFindings looks at the servers themselves, each of which may be set up differently. An error means that they could not be asked; that
// they may not be is a finding.
func serverFindings(ctx context.Context, store *redisstore.Store) (findings []finding, err error) {
	servers, err := store.Servers(ctx)
	switch {
	case redisstore.Cause(err) == "permission":
		return []finding{{skipped, "redis server", "version, eviction policy and memory cannot be seen", "grant +info to have them checked; the service does not need it"}}, nil
	case err != nil:
		return nil, err
	}
	for _, s := range servers {
		findings = append(findings, versionFinding(s, store.Topology()), evictionFinding(s), memoryFinding(s))
	}
	return findings, nil
}

func versionFinding(s redisstore.Server, topology string) finding {
	f := finding{good, "redis server", fmt.Sprintf("%s is version %s, %s", s.Address, s.Version, topology), ""}
	var major, minor int
	if n, _ := fmt.Sscanf(s.Version, "%d.%d", &major, &minor); n == 2 && (major < 6 || major == 6 && minor < 2) {
		f.level, f.do = problem, "the service needs 6.2 or later"
	}
	return f
}

// evictionFinding tells whether sessions that are in use can be removed to make room.
func evictionFinding(s redisstore.Server) finding {
	f := finding{good, "redis eviction", fmt.Sprintf("maxmemory-policy of %s is %s", s.Address, s.EvictionPolicy), ""}
	switch {
	case s.EvictsAny():
		f.level = warning
		f.what += ": when its memory is full it signs out people who are at work"
		f.do = "CONFIG SET maxmemory-policy noeviction, which refuses new logins instead, or volatile-ttl, which ends the sessions that nobody has used for longest"
		if s.MaxMemory == 0 {
			f.what += " (maxmemory is not set, so this does not happen yet)"
		}
	case s.EvictionPolicy == "volatile-ttl":
		f.what += ": when its memory is full it ends the sessions that nobody has used for longest"
	}
	return f
}

func memoryFinding(s redisstore.Server) finding {
	f := finding{good, "redis memory", fmt.Sprintf("%s uses %s, and may use any amount", s.Address, size(s.UsedMemory)), ""}
	if s.MaxMemory > 0 {
		f.what = fmt.Sprintf("%s uses %s of %s", s.Address, size(s.UsedMemory), size(s.MaxMemory))
		if s.UsedMemory > s.MaxMemory/5*4 {
			f.level, f.do = warning, "raise maxmemory: a session takes about 5 KB with everything"
		}
	}
	return f
}

// size writes a number of bytes for people.
func size(n int64) string {
	value, unit := float64(n), "B"
	for _, larger := range []string{"KB", "MB", "GB", "TB"} {
		if value < 1000 {
			break
		}
		value, unit = value/1000, larger
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}

package authsvc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRules bounds the rules of a site: a verdict may compare them all.
	maxRules = 1000
	// minMaxAge leaves a person time to come back from the login, and clocks to differ.
	minMaxAge = time.Minute
)

// methods are the registered request methods (IANA HTTP Method Registry), less PRI and *, which no request has.
var methods = strings.Fields(`ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT CONNECT COPY DELETE GET HEAD LABEL LINK LOCK MERGE MKACTIVITY
	MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND
	UNCHECKOUT UNLINK UNLOCK UPDATE UPDATEREDIRECTREF VERSION-CONTROL`)

// ruleProblem is one thing that is wrong with a rule, or worth a warning: at a key of the rule, or at the rule as a whole.
type ruleProblem struct {
	rule         int
	key          string // such as "paths[0]"; empty for the rule
	wrong, right string
	warning      bool
}

// place is the path of the problem's key below the list of rules.
func (p ruleProblem) place() string {
	place := "[" + strconv.Itoa(p.rule) + "]"
	if p.key != "" {
		place += "." + p.key
	}
	return place
}

// compileRules compiles the rules of a site. The set is good only if no problem is more than a warning.
func compileRules(list []Rule, groupsClaim []string) (*ruleSet, []ruleProblem) {
	c := ruleCompiler{set: &ruleSet{groupsClaim: groupsClaim}}
	if len(list) == 0 {
		c.set.rules = []rule{{name: defaultRule}}
	}
	if len(list) > maxRules {
		c.report(maxRules, "", fmt.Sprintf("is more than %d rules", maxRules), "join those that say the same: hosts, paths and methods are lists")
		list = list[:maxRules]
	}
	for i := range list {
		c.compile(i, &list[i])
	}
	c.findUnreachable()
	return c.set, c.problems
}

// ruleCompiler collects compiled rules and what is wrong with them.
type ruleCompiler struct {
	set      *ruleSet
	problems []ruleProblem
}

func (c *ruleCompiler) report(i int, key, wrong, right string) {
	c.problems = append(c.problems, ruleProblem{rule: i, key: key, wrong: wrong, right: right})
}

func (c *ruleCompiler) compile(i int, from *Rule) {
	r := rule{name: from.Name, methods: from.Methods, groups: from.Groups, demand: demand{from.ACR, from.MaxAge}}
	c.name(i, &r)
	c.entries(i, "hosts", from.Hosts, func(entry string) (err error) {
		host, err := parseHostRule(entry)
		r.hosts = append(r.hosts, host)
		return err
	}, "write a host as browsers send it, such as app.example.com, or *.example.com for all below it")
	c.entries(i, "paths", from.Paths, func(entry string) (err error) {
		path, err := parsePathRule(entry)
		r.paths = append(r.paths, path)
		return err
	}, "write a path as people read it, such as /reports/2026, with * in a segment, and /** at the end for the rest")
	c.entries(i, "methods", from.Methods, checkMethod, "write one in capitals, such as GET")
	c.entries(i, "groups", from.Groups, checkNotEmpty, "write the name of a group")
	c.entries(i, "emails", from.Emails, func(entry string) error {
		email, ok := canonicalEmail(entry, written)
		if r.emails = append(r.emails, lowerASCII(email)); !ok {
			return errors.New("is no address")
		}
		return nil
	}, "write a whole address, such as jane@example.com; for all of a domain there is email_domains")
	c.entries(i, "email_domains", from.EmailDomains, func(entry string) error {
		domain, ok := parseEmailDomain(entry)
		if r.domains = append(r.domains, domain); !ok {
			return errors.New("is no domain")
		}
		return nil
	}, "write a domain, such as example.com, or *.example.com for all below it")
	c.entries(i, "acr", from.ACR, checkContext, "write the provider's name for it, without spaces")
	if len(strings.Join(from.ACR, " ")) > maxContexts {
		c.report(i, "acr", fmt.Sprintf("has more than %d bytes", maxContexts), "keep the contexts that the provider gives")
	}
	if from.MaxAge != 0 && from.MaxAge < minMaxAge {
		c.report(i, "max_age", formatDuration(from.MaxAge)+" is too short: nobody could come back from the login in time", "write at least "+formatDuration(minMaxAge))
	}
	c.access(i, from, &r)
	c.expression(i, from, &r)
	c.set.looks = c.set.looks || len(r.hosts) > 0 || len(r.paths) > 0 || len(r.methods) > 0
	c.set.paths = c.set.paths || len(r.paths) > 0
	c.set.asks = c.set.asks || len(r.groups)+len(r.emails)+len(r.domains) > 0
	c.set.opens = c.set.opens || len(r.demand.ACR) > 0 || r.demand.MaxAge > 0 || r.when != nil && r.when.looksAtSession
	c.set.rules = append(c.set.rules, r)
}

// name gives a rule without a name that of its place.
func (c *ruleCompiler) name(i int, r *rule) {
	switch {
	case r.name == "":
		r.name = "#" + strconv.Itoa(i+1)
		return
	case len(r.name) > 64 || strings.ContainsFunc(r.name, func(r rune) bool {
		return !strings.ContainsRune("-_.", r) && (r < '0' || '9' < r) && (r < 'A' || 'Z' < r) && (r < 'a' || 'z' < r)
	}):
		c.report(i, "name", "is no plain name", "use at most 64 letters, digits and - _ .")
	}
	if first := slices.IndexFunc(c.set.rules, func(other rule) bool { return other.name == r.name }); first >= 0 {
		c.report(i, "name", fmt.Sprintf("rules[%d] has the same", first), "give each rule a name of its own, or none")
	}
}

// entries checks a list, entry by entry.
func (c *ruleCompiler) entries(i int, key string, list []string, check func(string) error, right string) {
	if list != nil && len(list) == 0 {
		// Whoever makes the list of a program's output may mean nobody by it, where leaving it out means everybody.
		c.report(i, key, "is an empty list, which asks for nothing", right+", or remove the key")
	}
	for j, entry := range list {
		if err := check(entry); err != nil {
			c.report(i, item(key, j), err.Error(), right)
		} else if slices.Contains(list[:j], entry) {
			c.report(i, item(key, j), "stands here a second time", "keep one of the two")
		}
	}
}

// access reads whom the rule lets pass, and refuses conditions on somebody whom nobody will know.
func (c *ruleCompiler) access(i int, from *Rule, r *rule) {
	switch from.Allow {
	case "", "signed_in":
		return
	case "optional":
		r.access = accessOptional
	case "public":
		r.access = accessPublic
	default:
		c.report(i, "allow", quote(from.Allow)+" is not one of its words", "write public, optional or signed_in")
		return
	}
	for _, condition := range []struct {
		key string
		set bool
	}{
		{"groups", len(from.Groups) > 0}, {"emails", len(from.Emails) > 0}, {"email_domains", len(from.EmailDomains) > 0},
		{"acr", len(from.ACR) > 0}, {"max_age", from.MaxAge != 0},
	} {
		if condition.set {
			c.report(i, condition.key, "asks who somebody is, and allow: "+from.Allow+" lets everyone pass", "remove it, or write allow: signed_in")
		}
	}
}

// expression compiles the rule's when.
func (c *ruleCompiler) expression(i int, from *Rule, r *rule) {
	if from.When == "" {
		return
	}
	when, err := compileWhen(from.When)
	if err != nil {
		c.report(i, "when", err.Error(), rightWhen)
		return
	}
	if r.access != accessSignedIn && when.looksAtSession {
		c.report(i, "when", "asks who somebody is, and allow: "+from.Allow+" lets everyone pass", "look at request alone, or write allow: signed_in")
	}
	r.when = when
	c.set.looks = c.set.looks || when.looksAtRequest
	c.set.paths = c.set.paths || when.looksAtPath
	c.set.claims = append(c.set.claims, when.claims...)
	c.set.anyClaim = c.set.anyClaim || when.anyClaim
}

// findUnreachable reports every rule about requests for which an earlier one speaks, unless that has a mistake: it is not yet what it is meant to
// be. One with a name and nothing about requests may be meant for the query of a check.
func (c *ruleCompiler) findUnreachable() {
	mistaken := map[int]bool{}
	for _, p := range c.problems {
		mistaken[p.rule] = true
	}
	for i := range c.set.rules {
		r := &c.set.rules[i]
		first := slices.IndexFunc(c.set.rules[:i], func(other rule) bool { return other.covers(r) })
		if first < 0 || mistaken[first] {
			continue
		}
		wrong := fmt.Sprintf("is never reached: rules[%d] (%s) is about all that this one is about", first, c.set.rules[first].name)
		forQuery := !strings.HasPrefix(r.name, "#") && len(r.hosts)+len(r.paths)+len(r.methods) == 0
		right := "move it up, or remove it"
		if forQuery {
			wrong, right = fmt.Sprintf("counts only for checks with ?rule=%s: rules[%d] (%s) is about all requests", r.name, first, c.set.rules[first].name), "move it up if it is meant for more"
		}
		c.problems = append(c.problems, ruleProblem{rule: i, wrong: wrong, right: right, warning: forQuery})
	}
}

func checkMethod(entry string) error {
	switch {
	case slices.Contains(methods, entry):
		return nil
	case slices.Contains(methods, strings.ToUpper(entry)):
		return errors.New(quote(entry) + " is no method: their names have capitals only")
	}
	return errors.New(quote(entry) + " is no registered method")
}

func checkNotEmpty(entry string) error {
	if strings.TrimSpace(entry) != entry || entry == "" {
		return errors.New("is empty, or begins or ends with a space")
	}
	return nil
}

func checkContext(entry string) error {
	if entry == "" || strings.ContainsFunc(entry, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("is empty, or has a space, a control character or one beyond ASCII")
	}
	return nil
}

// parseEmailDomain reads "example.com", or "*.example.com" for all domains below it.
func parseEmailDomain(entry string) (d hostRule, ok bool) {
	if d.host, d.subdomains = strings.CutPrefix(entry, "*."); !d.subdomains {
		d.host, d.subdomains = strings.CutPrefix(entry, ".")
	}
	d.host, ok = canonicalEmailDomain(d.host, written)
	return d, ok
}

package lint

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// Severity is how much a finding matters.
type Severity int

const (
	Info    Severity = iota // worth knowing, or to be said deliberately
	Warning                 // goes wrong for some people or some day
	Error                   // lets strangers in, or breaks logins
)

// String is "info", "warning" or "error".
func (s Severity) String() string {
	switch s {
	case Info:
		return "info"
	case Warning:
		return "warning"
	case Error:
		return "error"
	}
	return fmt.Sprintf("Severity(%d)", int(s))
}

// MarshalText writes what String says.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one thing that one rule found at one place.
type Finding struct {
	File     string   `json:"file"` // as the caller or an include names it
	Line     int      `json:"line"` // counts from 1
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	What     string   `json:"what"` // what stands there, or is missing
	Why      string   `json:"why"`  // what happens by it
	Fix      string   `json:"fix"`  // what would be right
}

// String is the finding as one line: FILE:LINE: SEVERITY: WHAT; WHY; FIX [RULE].
func (f Finding) String() string {
	return fmt.Sprintf("%s:%d: %s: %s; %s; %s [%s]", f.File, f.Line, f.Severity, f.What, f.Why, f.Fix, f.Rule)
}

// Ignored is a finding that a comment silences.
type Ignored struct {
	Finding
	Reason string `json:"reason"` // as the comment gives it
}

// Report is what a lint found, in order of file and line. Both lists may be empty; neither is nil.
type Report struct {
	Servers  int       `json:"servers"` // how many server{} ask for verdicts; the others have nothing to be judged by
	Findings []Finding `json:"findings"`
	Ignored  []Ignored `json:"ignored"`
}

// Options are what the files themselves do not tell. The zero value is good.
type Options struct {
	// Prefix is the path of authsvc's public_url, such as "/oauth2". nil means that it is taken from the check's
	// address, which is Prefix+"/auth".
	Prefix *string

	// Headers are the identity headers that the application reads. nil means those that authsvc sends by default.
	Headers []string

	// ConfDir is the folder that relative includes are in: that of nginx.conf. By default it is the folder of a file
	// that is a whole configuration; for any other file the nearest folder upwards that has an nginx.conf, else
	// the file's own.
	ConfDir string

	// Stdin is what the file name "-" stands for; nil means that there is none.
	Stdin io.Reader
}

// Files lints configuration files and all that they include. Files that are whole configurations are judged each by
// itself, the others together. Safe for concurrent use as long as each call has its own Stdin.
//
// The error joins a [*FileError] for everything that nginx could not read; there is no report then.
func Files(names []string, options Options) (*Report, error) {
	return lint(names, options, disk)
}

func lint(names []string, options Options, files source) (*Report, error) {
	r := &reader{source: files, options: options}
	trees, err := r.read(names)
	if err != nil {
		return nil, err
	}
	report := &Report{Findings: []Finding{}, Ignored: []Ignored{}}
	found := map[Finding]bool{}
	for _, tree := range trees {
		for _, s := range newServers(tree, options) {
			if len(s.checks) == 0 {
				continue
			}
			report.Servers++
			for _, rule := range rules {
				rule.find(s, func(at *directive, severity Severity, what, why, fix string) {
					found[Finding{at.file, at.line, severity, rule.Name, what, why, fix}] = true
				})
			}
		}
	}
	ignores := newIgnores(r.lines, r.comments)
	for finding := range found {
		if reason, ignored := ignores.reason(finding); ignored {
			report.Ignored = append(report.Ignored, Ignored{finding, reason})
		} else {
			report.Findings = append(report.Findings, finding)
		}
	}
	report.Findings = append(report.Findings, ignores.findings()...)
	slices.SortFunc(report.Findings, byPlace)
	slices.SortFunc(report.Ignored, func(a, b Ignored) int { return byPlace(a.Finding, b.Finding) })
	return report, nil
}

func byPlace(a, b Finding) int {
	return cmp.Or(
		cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why), cmp.Compare(a.Fix, b.Fix),
	)
}

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"authsvc/authsvc"
)

// rows takes sessions one by one and writes them as it likes.
type rows interface {
	row(listed) error
	end() error
}

// table is rows for people: ages where somebody looks, times elsewhere.
type table struct {
	out   io.Writer
	ages  bool
	now   time.Time
	sites bool // each line says which
	begun bool
}

// tableRow is a line of the table: what is longer than its column moves the rest of its own line only, so that lines can be written as
// they come.
const tableRow = "%-43s  %-36s  %-20s  %-*s  %-*s  %-*s  %-15s  %s\n"

func newTable(out *bufio.Writer, ages bool, now time.Time, sites bool) rows {
	return &table{out: out, ages: ages, now: now, sites: sites}
}

func (t *table) row(l listed) error {
	if !t.begun {
		t.begun = true
		if err := t.line("ID", "SUBJECT", "NAME", "SIGNED IN", "LAST SEEN", "ENDS", "ADDRESS", "BROWSER", "SITE"); err != nil {
			return err
		}
	}
	return t.line(l.ID.String(), orDash(l.Subject), orDash(l.Label), t.time(l.Created), t.time(l.LastSeen), t.time(l.Expires),
		orDash(l.Address), browserText(l.UserAgent), l.site)
}

func (t *table) line(id, subject, name, signedIn, lastSeen, ends, address, browser, site string) error {
	width := len(time.RFC3339) - len("07:00")
	if t.ages {
		width = len("LAST SEEN")
	}
	if t.sites {
		browser = fmt.Sprintf("%-20s  %s", browser, site)
	}
	_, err := fmt.Fprintf(t.out, tableRow, id, subject, name, width, signedIn, width, lastSeen, width, ends, address, browser)
	return err
}

func (t *table) time(at time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case t.ages:
		return age(at, t.now)
	}
	return at.UTC().Format(time.RFC3339)
}

func (t *table) end() error {
	if t.begun {
		return nil
	}
	_, err := fmt.Fprintln(t.out, "no sessions")
	return err
}

// array is rows as a JSON array, one element a line.
type array struct {
	out   io.Writer
	begun bool
}

func newArray(out *bufio.Writer) rows { return &array{out: out} }

func (a *array) row(l listed) error {
	before := ",\n"
	if !a.begun {
		before, a.begun = "[\n", true
	}
	text, err := marshal(describe(l))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s%s", before, text)
	return err
}

func (a *array) end() error {
	if !a.begun {
		_, err := fmt.Fprintln(a.out, "[]")
		return err
	}
	_, err := fmt.Fprint(a.out, "\n]\n")
	return err
}

// described is a session in JSON. What cannot be told is left out.
type described struct {
	ID            string    `json:"id"`
	Site          string    `json:"site,omitempty"` // public_url, where there are several sites
	Issuer        string    `json:"issuer,omitempty"`
	Subject       string    `json:"subject,omitempty"`
	Label         string    `json:"label,omitempty"`
	CreatedAt     time.Time `json:"created_at,omitzero"`
	LastSeenAt    time.Time `json:"last_seen_at,omitzero"`
	IdleExpiresAt time.Time `json:"idle_expires_at,omitzero"`
	ExpiresAt     time.Time `json:"expires_at"`
	Address       string    `json:"address,omitempty"`
	UserAgent     string    `json:"user_agent,omitempty"`
}

func describe(l listed) described {
	second := func(t time.Time) time.Time {
		if t.IsZero() {
			return t
		}
		return t.UTC().Truncate(time.Second)
	}
	return described{
		ID: l.ID.String(), Site: l.site, Issuer: l.Issuer, Subject: l.Subject, Label: l.Label, CreatedAt: second(l.Created), LastSeenAt: second(l.LastSeen),
		IdleExpiresAt: second(l.IdleExpires), ExpiresAt: second(l.Expires), Address: l.Address, UserAgent: l.UserAgent,
	}
}

// writeSession writes all that is known of a session, one fact a line.
func writeSession(out io.Writer, l listed, now time.Time) error {
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format(time.RFC3339) + "  " + age(t, now)
	}
	var b bytes.Buffer
	for _, fact := range [][2]string{
		{"id", l.ID.String()}, {"issuer", orDash(l.Issuer)}, {"subject", orDash(l.Subject)}, {"name", orDash(l.Label)},
		{"signed in", at(l.Created)}, {"last seen", at(l.LastSeen)}, {"idle until", at(l.IdleExpires)}, {"ends", at(l.Expires)},
		{"address", orDash(l.Address)}, {"browser", browserText(l.UserAgent)}, {"user agent", orDash(l.UserAgent)},
		{"site", l.site},
	} {
		if fact != [2]string{"site", ""} {
			fmt.Fprintf(&b, "%-10s  %s\n", fact[0], fact[1])
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

// writeEnded tells how many sessions were ended.
func writeEnded(out io.Writer, ended int, asJSON bool) error {
	if asJSON {
		return writeJSON(out, struct {
			Ended int `json:"ended"`
		}{ended})
	}
	_, err := fmt.Fprintln(out, counted(ended), "ended")
	return err
}

func counted(n int) string {
	if n == 1 {
		return "1 session"
	}
	return fmt.Sprintf("%d sessions", n)
}

func writeJSON(out io.Writer, v any) error {
	text, err := marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

// marshal is json.Marshal for people: an ampersand stays one.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// orDash makes of what strangers sent, or of nothing, what may stand on a terminal.
func orDash(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
	if strings.TrimSpace(text) == "" {
		return "-"
	}
	return text
}

// browserText tells a browser in a few words.
func browserText(userAgent string) string {
	switch browser, system := authsvc.DescribeBrowser(userAgent); {
	case browser == "":
		return orDash(userAgent)
	case system == "":
		return browser
	default:
		return browser + " on " + system
	}
}

// age tells a time by how far it is from now, in its largest unit.
func age(at, now time.Time) string {
	d := now.Sub(at)
	ahead := d < 0
	d = d.Abs()
	var text string
	switch {
	case d < time.Second:
		return "now"
	case d < 2*time.Minute:
		text = fmt.Sprintf("%ds", d/time.Second)
	case d < 2*time.Hour:
		text = fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		text = fmt.Sprintf("%dh", d/time.Hour)
	default:
		text = fmt.Sprintf("%dd", d/(24*time.Hour))
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}

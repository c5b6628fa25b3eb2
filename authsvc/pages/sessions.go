package pages

import (
	"strings"
	"time"
)

// MaxSessions is how many sessions a page lists.
const MaxSessions = 100

// Session is one line of the page of Sessions. Every field may come from a stranger.
type Session struct {
	// ID is what its button posts.
	ID string
	// Current says that it is the session of the browser that sees the page.
	Current bool
	// Browser and System are names for people; where there is no Browser, UserAgent is shown, at most 128 bytes of it.
	Browser, System, UserAgent string
	// Address is where the browser was at its login; empty is left out.
	Address string
	// SignedIn, LastSeen and Ends are shown in UTC; zero is left out.
	SignedIn, LastSeen, Ends time.Time
}

// sessionList is what page.html reads of a list of sessions.
type sessionList struct {
	Rows               []sessionRow
	This, End, EndText string
	More               string
}

type sessionRow struct {
	ID, Name string
	Verbatim bool // Name is what the browser calls itself, and in no language
	Current  bool
	Facts    []fact
}

// fact is a label and what it is about; DateTime is machine-readable where that is a time.
type fact struct{ Label, Text, DateTime string }

func newSessionList(p Page, text func(key string) string) *sessionList {
	list := &sessionList{This: text("this"), EndText: text("end")}
	if safeAddress(p.End) {
		list.End = p.End
	}
	if p.More || len(p.Sessions) > MaxSessions {
		list.More = text("more")
	}
	for _, s := range p.Sessions[:min(len(p.Sessions), MaxSessions)] {
		row := sessionRow{ID: shown(s.ID), Current: s.Current}
		row.Name, row.Verbatim = browserName(s, text)
		for _, at := range []struct {
			key  string
			time time.Time
		}{{"signed_in", s.SignedIn}, {"last_seen", s.LastSeen}, {"ends", s.Ends}} {
			if !at.time.IsZero() {
				utc := at.time.UTC()
				row.Facts = append(row.Facts, fact{text(at.key), utc.Format("2006-01-02 15:04 UTC"), utc.Format(time.RFC3339)})
			}
		}
		if s.Address != "" {
			row.Facts = append(row.Facts, fact{text("address"), shown(s.Address), ""})
		}
		list.Rows = append(list.Rows, row)
	}
	return list
}

// browserName tells a browser in the words of the language, or in its own.
func browserName(s Session, text func(key string) string) (name string, verbatim bool) {
	switch {
	case s.Browser != "" && s.System != "":
		return strings.NewReplacer("{browser}", shown(s.Browser), "{system}", shown(s.System)).Replace(text("browser")), false
	case s.Browser != "":
		return shown(s.Browser), false
	case strings.TrimSpace(s.UserAgent) != "":
		return shown(s.UserAgent), true
	}
	return text("unknown"), false
}

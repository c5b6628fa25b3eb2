package authsvc

import (
	"maps"
	"slices"
	"strings"
	"time"

	"authsvc/session"
)

// identityHeader says which claim a header of the verdict carries.
type identityHeader struct {
	Name  string // canonical
	Claim string // a claim path, or one of the names below
}

// What a header can carry besides claims.
const (
	groupsValue      = "@groups"
	accessTokenValue = "@access_token"
)

// maxIdentity bounds the identity headers of one answer, in bytes of names and values. A gateway reads all of an
// answer's header block into one buffer, 4 KB in nginx, and refuses the user when it overflows; the
// block stays below 3.5 KB.
const maxIdentity = 3000

func identityHeaders(config map[string]string) []identityHeader {
	var list []identityHeader
	for _, name := range slices.Sorted(maps.Keys(config)) {
		if config[name] != "" {
			list = append(list, identityHeader{name, config[name]})
		}
	}
	return list
}

// needsTokens reports whether any header carries one.
func needsTokens(list []identityHeader) bool {
	return slices.ContainsFunc(list, func(h identityHeader) bool { return h.Claim == accessTokenValue })
}

// renderIdentity gives each header its value, "" where there is none: a header is always
// written, so that a copy that the client forged is always overwritten. It reports how many values
// were left out because they cannot stand in a header or do not fit; groups are left out one by one, in the
// provider's order, anything else whole.
func renderIdentity(list []identityHeader, s *session.Session, t session.Tokens, groupsClaim []string, now time.Time) (values []string, dropped int) {
	values = make([]string, len(list))
	left := maxIdentity
	for _, h := range list {
		left -= len(h.Name) + len(": \r\n")
	}
	rendered := make([]renderedClaim, len(list))
	for i, h := range list {
		rendered[i] = renderClaim(h, s, t, groupsClaim, now)
	}
	// Single claims come first: who it is must never be pushed out by groups, nor any of them by a token.
	for turn := singleTurn; turn <= tokenTurn; turn++ {
		for i, claim := range rendered {
			if claim.turn != turn {
				continue
			}
			var kept []string
			for _, text := range claim.texts {
				size := len(text)
				if len(kept) > 0 {
					size++ // the comma
				}
				if !fitsHeader(text, turn == listTurn) || size > left {
					dropped++
					continue
				}
				left -= size
				kept = append(kept, text)
			}
			values[i] = strings.Join(kept, ",")
		}
	}
	return values, dropped
}

// The order in which headers get their share of the limit.
const (
	singleTurn = iota
	listTurn
	tokenTurn
)

// renderedClaim is what a header carries before the limit: its texts, and when its turn comes.
type renderedClaim struct {
	texts []string
	turn  int
}

func renderClaim(h identityHeader, s *session.Session, t session.Tokens, groupsClaim []string, now time.Time) renderedClaim {
	switch h.Claim {
	case groupsValue:
		return renderedClaim{groups(s, groupsClaim), listTurn}
	case accessTokenValue:
		if t.AccessToken != "" && (t.Expiry.IsZero() || now.Before(t.Expiry)) {
			return renderedClaim{[]string{t.AccessToken}, tokenTurn}
		}
		return renderedClaim{nil, tokenTurn}
	}
	v := claim(s, h.Claim)
	turn := singleTurn
	if _, isList := v.([]any); isList {
		turn = listTurn
	}
	return renderedClaim{claimTexts(v), turn}
}

// fitsHeader reports whether a text may stand in a header as it is, UTF-8 included. In a list a comma would
// make two of one. A value that would lose its spaces at the edges is another value.
func fitsHeader(text string, inList bool) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7f || c == ',' && inList {
			return false
		}
	}
	return strings.TrimSpace(text) == text
}

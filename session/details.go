package session

import (
	"strings"
	"time"
)

// Bounds of what is kept of a session for lists, in bytes; longer texts are cut.
const (
	MaxLabel     = 128
	MaxAddress   = 64
	MaxUserAgent = 200
)

// sealDetailsPurpose is the purpose of the seal of a record's details.
const sealDetailsPurpose = "record details"

// Details are what a list knows of a session besides that it is there: what was true at the login, for people to recognise it by.
type Details struct {
	// Issuer and Subject name the user, Label calls them by something that people know; may be empty.
	Issuer, Subject, Label string
	// Created is the moment of the login.
	Created time.Time
	// Address is where the browser was at the login, UserAgent what it called itself; may be empty.
	Address, UserAgent string
}

// storedDetails is the plaintext of a record's details, in CBOR (RFC 8949) with numbered fields, deflated. A release ignores fields that it does
// not know; a number is never used again for something else.
type storedDetails struct {
	Issuer    string `cbor:"1,keyasint"`
	Subject   string `cbor:"2,keyasint"`
	Label     string `cbor:"3,keyasint,omitempty"`
	Created   int64  `cbor:"4,keyasint"` // Unix milliseconds
	Address   string `cbor:"5,keyasint,omitempty"`
	UserAgent string `cbor:"6,keyasint,omitempty"`
}

// sealDetails returns the details of a session that has just begun, for its record. They open with the master key, which commands have, and for this
// ID only, so that whoever can write to the store cannot put them into another record. A user whose very name leaves no room is
// listed without: that is no reason to refuse a login.
func (m *Manager) sealDetails(s Session) []byte {
	plaintext, err := encode(storedDetails{
		Issuer: s.Issuer, Subject: s.Subject, Label: cut(s.Label, MaxLabel), Created: s.Created.UnixMilli(),
		Address: cut(s.Address, MaxAddress), UserAgent: cut(s.UserAgent, MaxUserAgent),
	}, MaxDetails)
	if err != nil {
		return nil
	}
	sealed := m.Keyring.Seal(sealDetailsPurpose, s.ID[:], nil, detailTexts.deflate(plaintext, nil))
	if len(sealed) > MaxDetails {
		return nil
	}
	return sealed
}

// openDetails returns the details of a record, or false when it has none that this replica can read: its key has left the ring, or somebody has
// changed them.
func (m *Manager) openDetails(r Record) (Details, bool) {
	compressed, err := m.Keyring.Open(sealDetailsPurpose, r.ID[:], nil, r.Details)
	if err != nil {
		return Details{}, false
	}
	plaintext, err := detailTexts.inflate(compressed, nil, MaxDetails)
	if err != nil {
		return Details{}, false
	}
	var p storedDetails
	if decoding.Unmarshal(plaintext, &p) != nil {
		return Details{}, false
	}
	return Details{
		Issuer: p.Issuer, Subject: p.Subject, Label: p.Label, Created: time.UnixMilli(p.Created),
		Address: p.Address, UserAgent: p.UserAgent,
	}, true
}

// cut returns s as valid UTF-8 of at most limit bytes.
func cut(s string, limit int) string {
	return strings.ToValidUTF8(s[:min(len(s), limit)], "")
}

// detailsDictionary is what details look alike in: a third of them is left.
const detailsDictionary = `@gmail.com@example.orghttps://auth.login.id.sso.keycloak.example.com/realms/main/oauth2/v2.0` +
	`; rv:Gecko/20100101 Firefox/Mozilla/5.0 (X11; Ubuntu; Linux x86_64; Mozilla/5.0 (Linux; Android 10; K) Mobile Safari/537.36 OPR/` +
	`Mozilla/5.0 (iPad; CPU OS Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1` +
	`Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15` +
	`Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0`

var detailTexts = newCompression(detailsDictionary)

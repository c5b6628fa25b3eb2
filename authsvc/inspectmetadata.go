package authsvc

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// ProviderNote is something about a provider that the configuration does not go with, or that is good to know.
type ProviderNote struct {
	Weight NoteWeight
	// What is what was found, and Do what to do about it, if anything.
	What, Do string
}

// NoteWeight says how much a note matters.
type NoteWeight int

// The weights, in order.
const (
	NoteInformation NoteWeight = iota // nothing is wrong
	NoteWarning                       // some logins, or all of them, may fail
	NoteProblem                       // nobody can sign in
)

// certificateNotice is how long before its end a client's certificate is spoken of.
const certificateNotice = 30 * 24 * time.Hour

// notes holds a provider's metadata against the client's settings. What metadata do not tell counts as fine, as long as the standards let it be
// left out.
func (d *discoveryDocument) notes(o OIDC, now time.Time) (notes []ProviderNote) {
	note := func(weight NoteWeight, what, do string) { notes = append(notes, ProviderNote{weight, what, do}) }
	for _, scope := range o.Scopes {
		if d.Scopes != nil && !slices.Contains(d.Scopes, scope) {
			note(NoteInformation, fmt.Sprintf("the scope %s is not among those that it tells of", scope), "if it answers a login with invalid_scope, take it out of oidc.scopes")
		}
	}
	if !slices.Contains(d.ChallengeMethods, "S256") {
		note(NoteInformation, "it does not tell of PKCE with S256, which is used all the same", "")
	}
	if d.EndSession == "" {
		note(NoteInformation, "it has no end_session endpoint: a logout ends the session here, and who signs in again may not be asked", "")
	}
	if o.ResponseMode == "form_post" && d.ResponseModes != nil && !slices.Contains(d.ResponseModes, "form_post") {
		note(NoteWarning, "form_post is not among its response modes", "set oidc.response_mode to query")
	}
	switch {
	case o.PAR == "on" && d.Pushed == "":
		note(NoteProblem, "it takes no pushed authorization requests, and oidc.par is on", "set oidc.par to auto")
	case o.PAR == "off" && d.MustPush:
		note(NoteProblem, "it takes pushed authorization requests alone, and oidc.par is off", "set oidc.par to auto")
	}
	return append(notes, d.authenticationNotes(o, now)...)
}

// authMethods are the names that metadata have for a value of oidc.client_auth (OpenID Connect Core 1.0, section 9; RFC 8705, section 2).
var authMethods = map[string][]string{
	"basic": {"client_secret_basic"}, "post": {"client_secret_post"}, "private_key_jwt": {"private_key_jwt"},
	"mtls": {"tls_client_auth", "self_signed_tls_client_auth"},
}

// authenticationNotes are those about how the client shows who it is. Of a public client there are none: many providers that take one do not tell.
func (d *discoveryDocument) authenticationNotes(o OIDC, now time.Time) (notes []ProviderNote) {
	methods := authMethods[o.ClientAuth]
	if d.AuthMethods != nil && methods != nil && !slices.ContainsFunc(methods, func(m string) bool { return slices.Contains(d.AuthMethods, m) }) {
		notes = append(notes, ProviderNote{
			NoteWarning, fmt.Sprintf("clients authenticate there by %s, and oidc.client_auth is %s", strings.Join(d.AuthMethods, ", "), o.ClientAuth),
			"write one that it takes",
		})
	}
	key := newClientKey(o)
	if key == nil {
		return notes
	}
	loaded, err := key.get()
	if err != nil {
		return append(notes, ProviderNote{NoteProblem, "the client's key: " + err.Error(), "mend oidc.client_key_file"})
	}
	if _, err := assertionAlgorithm(loaded.private.Public(), d.AuthAlgorithms); err != nil && o.ClientAuth == "private_key_jwt" {
		notes = append(notes, ProviderNote{NoteProblem, err.Error(), "make a key for one of " + strings.Join(d.AuthAlgorithms, ", ")})
	}
	if loaded.chain == nil {
		return notes
	}
	certificate, err := x509.ParseCertificate(loaded.chain[0])
	if err != nil {
		return append(notes, ProviderNote{NoteProblem, "the client's certificate cannot be read", "mend oidc.client_cert_file"})
	}
	if end := certificate.NotAfter; end.Before(now.Add(certificateNotice)) {
		note := ProviderNote{NoteWarning, "the client's certificate ends " + end.UTC().Format(time.DateOnly), "renew oidc.client_cert_file, and register it at the provider"}
		if !now.Before(end) {
			note.Weight = NoteProblem
		}
		notes = append(notes, note)
	}
	return notes
}

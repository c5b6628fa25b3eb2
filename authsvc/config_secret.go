package authsvc

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

const redacted = "[redacted]"

// Secret is a text that no log, error or printed configuration may show: every way of printing or encoding
// it gives "[redacted]", except for the verb %p, which fmt lets no type answer and go vet refuses. [Secret.Reveal] is
// the only way to the text itself.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String returns "[redacted]".
func (s Secret) String() string { return redacted }

// Format writes "[redacted]" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText returns "[redacted]"; encoding/json, YAML and zerolog use it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]" for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// StoreURL is the address of a store. It may hold passwords, so every way of printing or encoding it masks them;
// [StoreURL.Reveal] returns the address itself.
type StoreURL string

// Reveal returns the address with its passwords.
func (u StoreURL) Reveal() string { return string(u) }

// String returns the address with every password masked. What cannot be told apart from a password is
// masked too.
func (u StoreURL) String() string {
	head, rest, found := strings.Cut(string(u), "://")
	if !found {
		head, rest = "", string(u)
	} else {
		head += "://"
	}
	// The last @ ends the userinfo even where somebody forgot to escape one in the password.
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		user, _, hasPassword := strings.Cut(rest[:i], ":")
		if hasPassword {
			user += ":"
		} else {
			user = ""
		}
		rest = user + redacted + rest[i:]
	}
	address, query, found := strings.Cut(rest, "?")
	if !found {
		return head + address
	}
	parameters := strings.Split(query, "&")
	for i, parameter := range parameters {
		switch name, _, _ := strings.Cut(parameter, "="); {
		case name == "sentinel_password":
			parameters[i] = name + "=" + redacted
		case !slices.Contains(storeParameters, name):
			parameters[i] = redacted
		}
	}
	return head + address + "?" + strings.Join(parameters, "&")
}

// storeParameters are the query parameters that the address of a store may have.
var storeParameters = []string{"db", "ca_file", "cert_file", "key_file", "server_name", "sentinel_user", "sentinel_password"}

// Format writes the masked address for every verb.
func (u StoreURL) Format(f fmt.State, _ rune) { fmt.Fprint(f, u.String()) }

// MarshalText returns the masked address; encoding/json, YAML and zerolog use it.
func (u StoreURL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue returns the masked address for log/slog.
func (u StoreURL) LogValue() slog.Value { return slog.StringValue(u.String()) }

// Package idptest is an OpenID Connect provider for tests and for the demo.
//
// It is strict by default: redirect addresses match a registration byte for byte, PKCE with S256 is
// required, a parameter that comes twice is refused, codes are used once and reuse revokes what the
// code gave, refresh tokens rotate and the reuse of an old one revokes the whole family. A relying
// party that passes here has to be right.
//
// It misbehaves on request. Each hook (EditDiscovery, EditIDToken, ReplaceIDToken, EditCallback,
// Intercept …) replaces one step while the provider runs, and nil makes that step honest again. Hooks
// may be set at any time and may be called by several requests at once. Treat does the same to one person's
// logins and refreshes, and leaves everybody else's alone.
//
// It remembers every request, so that a test can say that the token endpoint saw none.
//
// The package is a test twin: it never becomes part of the shipped binary, imports nothing of this
// module and keeps everything in memory. There are no passwords: whoever reaches it may sign in as anyone.
package idptest

// Package lint finds in an nginx configuration what lets strangers past auth_request, breaks logins, or makes
// either slow. It knows authsvc's public interface, its paths and headers, and none of its code: files go in,
// findings come out.
//
// # The life of a lint
//
// [Files] reads a file as nginx would: includes are followed, with the bounds in read.go, and a file that nginx
// could not read ends the lint with a [FileError]. What comes out is one tree of directives (directive.go).
//
// A file need not be a whole nginx.conf. One with server{} in it is taken as a part of http{}, anything else as
// a part of server{}; all such files of one call stand beside each other, as in conf.d.
//
// Each server{} of the tree then learns which of its locations is the check, the one that auth_request names,
// and which are protected by it (server.go, locate.go). A directive counts where nginx inherits it: from the
// nearest level that has one of its name, all or nothing (directive.go). What a variable holds is followed through
// set, map and auth_request_set (variable.go).
//
// Every rule, one a file, looks at one server and reports what it finds, why that matters and what would be
// right. A comment silences one rule on its line or on the line below it:
//
//	# authsvc-lint: ignore RULE the reason
//
// # What it does not do
//
// It is no "nginx -t": that tells whether nginx starts, this tells what it then does. It asks nothing over the
// network, runs nothing, and judges code in Lua or njs by its presence alone.
package lint

package lint

// findSatisfyAny finds satisfy any where auth_request counts.
//
// Then one of all access rules is enough: whoever comes from an allowed address, or has the password of auth_basic, needs
// no session.
func findSatisfyAny(s *server, found report) {
	s.protected(func(l *location, _ *directive) {
		value, at := l.setting("satisfy", "all")
		if value != "any" {
			return
		}
		for _, name := range []string{"allow", "auth_basic", "auth_jwt", "access_by_lua_block", "access_by_lua_file", "access_by_lua"} {
			if others := l.inherited(name); others != nil && others[0].arg(0) != "off" {
				found(at, Error, "satisfy any beside "+others[0].text(),
					"one of the two is enough, so nobody whom that lets in needs a session, and the application gets no identity",
					"write satisfy all, or give those requests a location of their own")
				return
			}
		}
		found(at, Warning, "satisfy any",
			"as soon as someone adds an allow or auth_basic, that alone lets in",
			"write satisfy all")
	})
}

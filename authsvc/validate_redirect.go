package authsvc

// redirect checks where a login may end.
func (v *validator) redirect() {
	var policy returnPolicy
	for i, entry := range v.c.Redirect.AllowedHosts {
		pattern, err := parseHostPattern(entry)
		if err != nil {
			v.wrong(item("redirect.allowed_hosts", i), quote(entry)+" is no host: "+err.Error(), "write host, host:8080, host:*, .example.com or *.example.com, without scheme and path")
			continue
		}
		policy.hosts = append(policy.hosts, pattern)
	}
	scheme, authority, prefix, _ := splitURL(v.c.PublicURL)
	if at, err := parsePublicHost(scheme, authority); err == nil {
		public := hostPattern{host: at.host, port: at.port}
		if at.standard {
			public.port = ""
		}
		policy.hosts = append(append(policy.hosts, public), ownHosts(v.c.Hosts, at.port)...)
		policy.publicHost, policy.prefix = at.host, prefix
	}
	if err := policy.check(v.c.Redirect.Default); err != nil {
		v.wrong("redirect.default", quote(v.c.Redirect.Default)+" is refused: "+err.Error(), "write a path such as /, or an address on a host of redirect.allowed_hosts")
	}
}

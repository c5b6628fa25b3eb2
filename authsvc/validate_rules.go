package authsvc

// rules checks the rules of a site, whose list has this key.
func (v *validator) rules(key string, list []Rule, groupsClaim []string) {
	_, problems := compileRules(list, groupsClaim)
	for _, p := range problems {
		if p.warning {
			v.warn(key+p.place(), p.wrong, p.right)
		} else {
			v.wrong(key+p.place(), p.wrong, p.right)
		}
	}
}

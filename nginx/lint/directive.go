package lint

import "strings"

// directive is one directive of the tree that all files make together; an include is replaced by what it includes.
type directive struct {
	name   string
	args   []string
	file   string
	line   int
	parent *directive // nil for the root, "main"
	block  []*directive
}

// own returns the directives of a name directly in this block.
func (d *directive) own(name string) []*directive {
	var found []*directive
	for _, child := range d.block {
		if child.name == name {
			found = append(found, child)
		}
	}
	return found
}

// inherited returns the directives of a name that count in this block. nginx takes them from the nearest level that
// has any, all or nothing: one proxy_set_header in a location, and none of the server's holds there.
func (d *directive) inherited(name string) []*directive {
	for level := d; level != nil; level = level.parent {
		if found := level.own(name); found != nil {
			return found
		}
	}
	return nil
}

// setting returns the first argument of a directive that can be said once, or the default and nil.
func (d *directive) setting(name, otherwise string) (string, *directive) {
	if found := d.inherited(name); found != nil && len(found[0].args) > 0 {
		return found[0].args[0], found[0]
	}
	return otherwise, nil
}

// on tells whether a switch is on here.
func (d *directive) on(name string, otherwise bool) bool {
	value, at := d.setting(name, "")
	if at == nil {
		return otherwise
	}
	return strings.EqualFold(value, "on")
}

// arg returns an argument, "" where there are fewer.
func (d *directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// last returns the last argument, "" where there is none.
func (d *directive) last() string {
	if len(d.args) == 0 {
		return ""
	}
	return d.args[len(d.args)-1]
}

// walk calls visit for every directive below d, each before what is in it; where visit returns false, not for that.
func (d *directive) walk(visit func(*directive) bool) {
	for _, child := range d.block {
		if visit(child) {
			child.walk(visit)
		}
	}
}

// text is the directive as one would write it, shortened, without its block.
func (d *directive) text() string {
	text := strings.Join(append([]string{d.name}, d.args...), " ")
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > 60 {
		text = string(runes[:57]) + "..."
	}
	return text
}

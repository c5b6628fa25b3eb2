package pages

import "strings"

// MaxChoices is how many choices a page shows.
const MaxChoices = 20

// Choice is one of several ways on.
type Choice struct {
	// Title is what it is called, at most 128 bytes of it are shown.
	Title string
	// Address is where it leads.
	Address string
}

// choice is what page.html reads of one: its link, and the words around its title.
type choice struct{ Address, Before, Title, After string }

func newChoices(list []Choice, text string) (choices []choice) {
	before, after, _ := strings.Cut(text, "{provider}")
	for _, c := range list[:min(len(list), MaxChoices)] {
		if safeAddress(c.Address) {
			choices = append(choices, choice{c.Address, before, shown(c.Title), after})
		}
	}
	return choices
}

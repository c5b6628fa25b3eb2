package pages

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// TestChoicesInEveryLanguage: each choice is a link of its own, in order, with its title in the words of the language, and nothing else is to be pressed.
func TestChoicesInEveryLanguage(t *testing.T) {
	for _, c := range catalogues() {
		p := Page{Kind: ChooseProvider, Action: "/go", SignOut: "/logout", Choices: []Choice{
			{"Staff", "/start?provider=staff&rd=%2Fa"}, {"<b>Partners & friends</b>", "https://app.example.com/start?provider=partners&rd=%2Fa"},
			{"Elsewhere", "javascript:alert(1)"}, {strings.Repeat("é", 100), "/start?provider=long"},
		}}
		source := read(t, get(t, "GET", c.lang, 200, p))
		wellFormed(t, source)
		e := elements(t, source)
		var titles, addresses []string
		for _, a := range e["a"] {
			titles, addresses = append(titles, text(a)), append(addresses, attribute(a, "href"))
		}
		named := func(title string) string {
			return strings.Replace(c.texts["choose_provider.button"], "{provider}", title, 1)
		}
		if want := []string{named("Staff"), named("<b>Partners & friends</b>"), named(strings.Repeat("é", 64))}; !slices.Equal(titles, want) {
			t.Errorf("%s: titles %q, want %q", c.lang, titles, want)
		}
		if want := []string{"/start?provider=staff&rd=%2Fa", "https://app.example.com/start?provider=partners&rd=%2Fa", "/start?provider=long"}; !slices.Equal(addresses, want) {
			t.Errorf("%s: addresses %q", c.lang, addresses)
		}
		if len(e["button"])+len(e["form"]) > 0 {
			t.Errorf("%s: there is a form", c.lang)
		}
		if slices.ContainsFunc(e["a"], func(a *html.Node) bool { return attribute(a, "tabindex") != "" }) {
			t.Errorf("%s: the order of the keyboard is not that of the page", c.lang)
		}
	}
	many := Page{Kind: ChooseProvider, Choices: slices.Repeat([]Choice{{"x", "/x"}}, MaxChoices+1)}
	if n := len(elements(t, read(t, get(t, "GET", "", 200, many)))["a"]); n != MaxChoices {
		t.Errorf("%d choices", n)
	}
}

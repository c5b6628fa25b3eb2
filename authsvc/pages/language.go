package pages

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// maxAcceptLanguage is how many bytes of Accept-Language are read; browsers send far fewer. A longer header counts
// as absent, since parsing one costs more than its length (CVE-2022-32149).
const maxAcceptLanguage = 200

// catalogue holds the texts of one language, by key. "dir" is its direction, "request_id" the label of the request
// ID, all other keys begin with a Kind. {cookie} in a text stands for Page.Cookie, {provider} for the title of a Choice, {browser} and
// {system} for what a Session has.
type catalogue struct {
	lang  string // BCP 47
	texts map[string]string
}

//go:embed messages/*.json
var messages embed.FS

// catalogues has English, the default, first. Like the template it is read for the first page: a program that writes none starts sooner and is smaller.
var catalogues = sync.OnceValue(loadCatalogues)

var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, c := range catalogues() {
		tags = append(tags, language.MustParse(c.lang))
	}
	return language.NewMatcher(tags)
})

// loadCatalogues panics on a file that does not parse, as template.Must does: the files are part of the binary.
func loadCatalogues() []*catalogue {
	files, err := messages.ReadDir("messages")
	if err != nil {
		panic(fmt.Errorf("pages: messages: %w", err))
	}
	var english, others []*catalogue
	for _, f := range files {
		raw, err := messages.ReadFile(path.Join("messages", f.Name()))
		if err != nil {
			panic(fmt.Errorf("pages: messages: %w", err))
		}
		c := &catalogue{lang: strings.TrimSuffix(f.Name(), ".json")}
		if err := json.Unmarshal(raw, &c.texts); err != nil {
			panic(fmt.Errorf("pages: messages/%s: %w", f.Name(), err))
		}
		if c.lang == "en" {
			english = append(english, c)
		} else {
			others = append(others, c)
		}
	}
	return append(english, others...)
}

// choose returns the catalogue that serves an Accept-Language header best (RFC 9110, section 12.5.4), English where
// none does or the header cannot be read.
func choose(acceptLanguage []string) *catalogue {
	header := strings.Join(acceptLanguage, ",")
	if len(header) > maxAcceptLanguage {
		return catalogues()[0]
	}
	wanted, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return catalogues()[0]
	}
	_, i, _ := matcher().Match(wanted...)
	return catalogues()[i]
}

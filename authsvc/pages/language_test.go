package pages

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

func TestEveryLanguageHasEveryText(t *testing.T) {
	placeholder := regexp.MustCompile(`\{[^}]*\}`)
	english := catalogues()[0]
	if english.lang != "en" {
		t.Fatalf("the default is %s", english.lang)
	}
	for _, c := range catalogues() {
		for key, want := range english.texts {
			got := c.texts[key]
			if strings.TrimSpace(got) == "" || got != strings.TrimSpace(got) {
				t.Errorf("%s: %s is %q", c.lang, key, got)
			}
			if a, b := placeholder.FindAllString(got, -1), placeholder.FindAllString(want, -1); !slices.Equal(a, b) {
				t.Errorf("%s: %s has placeholders %q; English %q", c.lang, key, a, b)
			}
		}
		for key := range c.texts {
			if _, ok := english.texts[key]; !ok {
				t.Errorf("%s: %s is not in English", c.lang, key)
			}
		}
		if dir := c.texts["dir"]; dir != "ltr" && dir != "rtl" {
			t.Errorf("%s: dir %q", c.lang, dir)
		}
		if tag, err := language.Parse(c.lang); err != nil || tag.String() != c.lang {
			t.Errorf("%s is not a language tag in its usual form", c.lang)
		}
	}
}

// TestTextsAndKindsMatch finds a kind without words and words without a kind.
func TestTextsAndKindsMatch(t *testing.T) {
	left := maps.Clone(catalogues()[0].texts)
	take := func(key string) {
		if _, ok := left[key]; !ok {
			t.Errorf("no text %s", key)
		}
		delete(left, key)
	}
	take("dir")
	take("request_id")
	for kind := range appearances {
		for _, part := range []string{".title", ".what", ".do", ".button"} {
			take(string(kind) + part)
		}
	}
	take(string(NotAllowed) + ".sign_out")
	for _, part := range []string{".this", ".end", ".browser", ".unknown", ".address", ".signed_in", ".last_seen", ".ends", ".more"} {
		take(string(Sessions) + part)
	}
	for _, part := range []string{".cookie", ".why", ".why_blocked", ".why_address", ".why_private"} {
		take(string(StartAgain) + part)
	}
	for key := range left {
		t.Errorf("no page shows the text %s", key)
	}
	for _, c := range catalogues() {
		if strings.Count(c.texts["choose_provider.button"], "{provider}") != 1 {
			t.Errorf("%s: choose_provider.button does not name the provider", c.lang)
		}
	}
	if !strings.Contains(catalogues()[0].texts["start_again.cookie"], "{cookie}") {
		t.Error("start_again.cookie does not name the cookie")
	}
}

func TestChoose(t *testing.T) {
	for _, test := range []struct {
		header []string
		want   string
	}{
		{nil, "en"}, {[]string{""}, "en"}, {[]string{"*"}, "en"},
		{[]string{"de"}, "de"}, {[]string{"de-CH,de;q=0.9"}, "de"}, {[]string{"DE-at"}, "de"},
		{[]string{"pt-BR"}, "pt"}, {[]string{"ar-EG"}, "ar"}, {[]string{"ja-JP,en;q=0.5"}, "ja"}, {[]string{"pl"}, "pl"},
		{[]string{"en-US,en;q=0.9,de;q=0.8"}, "en"}, {[]string{"fr;q=0.2,es;q=0.8"}, "es"}, {[]string{"de;q=0,it"}, "it"},
		{[]string{"zh-CN"}, "en"}, {[]string{"zh-CN,zh;q=0.9,nl;q=0.1"}, "nl"}, {[]string{"tlh"}, "en"},
		{[]string{"tlh", "it"}, "it"},
		{[]string{"!!!"}, "en"}, {[]string{"de;q=banana"}, "en"}, {[]string{"\xff\xfe"}, "en"}, {[]string{"<script>"}, "en"}, {[]string{",,,;;;"}, "en"},
		{[]string{"de" + strings.Repeat(" ", maxAcceptLanguage-2)}, "de"},
		{[]string{"de" + strings.Repeat(" ", maxAcceptLanguage-1)}, "en"},
		{[]string{"de", strings.Repeat("-", 1<<20)}, "en"},
		{[]string{strings.Repeat("de-", 1<<20)}, "en"},
	} {
		if got := choose(test.header); got.lang != test.want {
			t.Errorf("choose(%.60q) = %s; want %s", test.header, got.lang, test.want)
		}
	}
	for _, c := range catalogues() {
		if got := choose([]string{c.lang}); got != c {
			t.Errorf("%s gets %s", c.lang, got.lang)
		}
	}
}

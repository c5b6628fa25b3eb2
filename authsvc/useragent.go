package authsvc

import "strings"

// mark is a piece of a User-Agent and what it stands for.
type mark struct{ piece, name string }

// browserMarks and systemMarks are in the order in which they are looked for: a browser also names those whose pages it can show, and
// a system those that it is made of.
var (
	browserMarks = []mark{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"YaBrowser/", "Yandex Browser"},
		{"SamsungBrowser/", "Samsung Internet"}, {"FxiOS/", "Firefox"}, {"Firefox/", "Firefox"}, {"CriOS/", "Chrome"},
		{"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Version/", "Safari"},
		{"curl/", "curl"}, {"Wget/", "Wget"},
	}
	systemMarks = []mark{
		{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"CrOS", "ChromeOS"},
		{"Mac OS X", "macOS"}, {"Linux", "Linux"}, {"FreeBSD", "FreeBSD"},
	}
)

// DescribeBrowser tells in words for people which browser on which system a User-Agent names; each is empty when it names none that
// is known here.
func DescribeBrowser(userAgent string) (browser, system string) {
	find := func(marks []mark) string {
		for _, m := range marks {
			if strings.Contains(userAgent, m.piece) {
				return m.name
			}
		}
		return ""
	}
	return find(browserMarks), find(systemMarks)
}

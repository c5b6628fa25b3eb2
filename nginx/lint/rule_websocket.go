package lint

import (
	"regexp"
	"strings"
	"sync"
)

var webSocketPath = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[/^])(?:ws|wss|websockets?|socket\.io|sockjs|cable|live/websocket)(?:[/$)]|$)`)
})

// findWebSocket finds protected locations that are called like a WebSocket's and cannot open one.
func findWebSocket(s *server, found report) {
	for _, a := range s.applications() {
		if a.by.name != "proxy_pass" || !webSocketPath().MatchString(a.path) {
			continue
		}
		var missing []string
		if version, _ := a.scope.setting("proxy_http_version", "1.0"); version == "1.0" {
			missing = append(missing, "proxy_http_version 1.1;")
		}
		if d := a.headers["upgrade"]; d == nil || d.last() == "" {
			missing = append(missing, "proxy_set_header Upgrade, from a map that lets websocket alone through;")
		}
		if d := a.headers["connection"]; d == nil || d.last() == "" {
			missing = append(missing, `proxy_set_header Connection upgrade;`)
		}
		if len(missing) > 0 {
			found(a.directive, Info, "location "+a.path+" cannot open a WebSocket",
				"nginx passes neither Upgrade nor Connection on by itself",
				"if it is one, add "+strings.Join(missing, " "))
		}
	}
}

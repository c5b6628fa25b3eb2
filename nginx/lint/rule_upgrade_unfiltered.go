package lint

import "strings"

// findUpgradeUnfiltered finds protected locations that let any protocol take a connection over.
//
// With Upgrade: h2c an application that speaks HTTP/2 in the clear opens a tunnel in which later requests pass without a
// verdict (h2c smuggling).
func findUpgradeUnfiltered(s *server, found report) {
	for _, a := range s.applications() {
		upgrade, connection := a.headers["upgrade"], a.headers["connection"]
		if upgrade == nil || connection == nil || connection.last() == "" || strings.EqualFold(connection.last(), "close") {
			continue
		}
		for _, v := range variables(upgrade.last()) {
			if v == "http_upgrade" {
				found(upgrade, Warning, "any protocol may take the connection over",
					"with Upgrade: h2c the application may open a tunnel in which further requests pass without a verdict",
					`let WebSocket alone through: map $http_upgrade $ws { default ""; "~*^websocket$" websocket; }`)
			}
		}
	}
}

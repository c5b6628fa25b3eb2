package redisstore

import (
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestParseURL(t *testing.T) {
	for text, want := range map[string]location{
		"redis://localhost":                     {addresses: []string{"localhost:6379"}},
		"redis://localhost/":                    {addresses: []string{"localhost:6379"}},
		"redis://redis.example:6380/3":          {addresses: []string{"redis.example:6380"}, database: 3},
		"redis://user:pass@host:6379/0":         {addresses: []string{"host:6379"}, user: "user", password: "pass"},
		"redis://:pass@host":                    {addresses: []string{"host:6379"}, password: "pass"},
		"redis://user@host":                     {addresses: []string{"host:6379"}, user: "user"},
		"redis://u%3As:p%40s%2Fs%3F%23%25@host": {addresses: []string{"host:6379"}, user: "u:s", password: "p@s/s?#%"},
		"redis://user:p:a+s,s@host":             {addresses: []string{"host:6379"}, user: "user", password: "p:a+s,s"},
		"redis://[::1]":                         {addresses: []string{"[::1]:6379"}},
		"redis://[2001:db8::1]:6380/1":          {addresses: []string{"[2001:db8::1]:6380"}, database: 1},
		"rediss://host":                         {addresses: []string{"host:6379"}, tls: true},
		"rediss://host?ca_file=/ca.pem&cert_file=/c.pem&key_file=%2Fk.pem&server_name=redis.example": {
			addresses: []string{"host:6379"}, tls: true, caFile: "/ca.pem", certFile: "/c.pem", keyFile: "/k.pem", serverName: "redis.example",
		},
		"unix:///run/redis.sock":                {unix: true, addresses: []string{"/run/redis.sock"}},
		"unix:///run/redis%20two.sock?db=2":     {unix: true, addresses: []string{"/run/redis two.sock"}, database: 2},
		"unix://user:pass@/run/redis.sock?db=0": {unix: true, addresses: []string{"/run/redis.sock"}, user: "user", password: "pass"},
		"redis+sentinel://h1:26379,h2/master/0": {topology: sentinel, addresses: []string{"h1:26379", "h2:26379"}, master: "master"},
		"redis+sentinel://u:p@h1,[::1]:5,h3/my%2Fmaster/7?sentinel_user=su&sentinel_password=s%40p": {
			topology: sentinel, addresses: []string{"h1:26379", "[::1]:5", "h3:26379"}, master: "my/master", database: 7,
			user: "u", password: "p", sentinelUser: "su", sentinelPassword: "s@p",
		},
		"redis+sentinel://h1/master":                 {topology: sentinel, addresses: []string{"h1:26379"}, master: "master"},
		"rediss+sentinel://h1/master?server_name=n":  {topology: sentinel, tls: true, addresses: []string{"h1:26379"}, master: "master", serverName: "n"},
		"redis+cluster://h1,h2":                      {topology: cluster, addresses: []string{"h1:6379", "h2:6379"}},
		"redis+cluster://user:pass@h1:7000,h2:7001/": {topology: cluster, addresses: []string{"h1:7000", "h2:7001"}, user: "user", password: "pass"},
		"rediss+cluster://h1?ca_file=ca.pem":         {topology: cluster, tls: true, addresses: []string{"h1:6379"}, caFile: "ca.pem"},
	} {
		if got, err := parseURL(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestParseURLTellsWhatIsRight(t *testing.T) {
	for text, right := range map[string]string{
		"":                                     "redis://host:6379/0",
		"localhost:6379":                       "redis://host:6379/0",
		"http://localhost":                     "redis+sentinel",
		"Redis://localhost":                    "none of redis",
		"memory:":                              "none of redis",
		"redis:/localhost":                     "redis://host:6379/0",
		"redis://":                             "host:port",
		"redis://:6379":                        "host:port",
		"redis://host:":                        "host:port",
		"redis://host:port":                    "host:port",
		"redis://host:0":                       "host:port",
		"redis://host:65536":                   "host:port",
		"redis://host:-1":                      "host:port",
		"redis://ho st":                        "host:port",
		"redis://::1":                          "[::1]:port",
		"redis://[::1":                         "[::1]:port",
		"redis://[host]:6379":                  "[::1]:port",
		"redis://a,b":                          "redis+sentinel or redis+cluster",
		"redis://host/x":                       "number",
		"redis://host/-1":                      "number",
		"redis://host/0/1":                     "number",
		"redis://host/99999999999":             "number",
		"redis://host?db=1":                    "with unix",
		"redis://host?ca_file=x":               "does not go with this scheme",
		"redis://host?timeout=1s":              "known are ca_file",
		"redis://host?a;b":                     "?name=value",
		"redis://host#fragment":                "%23",
		"redis://host/0#fragment":              "%23",
		"rediss://host?skip_verify=true":       "known are ca_file",
		"rediss://host?cert_file=x":            "go together",
		"rediss://host?ca_file=x&ca_file=y":    "more than once",
		"unix://run/redis.sock":                "absolute path",
		"unix://":                              "absolute path",
		"unix:///":                             "absolute path",
		"unix:///run/redis.sock?db=x":          "number",
		"redis+sentinel://h1":                  "master's name",
		"redis+sentinel://h1//0":               "master's name",
		"redis+sentinel://h1/master/x":         "number",
		"redis+sentinel:///master":             "host:port",
		"redis+sentinel://h1,/master":          "host:port",
		"redis+cluster://h1/1":                 "only database 0",
		"redis+cluster://h1?sentinel_user=x":   "with sentinels",
		"redis://user:zk9%@host":               "%25",
		"redis://user:xq7/zk9@host":            "%2F",
		"redis://user:xq7?zk9@host":            "%3F",
		"redis://user:xq7#zk9@host":            "%23",
		"redis://user:1?ca_file=zk9@host:6379": "%3F",
	} {
		_, err := parseURL(text)
		if err == nil {
			t.Errorf("%s was taken", text)
		} else if !strings.Contains(err.Error(), right) {
			t.Errorf("%s: the error does not say %q: %v", text, right, err)
		} else if strings.Contains(err.Error(), "zk9") || strings.Contains(err.Error(), "xq7") {
			t.Errorf("%s: the error holds the password: %v", text, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, text := range []string{
		"redis://user:Hunter2!@host:6379/0", "rediss://host?ca_file=/x&server_name=y", "unix:///path?db=0", "redis+sentinel://h1:26379,h2/master/0",
		"redis+cluster://h1,h2", "redis://[::1]:1/1", "redis://:a/b@h", "",
	} {
		f.Add(text, "Hunter2!")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		loc, err := parseURL(text)
		if err == nil {
			if len(loc.addresses) == 0 || loc.database < 0 {
				t.Errorf("%q gives %+v", text, loc)
			}
			for _, address := range loc.addresses {
				if address == "" {
					t.Errorf("%q gives an empty address", text)
				}
			}
		}
		// However a password stands in a URL, encoded or not, no error holds it.
		if len(password) < 5 || strings.Contains(strings.Join([]string{errScheme.Error(), unknownParameter("db").Error()}, ""), password) {
			return
		}
		known := errorTexts()
		for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
			for _, before := range []string{"redis://user:", "redis://:", "unix://user:", "redis+cluster://user:", "rediss+sentinel://u:p@h/m?sentinel_password="} {
				if _, err := parseURL(before + form + "@" + text); err != nil && !known[err.Error()] {
					t.Errorf("an error that is made of the URL: %v", err)
				}
			}
		}
	})
}

// errorTexts are all errors that parseURL may give: none is made of what it read.
func errorTexts() map[string]bool {
	texts := map[string]bool{}
	for _, text := range []string{
		"x", "redis://h@/@", "redis://%@h", "redis://h?#", "unix://x", "redis://:", "redis+cluster://h/1", "redis+sentinel://h", "redis://a,b", "redis://h/x",
		"redis://h?%", "redis://h?x=1", "rediss://h?cert_file=x",
	} {
		_, err := parseURL(text)
		texts[err.Error()] = true
	}
	for _, name := range []string{"ca_file", "cert_file", "key_file", "server_name", "sentinel_user", "sentinel_password", "db"} {
		texts[unknownParameter(name).Error()] = true
		for _, scheme := range []string{"rediss://h", "rediss+sentinel://h/m", "unix:///h"} {
			if _, err := parseURL(scheme + "?" + name + "=1&" + name + "=2"); err != nil {
				texts[err.Error()] = true
			}
		}
	}
	return texts
}

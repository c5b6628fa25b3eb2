package lint

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"authsvc/nginx/nginxtest"
)

// What nginx cannot read, we call unreadable, at the same line; what it can, we read. %LISTEN% is a free address.
func TestReadsAsNginx(t *testing.T) {
	const server = "server {\n    listen %LISTEN%;\n"
	for name, test := range map[string]struct {
		files map[string]string // part.conf is what stands in http{}
		want  string            // of the error, %DIR% being the folder; "" is readable
	}{
		"plain":                   {map[string]string{"part.conf": server + "}\n"}, ""},
		"missing file":            {map[string]string{"part.conf": server + "include missing.conf;\n}\n"}, "%DIR%/part.conf:3: include %DIR%/missing.conf: cannot be read: no such file or directory"},
		"pattern without a match": {map[string]string{"part.conf": server + "include none/*.conf;\n}\n"}, ""},
		"pattern":                 {map[string]string{"part.conf": server + "include d/*.conf;\n}\n", "d/a.conf": "root /a;", "d/b.conf": "index b;"}, ""},
		"relative to nginx.conf":  {map[string]string{"part.conf": server + "include d/a.conf;\n}\n", "d/a.conf": "include e/b.conf;", "e/b.conf": "root /b;"}, ""},
		"not relative to itself":  {map[string]string{"part.conf": server + "include d/a.conf;\n}\n", "d/a.conf": "include b.conf;", "d/b.conf": "root /b;"}, "%DIR%/d/a.conf:1: include %DIR%/b.conf: cannot be read: no such file or directory"},
		"in another place twice":  {map[string]string{"part.conf": server + "location /a { include p.conf; }\nlocation /b { include p.conf; }\n}\n", "p.conf": "proxy_pass http://127.0.0.1:1;"}, ""},
		"in a map":                {map[string]string{"part.conf": "map $uri $x {\n include m.conf;\n}\n", "m.conf": "/a 1;\n/b 2;\n"}, ""},
		"folder":                  {map[string]string{"part.conf": server + "include d;\n}\n", "d/a.conf": ""}, "%DIR%/part.conf:3: include %DIR%/d: cannot be read: not a regular file"},
		"includes itself":         {map[string]string{"part.conf": "include a.conf;\n", "a.conf": "include b.conf;", "b.conf": "include a.conf;"}, "%DIR%/b.conf:1: include a.conf: the file includes itself"},
		"no semicolon":            {map[string]string{"part.conf": server + "root /a\nindex b;\n}\n"}, "%DIR%/part.conf:3: invalid number of arguments in \"root\" directive"},
		"no semicolon at the end": {map[string]string{"part.conf": server + "root /a\n}\n"}, "%DIR%/part.conf:3: directive \"root\" is not terminated by \";\""},
		"block open":              {map[string]string{"part.conf": server + "location / {\n"}, "%DIR%/part.conf:"},
		"block closed twice":      {map[string]string{"part.conf": server + "}\n}\n"}, "%DIR%/part.conf:4: unexpected \"}\""},
		"closes the one around":   {map[string]string{"part.conf": server + "include a.conf;\n}\n", "a.conf": "root /a; } server {"}, "%DIR%/a.conf:1: unexpected \"}\""},
		"quote open":              {map[string]string{"part.conf": server + "root \"/a;\n}\n"}, "%DIR%/part.conf:"},
		"quotes":                  {map[string]string{"part.conf": server + "set $a \"}\"; set $b '{'; set $c \"a;b#c\"; set $d a#b; set $e ${a}b;\n}\n"}, ""},
		"comments":                {map[string]string{"part.conf": "# { } ; \"\n" + server + "root # where\n /a; # {\n}\n"}, ""},
		"carriage returns":        {map[string]string{"part.conf": strings.ReplaceAll(server+"}\n", "\n", "\r\n")}, ""},
		"empty":                   {map[string]string{"part.conf": ""}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range test.files {
				path := filepath.Join(dir, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "%LISTEN%", nginxtest.FreeAddress(t))), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_, err := Files([]string{filepath.Join(dir, "part.conf")}, Options{ConfDir: dir})
			nginxErr := nginxtest.Test(t.Context(), dir, "include part.conf;")
			want := strings.ReplaceAll(test.want, "%DIR%", dir)
			switch {
			case want == "":
				if err != nil || nginxErr != nil {
					t.Errorf("got %v; nginx says %v", err, nginxErr)
				}
			case err == nil || nginxErr == nil:
				t.Errorf("got %v, want %q; nginx says %v", err, want, nginxErr)
			default:
				if !strings.HasPrefix(err.Error(), want) {
					t.Errorf("got %q, want %q; nginx says %v", err, want, nginxErr)
				}
				if _, ok := errors.AsType[*FileError](err); !ok {
					t.Errorf("%T is no FileError", err)
				}
			}
		})
	}
}

// Every file that cannot be read is told, with its cause.
func TestUnreadable(t *testing.T) {
	_, err := Files([]string{"/nowhere/a", "/dev/zero", "-", t.TempDir()}, Options{})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 4 || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if got := joined.Unwrap()[1].Error(); got != "/dev/zero: cannot be read: not a regular file" {
		t.Errorf("got %q", got)
	}
}

// memory is files that a test makes up.
func memory(files map[string]string) source {
	return source{
		open: func(name string) (io.ReadCloser, error) {
			content, ok := files[name]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
			return io.NopCloser(strings.NewReader(content)), nil
		},
		glob: func(pattern string) ([]string, error) {
			var names []string
			for name := range files {
				matches, err := filepath.Match(pattern, name)
				if err != nil {
					return nil, err
				}
				if matches {
					names = append(names, name)
				}
			}
			return names, nil
		},
		exists: func(name string) bool { _, ok := files[name]; return ok },
	}
}

// What nobody writes by hand ends with a sentence, not with the machine's memory.
func TestBounds(t *testing.T) {
	chain := map[string]string{}
	double := map[string]string{}
	for i := range 20 {
		next := string(rune('a' + i + 1))
		chain["/"+string(rune('a'+i))] = "include /" + next + ";"
		double["/"+string(rune('a'+i))] = "include /" + next + "; include /" + next + "; include /" + next + ";"
	}
	chain["/u"], double["/u"] = "", ""
	for i := range 8 { // end the doubling within the bound of includes
		delete(double, string(rune('a'+12+i)))
	}
	double["/m"] = ""
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"chain":  {chain, "16 files include each other"},
		"double": {double, "more than 2000 files"},
		"large":  {map[string]string{"/a": strings.Repeat("# a comment\n", maxBytes/12+1)}, "more than 16 MB"},
		"deep":   {map[string]string{"/a": strings.Repeat("a {", 100_000) + strings.Repeat("}", 100_000)}, "more than 64 blocks within each other"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := lint([]string{"/a"}, Options{}, memory(test.files))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %.300v, want %q", err, test.want)
			}
		})
	}
}

// A part of a configuration is judged with the others that are named; a whole one by itself.
func TestParts(t *testing.T) {
	good, err := os.ReadFile("testdata/good.conf")
	if err != nil {
		t.Fatal(err)
	}
	upstreams, server, ok := strings.Cut(string(good), "\nserver {\n")
	if !ok {
		t.Fatal("good.conf has no server")
	}
	inner := strings.TrimSuffix(strings.TrimSpace(server), "}")
	server = "server {\n" + server
	whole := "events { }\nhttp {\ninclude conf.d/*.conf;\n}\n"
	for name, test := range map[string]struct {
		files map[string]string
		names []string
		want  []string // rules
	}{
		"one file":                 {map[string]string{"/a": string(good)}, []string{"/a"}, nil},
		"two parts":                {map[string]string{"/a": upstreams, "/b": server}, []string{"/b", "/a"}, nil},
		"a part alone":             {map[string]string{"/a": upstreams, "/b": server}, []string{"/b"}, []string{"keepalive"}},
		"inside of a server":       {map[string]string{"/a": upstreams, "/b": inner}, []string{"/b", "/a"}, nil},
		"only the question":        {map[string]string{"/a": "auth_request /auth;\nerror_page 500 =503 @x;\n"}, []string{"/a"}, nil},
		"whole":                    {map[string]string{"/n/nginx.conf": whole, "/n/conf.d/a.conf": upstreams, "/n/conf.d/b.conf": server}, []string{"/n/nginx.conf"}, nil},
		"whole and what it has":    {map[string]string{"/n/nginx.conf": whole, "/n/conf.d/a.conf": upstreams, "/n/conf.d/b.conf": server}, []string{"/n/nginx.conf", "/n/conf.d/b.conf"}, []string{"keepalive"}},
		"only an include":          {map[string]string{"/a": "include /b;", "/b": strings.Replace(string(good), "keepalive 32;", "", 1)}, []string{"/a"}, []string{"keepalive"}},
		"nginx.conf further up":    {map[string]string{"/n/nginx.conf": whole, "/n/u": upstreams, "/n/sites/on/b": "include u;" + server}, []string{"/n/sites/on/b"}, nil},
		"no nginx.conf further up": {map[string]string{"/n/sites/on/u": upstreams, "/n/sites/on/b": "include u;" + server}, []string{"/n/sites/on/b"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := lint(test.names, Options{}, memory(test.files))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				got = append(got, f.Rule)
			}
			if !slices.Equal(got, test.want) || report.Servers == 0 {
				t.Errorf("got %v in %d servers, want %v", report.Findings, report.Servers, test.want)
			}
		})
	}
}

// TestNoCondition: an if without a condition is told as nginx tells it, whichever way it is written.
func TestNoCondition(t *testing.T) {
	for _, condition := range []string{"()", `"()"`, `"( )"`, "# none\n()"} {
		_, err := lint([]string{"/a"}, Options{}, memory(map[string]string{"/a": "server {\nif " + condition + " { return 403; }\n}"}))
		if err == nil || !strings.HasPrefix(err.Error(), "/a:") || !strings.HasSuffix(err.Error(), ": if () has no condition") {
			t.Errorf("if %s: %v", condition, err)
		}
	}
}

// A carriage return parts words, as nginx reads it, and ends no comment: what is ignored on such a line is.
func TestCarriageReturns(t *testing.T) {
	report, err := lint([]string{"/a"}, Options{}, memory(map[string]string{
		"/a": "server {\r\n in\rclude b;\r\n auth_request /a;\r\n location = /a {\rinternal;\rreturn\r204; } # authsvc-lint: ignore check-nowhere for a test\r\n}\r\n",
	}))
	if err != nil || len(report.Findings) > 0 || len(report.Ignored) != 1 || report.Ignored[0].Reason != "for a test" {
		t.Errorf("got %+v, %v", report, err)
	}
}

// Where a file stands is known for a whole configuration: a directive in the wrong place is none that nginx takes.
func TestWrongPlace(t *testing.T) {
	for content, want := range map[string]string{
		"server {\n if ($a) {\n auth_request /a;\n}\n}": `/b:3: "auth_request" directive is not allowed here`,
		"upstream a {\n internal;\n}":                   `/b:2: "internal" directive is not allowed here`,
		"location / {\n}":                               `/b:1: "location" directive is not allowed here`,
		"unknown_directive_of_a_module on;":             "",
	} {
		_, err := lint([]string{"/a"}, Options{}, memory(map[string]string{"/a": "events { }\nhttp { include /b; }", "/b": content}))
		if err == nil && want != "" || err != nil && err.Error() != want {
			t.Errorf("%q: got %v, want %q", content, err, want)
		}
	}
}

// A finding in an included file is told there, once, however often the file is included.
func TestIncludedFindings(t *testing.T) {
	report, err := lint([]string{"/n/nginx.conf"}, Options{}, memory(map[string]string{
		"/n/nginx.conf": "events { }\nhttp {\nserver { include p; }\nserver { include p; }\n}\n",
		"/n/p":          "auth_request /a;\nlocation = /a { internal; return 204; } # authsvc-lint: ignore check-nowhere for a test\nlocation / {\n satisfy any;\n}\n",
	}))
	if err != nil || len(report.Findings) != 2 || report.Findings[0].Rule != "error-500" || report.Findings[1].File != "/n/p" || report.Findings[1].Line != 4 ||
		report.Servers != 2 || len(report.Ignored) != 1 || report.Ignored[0].Reason != "for a test" {
		t.Errorf("got %+v, %v", report, err)
	}
}

// FuzzLint: no text makes the linter panic, run on, or read a file that is not included.
func FuzzLint(f *testing.F) {
	corpus, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(corpus) == 0 {
		f.Fatal(err)
	}
	for _, file := range corpus {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "root /srv;")
	}
	f.Add("include b; http { include b; server { include b*; } }", "include a;")
	f.Add("http { access_by_lua_block { if x then ngx.exit(200) end } set_by_lua_block $a { return '}' } }", "map $a $b { $b $a; }")
	f.Add("server { auth_request /a; location ~ ( { } location =/a { if ( ) { return; } rewrite; error_page; } set $a $b; set $b $a; return 200 $a; }", "}")
	f.Fuzz(func(t *testing.T, a, b string) {
		files := memory(map[string]string{"/conf/a": a, "/conf/b": b})
		open := files.open
		files.open = func(name string) (io.ReadCloser, error) {
			if name != "/conf/a" && !strings.Contains(a+b, "include") && !strings.Contains(a+b, "\\") {
				t.Errorf("%q was opened", name)
			}
			return open(name)
		}
		report, err := lint([]string{"/conf/a"}, Options{}, files)
		if (report == nil) == (err == nil) {
			t.Fatalf("got %v and %v", report, err)
		}
		if report == nil {
			return
		}
		for _, finding := range report.Findings {
			if finding.File != "/conf/a" && finding.File != "/conf/b" || finding.Line < 1 || finding.What == "" || finding.Why == "" || finding.Fix == "" {
				t.Errorf("finding %+v", finding)
			}
			if strings.ContainsAny(finding.String(), "\n\r") {
				t.Errorf("more than a line: %q", finding)
			}
		}
	})
}

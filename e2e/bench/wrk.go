package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// script is what wrk runs: each request has the next of the cookies, and the given headers. The last line of its output is for parseWrk; wrk's own are for
// people, and round.
const script = `local requests, n = {}, 0
function init(args)
   for cookie in io.lines(%[1]q) do
      requests[#requests + 1] = wrk.format("GET", nil, {
         Cookie = cookie,%[2]s
      })
   end
end
function request()
   n = n %% #requests + 1
   return requests[n]
end
%[3]sfunction done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format("bench %%d %%d %%d %%d %%d %%d %%d %%d\n", summary.requests, summary.duration,
      latency:percentile(50), latency:percentile(99), e.connect, e.read + e.write, e.timeout, e.status))
end
`

// crowd is who sends the requests: people with cookies, at a pace.
type crowd struct {
	script string // file
}

// How a crowd asks: as browsers do, which is for nginx; or as the rendered site asks a replica about their request, but for a name of the request, which a
// replica then has to make.
const (
	asBrowsers = ""
	asGateway  = ` Host = "app.example.com", ["X-Original-URL"] = "http://app.example.com` + pagePath + `", ["X-Original-Method"] = "GET",`
)

// newCrowd writes the files that wrk reads. With a pause each connection waits that long before each request, in whole milliseconds.
func newCrowd(dir, name, asking string, cookies []string, pause time.Duration) (crowd, error) {
	file, wait := filepath.Join(dir, name+".cookies"), ""
	if pause > 0 {
		wait = fmt.Sprintf("function delay()\n   return %d\nend\n", pause.Milliseconds())
	}
	c := crowd{filepath.Join(dir, name+".lua")}
	err := os.WriteFile(file, []byte(strings.Join(cookies, "\n")+"\n"), 0o600)
	if err == nil {
		err = os.WriteFile(c.script, fmt.Appendf(nil, script, file, asking, wait), 0o600)
	}
	return c, err
}

// answers is what wrk saw.
type answers struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration

	unconnected, broken, late, refused int
}

func (a answers) rate() float64 { return float64(a.requests) / a.took.Seconds() }

// err tells what went wrong; a rate with refusals in it says nothing.
func (a answers) err() error {
	switch {
	case a.requests == 0:
		return errors.New("wrk got no answer")
	case a.unconnected+a.broken+a.late+a.refused > 0:
		return fmt.Errorf("of %d requests %d were refused, %d got no answer in time; %d connections could not be made, %d broke", a.requests, a.refused, a.late,
			a.unconnected, a.broken)
	}
	return nil
}

// wrk lets the crowd ask the address over so many connections, with one thread, for so many seconds.
func wrk(ctx context.Context, address string, c crowd, connections, seconds int) (answers, error) {
	cmd := exec.CommandContext(ctx, "wrk", "-t1", fmt.Sprint("-c", connections), fmt.Sprintf("-d%ds", seconds), "--timeout", "10s", "-s", c.script, address)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return answers{}, errors.New("there is no wrk; on Debian and Ubuntu: apt-get install wrk")
	}
	if err != nil {
		return answers{}, fmt.Errorf("wrk: %w\n%s%s", err, output, &stderr)
	}
	return parseWrk(string(output))
}

// parseWrk reads the line that the script wrote.
func parseWrk(output string) (a answers, err error) {
	_, line, found := strings.Cut("\n"+output, "\nbench ")
	if !found {
		return a, fmt.Errorf("wrk did not run its script to the end: %q", output)
	}
	var took, p50, p99 int64 // microseconds
	n, err := fmt.Sscan(line, &a.requests, &took, &p50, &p99, &a.unconnected, &a.broken, &a.late, &a.refused)
	if err != nil || took <= 0 {
		return a, fmt.Errorf("wrk's script wrote %q: %d numbers: %w", line, n, errors.Join(err, errors.New("want 8, and some time")))
	}
	a.took, a.p50, a.p99 = time.Duration(took)*time.Microsecond, time.Duration(p50)*time.Microsecond, time.Duration(p99)*time.Microsecond
	return a, nil
}

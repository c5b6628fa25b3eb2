package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"authsvc/e2e/rig"
)

// subject is what is measured: replicas or handlers, asked at an address.
type subject struct {
	name     string
	address  string // whom wrk asks
	pids     []int  // whose CPU counts
	crowd    crowd  // who asks
	counters func(ctx context.Context) (counters, error)
}

// counters are what a subject has counted since it began.
type counters struct {
	mallocs  float64
	refused  float64 // verdicts other than allow
	commands float64 // that Redis was given, by whomever
}

// ofReplicas is replicas that a crowd asks at an address; "" is the check of the first.
func (d *deployment) ofReplicas(name, address string, c crowd, replicas ...*rig.Replica) subject {
	s := subject{name: name, address: address, crowd: c}
	if address == "" {
		s.address = "http://" + replicas[0].Address + "/auth"
	}
	for _, one := range replicas {
		s.pids = append(s.pids, one.PID())
	}
	s.counters = func(ctx context.Context) (sum counters, err error) {
		for _, one := range replicas {
			metrics, err := one.Metrics(ctx)
			if err != nil {
				return sum, err
			}
			mallocs, counted := metrics["go_memstats_mallocs_total"]
			if !counted {
				return sum, fmt.Errorf("/metrics of %s has no go_memstats_mallocs_total", one.Name)
			}
			sum.mallocs += mallocs
			for name, value := range metrics {
				if strings.HasPrefix(name, "authsvc_decisions_total{") && !strings.Contains(name, `outcome="allow"`) {
					sum.refused += value
				}
			}
		}
		sum.commands, err = d.info(ctx, "stats", "total_commands_processed")
		return sum, err
	}
	return s
}

// info is a number of Redis' INFO, of all masters together.
func (d *deployment) info(ctx context.Context, section, name string) (sum float64, err error) {
	for _, master := range d.Masters {
		text, err := master.Info(ctx, section).Result()
		if err != nil {
			return 0, err
		}
		_, rest, found := strings.Cut(text, "\n"+name+":")
		if !found {
			return 0, fmt.Errorf("INFO %s of Redis has no %s", section, name)
		}
		text, _, _ = strings.Cut(rest, "\r")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return 0, fmt.Errorf("INFO %s of Redis: %s: %w", section, name, err)
		}
		sum += value
	}
	return sum, nil
}

// handler starts a handler that answers with the headers of the file, after getting the key from Redis unless that is "".
func (d *deployment) handler(ctx context.Context, name, headers, key string, c crowd) (subject, error) {
	self, err := os.Executable()
	if err != nil {
		return subject{}, err
	}
	address, err := rig.FreeAddress()
	if err != nil {
		return subject{}, err
	}
	process, err := rig.Spawn(d.Dir, strings.ReplaceAll(name, " ", "-"), exec.Command(self, "handler", "-listen", address, "-headers", headers, "-redis", d.upstream, "-key", key))
	if err != nil {
		return subject{}, err
	}
	d.OnStop(process.Stop)
	if err := process.Await(ctx, 10*time.Second, awaitListening(address)); err != nil {
		return subject{}, err
	}
	return subject{name: name, address: "http://" + address + "/auth", pids: []int{process.PID()}, crowd: c, counters: func(ctx context.Context) (sum counters, err error) {
		a, err := d.Get(ctx, "http://"+address+counterPath, nil)
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("%s: %d", counterPath, a.Status)
		}
		if err == nil {
			sum.mallocs, err = strconv.ParseFloat(strings.TrimSpace(a.Body), 64)
		}
		return sum, err
	}}, nil
}

// writeHeaders writes the headers of a real verdict into a file, for handlers to answer with. Date is net/http's, and each answer's own.
func (d *deployment) writeHeaders(ctx context.Context, at *rig.Replica, cookie string) (file string, err error) {
	a, err := d.Get(ctx, "http://"+at.Address+"/auth", http.Header{
		"Cookie": {cookie}, "X-Original-Url": {d.URL + pagePath}, "X-Original-Method": {http.MethodGet},
	})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("the verdict is %d", a.Status)
	}
	if err != nil {
		return "", err
	}
	a.Header.Del("Date")
	var text strings.Builder
	if err := a.Header.Write(&text); err != nil {
		return "", err
	}
	file = filepath.Join(d.Dir, at.Name+".headers")
	return file, os.WriteFile(file, []byte(text.String()+"\r\n"), 0o600)
}

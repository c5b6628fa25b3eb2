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

// reading is what came of one load.
type reading struct {
	answers
	cpu      float64 // milliseconds for 1,000 requests
	mallocs  float64 // a request
	commands float64 // of Redis, for 1,000 requests
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

// info is a number of Redis' INFO.
func (d *deployment) info(ctx context.Context, section, name string) (float64, error) {
	text, err := d.Redis.Info(ctx, section).Result()
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(text, "\n"+name+":")
	if !found {
		return 0, fmt.Errorf("INFO %s of Redis has no %s", section, name)
	}
	value, _, _ := strings.Cut(rest, "\r")
	return strconv.ParseFloat(value, 64)
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
	file = filepath.Join(d.Dir, "headers")
	return file, os.WriteFile(file, []byte(text.String()+"\r\n"), 0o600)
}

// measure lets its crowd ask the subject. An answer other than a pass is an error: the figures would be of something else.
func (b *bench) measure(ctx context.Context, s subject, connections, seconds int) (r reading, err error) {
	before, err := s.counters(ctx)
	if err != nil {
		return r, err
	}
	cpu, err := s.cpu()
	if err != nil {
		return r, err
	}
	if r.answers, err = wrk(ctx, s.address, s.crowd, connections, seconds); err != nil {
		return r, fmt.Errorf("%s: %w", s.name, err)
	}
	after, err := s.cpu()
	if err != nil {
		return r, err
	}
	counted, err := s.counters(ctx)
	if err == nil {
		err = r.err()
	}
	if refused := counted.refused - before.refused; err == nil && refused > 0 {
		err = fmt.Errorf("%.0f of %d verdicts were not to let in", refused, r.requests)
	}
	if err != nil {
		return r, fmt.Errorf("%s: %w", s.name, err)
	}
	n := float64(r.requests)
	r.cpu, r.mallocs = (after-cpu).Seconds()*1e6/n, (counted.mallocs-before.mallocs)/n
	r.commands = (counted.commands - before.commands) * 1000 / n
	return r, nil
}

func (s subject) cpu() (sum time.Duration, err error) {
	for _, pid := range s.pids {
		one, err := cpuOf(pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// pair is one round: the limit and ours, one right after the other.
type pair struct{ limit, ours reading }

// compare measures both in turn, round after round; who is first changes. Before the first round each has a moment to get warm.
func (b *bench) compare(ctx context.Context, limit, ours subject) (pairs []pair, err error) {
	for _, s := range []subject{limit, ours} {
		if _, err := b.measure(ctx, s, b.connections, 1); err != nil {
			return nil, err
		}
	}
	for round := range b.rounds {
		var p pair
		order := []func() error{
			func() (err error) { p.limit, err = b.measure(ctx, limit, b.connections, b.seconds); return err },
			func() (err error) { p.ours, err = b.measure(ctx, ours, b.connections, b.seconds); return err },
		}
		if round%2 == 1 {
			order[0], order[1] = order[1], order[0]
		}
		for _, measure := range order {
			if err := measure(); err != nil {
				return nil, err
			}
		}
		pairs = append(pairs, p)
		b.say("round %d: %s %s /s, %.1f ms of CPU; %s %s /s, %.1f ms", round+1, limit.name, decimal(p.limit.rate()), p.limit.cpu, ours.name, decimal(p.ours.rate()), p.ours.cpu)
	}
	return pairs, nil
}

// figureOf takes a sample of each pair.
func figureOf(pairs []pair, sample func(p pair) float64) figure {
	samples := make([]float64, len(pairs))
	for i, p := range pairs {
		samples[i] = sample(p)
	}
	return newFigure(samples...)
}

// Samples of a pair.
func rateRatio(p pair) float64    { return p.ours.rate() / p.limit.rate() }
func cpuRatio(p pair) float64     { return p.ours.cpu / p.limit.cpu }
func limitRate(p pair) float64    { return p.limit.rate() }
func limitCPU(p pair) float64     { return p.limit.cpu }
func moreMallocs(p pair) float64  { return p.ours.mallocs - p.limit.mallocs }
func limitMallocs(p pair) float64 { return p.limit.mallocs }

// latencies tells the tails of both, for people.
func latencies(pairs []pair) string {
	milliseconds := func(of func(p pair) time.Duration) string {
		return decimal(figureOf(pairs, func(p pair) float64 { return of(p).Seconds() * 1e3 }).Median)
	}
	return fmt.Sprintf("p50/p99 ms: %s/%s, the limit %s/%s",
		milliseconds(func(p pair) time.Duration { return p.ours.p50 }), milliseconds(func(p pair) time.Duration { return p.ours.p99 }),
		milliseconds(func(p pair) time.Duration { return p.limit.p50 }), milliseconds(func(p pair) time.Duration { return p.limit.p99 }))
}

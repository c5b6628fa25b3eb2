package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"
)

// sizing is what "bench scale" measured of what a deployment needs.
type sizing struct {
	Memory []taken `json:"redis_memory"` // of one Redis, by the number of sessions
	// WarmCPU and OffCPU are what 1,000 verdicts cost replicas, cached and not, and RedisCPU what they cost Redis when they are not; in milliseconds, and
	// LoginCPU is that of one login, of both; 0 where it was not measured.
	WarmCPU  float64 `json:"warm_cpu_ms"`
	OffCPU   float64 `json:"off_cpu_ms"`
	RedisCPU float64 `json:"redis_cpu_ms"`
	LoginCPU float64 `json:"login_cpu_ms"`
	// ClusterBytes and ClusterCPU are a Cluster's, × one Redis.
	ClusterBytes float64 `json:"cluster_bytes"`
	ClusterCPU   float64 `json:"cluster_cpu"`
	Processor    string  `json:"processor"`
}

// write writes the tables, as far as their figures are there; nil writes nothing.
func (s *sizing) write(w io.Writer) {
	if s == nil {
		return
	}
	if len(s.Memory) > 0 {
		fmt.Fprintf(w, "\n%-12s %-24s %s\n", "sessions", "memory of Redis", "with a Cluster of three, each master")
		last := s.Memory[len(s.Memory)-1]
		rows := append([]taken{}, s.Memory...)
		for n := 10; n <= 10_000_000; n *= 10 {
			if n > last.Sessions {
				rows = append(rows, taken{n, last.perSession() * float64(n)})
			}
		}
		for _, r := range rows {
			extrapolated := ""
			if r.Sessions > last.Sessions {
				extrapolated = " *"
			}
			each := "-"
			if s.ClusterBytes > 0 {
				each = memoryText(r.Bytes*s.ClusterBytes/3) + " *"
			}
			fmt.Fprintf(w, "%-12s %-24s %s\n", thousands(r.Sessions), memoryText(r.Bytes)+extrapolated, each)
		}
		fmt.Fprintln(w, "* not measured, but by the bytes of a session. Give Redis twice the memory, for copies and buffers.")
	}
	if s.WarmCPU > 0 && s.OffCPU > 0 {
		fmt.Fprintf(w, "\n%-20s %-26s %-26s %s\n", "verdicts a second", "cores of replicas, cached", "not cached", "and of Redis then")
		for _, n := range []float64{1000, 10_000, 50_000, 100_000} {
			redis := "-"
			if s.RedisCPU > 0 {
				redis = decimal(n * s.RedisCPU / 1e6)
			}
			fmt.Fprintf(w, "%-20s %-26s %-26s %s\n", thousands(int(n)), decimal(n*s.WarmCPU/1e6), decimal(n*s.OffCPU/1e6), redis)
		}
		fmt.Fprintf(w, "By the CPU of a verdict on %s, without what nginx needs.", cmp.Or(s.Processor, "this machine"))
		if s.LoginCPU > 0 {
			fmt.Fprintf(w, " A login takes %s ms, of a replica and Redis.", decimal(s.LoginCPU))
		}
		if s.ClusterCPU > 0 {
			fmt.Fprintf(w, " In a Cluster a verdict that is not cached takes replicas %s ×.", decimal(s.ClusterCPU))
		}
		fmt.Fprintln(w)
	}
}

// memoryText writes bytes for people.
func memoryText(bytes float64) string {
	if bytes >= 1<<30 {
		return decimal(bytes/(1<<30)) + " GiB"
	}
	return decimal(bytes/mebibyte) + " MiB"
}

// processor is the name that this machine's has; "" where nobody tells.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

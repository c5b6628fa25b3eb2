package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf is the CPU time of a process so far, of all its threads, those that have ended included (clock_getcpuclockid(3)).
func cpuOf(pid int) (time.Duration, error) {
	const scheduler = 2 // CPUCLOCK_SCHED: in nanoseconds, as the scheduler counts it
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduler), &t); err != nil {
		return 0, fmt.Errorf("the CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// machine is what the machine's cores have done so far.
type machine struct {
	at   time.Time
	busy float64 // seconds of CPU, of all programs
	ours float64 // and of this one and what it has started
}

// lookAtMachine reads what the kernel counts.
func lookAtMachine() (m machine, err error) {
	m.at = time.Now()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return m, err
	}
	if m.busy, err = busyTicks(string(text)); err != nil {
		return m, err
	}
	folders, err := os.ReadDir("/proc")
	if err != nil {
		return m, err
	}
	table := map[int]process{}
	for _, folder := range folders {
		pid, err := strconv.Atoi(folder.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + folder.Name() + "/stat")
		if err != nil {
			continue // it has ended meanwhile
		}
		if table[pid], err = parseProcess(string(text)); err != nil {
			return m, err
		}
	}
	m.ours = family(table, os.Getpid())
	m.busy, m.ours = m.busy/ticks, m.ours/ticks
	return m, nil
}

// others is how many cores other programs used, on average, since then.
func (m machine) others(since machine) float64 {
	return max((m.busy-since.busy-(m.ours-since.ours))/m.at.Sub(since.at).Seconds(), 0)
}

// ticks is how many of the kernel's units a second has (USER_HZ, which is 100 wherever Go runs).
const ticks = 100

// process is what /proc/PID/stat tells.
type process struct {
	parent int
	cpu    float64 // ticks, with those of children that it has waited for
}

func parseProcess(stat string) (process, error) {
	// The second field is a name in brackets, which may hold anything.
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) < 15 {
		return process{}, fmt.Errorf("/proc/PID/stat has %d fields behind the name", len(fields))
	}
	var p process
	for _, i := range []int{11, 12, 13, 14} { // utime, stime, cutime, cstime
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return process{}, fmt.Errorf("/proc/PID/stat: %w", err)
		}
		p.cpu += v
	}
	var err error
	p.parent, err = strconv.Atoi(fields[1])
	return p, err
}

// family is the CPU of a process and all that descend from it.
func family(table map[int]process, root int) float64 {
	sum := 0.0
	for pid, p := range table {
		for ancestor, steps := pid, 0; ancestor != 0 && steps < len(table); ancestor, steps = table[ancestor].parent, steps+1 {
			if ancestor == root {
				sum += p.cpu
				break
			}
		}
	}
	return sum
}

// busyTicks is what all cores together have done, as /proc/stat tells in its first line: everything but idle and iowait, and guests, which are in user.
func busyTicks(stat string) (sum float64, err error) {
	first, _, _ := strings.Cut(stat, "\n")
	fields := strings.Fields(first)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", first)
	}
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user, nice, system, irq, softirq, steal
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		sum += v
	}
	return sum, nil
}

// resident is the memory of a process in bytes, and how much of it is files', such as the program's own.
func resident(pid int) (all, files float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, 0, err
	}
	if _, err := fmt.Sscan(string(text), new(float64), &all, &files); err != nil {
		return 0, 0, fmt.Errorf("/proc/PID/statm is %q: %w", text, err)
	}
	page := float64(os.Getpagesize())
	return all * page, files * page, nil
}

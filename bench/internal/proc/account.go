// Package proc starts processes on chosen processors and reads what they use. It works on Linux alone.
package proc

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Tree lists a process and all that descend from it.
func Tree(root int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // it ended
		}
		pid, _ := strconv.Atoi(strings.Split(name, "/")[2])
		// The command's name, in brackets, may hold anything.
		fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
		if len(fields) < 2 {
			continue
		}
		parent, _ := strconv.Atoi(string(fields[1]))
		children[parent] = append(children[parent], pid)
	}
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i]]...)
	}
	slices.Sort(tree)
	return tree
}

// CPU is the user and system time that processes have used, with all their threads, those that ended included. It comes
// from their CPU-time clocks (clock_getcpuclockid(3)), which count nanoseconds where /proc/<pid>/stat counts ticks.
func CPU(pids []int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		const processClock = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
		var ts unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|processClock), &ts); err != nil {
			return 0, fmt.Errorf("CPU time of process %d: %w", pid, err)
		}
		total += time.Duration(ts.Nano())
	}
	return total, nil
}

// Memory is what processes hold in memory, in bytes: now, and at their highest. Pages that two of them share count twice.
func Memory(pids []int) (now, peak int64, err error) {
	for _, pid := range pids {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, 0, err
		}
		now += statusField(data, "VmRSS:")
		peak += statusField(data, "VmHWM:")
	}
	return now, peak, nil
}

// statusField reads a field of /proc/<pid>/status that is in kB.
func statusField(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		if value, ok := bytes.CutPrefix(line, []byte(name)); ok {
			kb, _ := strconv.ParseInt(string(bytes.Fields(value)[0]), 10, 64)
			return kb << 10
		}
	}
	return 0
}

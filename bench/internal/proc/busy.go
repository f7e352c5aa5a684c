package proc

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"
)

// Busy is how long some processors were not idle since the machine started, to a hundredth of a second. Time that
// a hypervisor gave to others counts. A processor that is named twice counts once.
func Busy(cpus []int) (time.Duration, error) {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	cpus = slices.Compact(slices.Sorted(slices.Values(cpus)))
	var total time.Duration
	found := 0
	for line := range bytes.Lines(data) {
		fields := bytes.Fields(line)
		number, ok := bytes.CutPrefix(fields[0], []byte("cpu"))
		cpu, err := strconv.Atoi(string(number))
		if !ok || err != nil || !slices.Contains(cpus, cpu) {
			continue
		}
		found++
		total += busy(fields[1:])
	}
	if found != len(cpus) {
		return 0, fmt.Errorf("/proc/stat does not have all of the processors %v", cpus)
	}
	return total, nil
}

// busy adds up user, nice, system, irq, softirq and steal; the fields after these are within the first two (proc(5)).
func busy(fields [][]byte) time.Duration {
	const idle, iowait, last = 3, 4, 7
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go runs on
	var ticks int64
	for i, field := range fields {
		if i == idle || i == iowait || i > last {
			continue
		}
		n, _ := strconv.ParseInt(string(field), 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * tick
}

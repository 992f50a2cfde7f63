package bench

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticks is how many units of CPU time /proc counts in a second: USER_HZ, which
// is part of Linux's interface and the same on every architecture Go runs on.
const ticks = 100

// usageOf reads what a process has taken up, from /proc.
func usageOf(pid int) (usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The name, in parentheses, may hold anything; the fields come after it.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system, resident = 14 - 3, 15 - 3, 24 - 3 // as proc(5) counts, from the third on
	if len(fields) <= resident {
		return usage{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var values [3]int64
	for i, at := range []int{user, system, resident} {
		if values[i], err = strconv.ParseInt(string(fields[at]), 10, 64); err != nil {
			return usage{}, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
	}
	return usage{
		cpu: time.Duration(values[0]+values[1]) * (time.Second / ticks),
		rss: values[2] * int64(os.Getpagesize()),
	}, nil
}

// describeSystem reads the processor's name and the size of the memory in bytes.
func describeSystem() (processor string, memory int64) {
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		processor = field(info, "model name")
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kilobytes int64
		if _, err := fmt.Sscanf(field(info, "MemTotal"), "%d kB", &kilobytes); err == nil {
			memory = kilobytes << 10
		}
	}
	return processor, memory
}

// loadAverage reads how many processes wanted a processor in the last minute,
// on average: beside a busy neighbour no figure is worth much.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	var load float64
	if _, err := fmt.Sscan(string(text), &load); err != nil {
		return 0
	}
	return load
}

// field returns the value of the first line "name: value".
func field(text []byte, name string) string {
	for line := range bytes.Lines(text) {
		key, value, found := bytes.Cut(line, []byte(":"))
		if found && string(bytes.TrimSpace(key)) == name {
			return string(bytes.TrimSpace(value))
		}
	}
	return ""
}

// socketMemory reads how much memory the kernel has for what TCP connections have
// not been read or acknowledged of, in bytes.
func socketMemory() int64 {
	text, err := os.ReadFile("/proc/net/sockstat")
	if err != nil {
		return 0
	}
	fields := bytes.Fields([]byte(field(text, "TCP")))
	for i := 1; i < len(fields); i++ {
		if string(fields[i-1]) == "mem" {
			pages, err := strconv.ParseInt(string(fields[i]), 10, 64)
			if err != nil {
				return 0
			}
			return pages * int64(os.Getpagesize())
		}
	}
	return 0
}

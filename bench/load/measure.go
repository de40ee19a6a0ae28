package main

import (
	"bufio"
	"fmt"
	"math/bits"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// A histogram of durations with buckets of less than 2 % each.
type histogram struct {
	counts [64 << subBits]uint64
	total  uint64
}

const subBits = 6

func (h *histogram) add(duration time.Duration) {
	h.counts[bucketOf(uint64(max(0, duration)))]++
	h.total++
}

func (h *histogram) merge(other *histogram) {
	for at, count := range other.counts {
		h.counts[at] += count
	}
	h.total += other.total
}

// microseconds returns the duration below which the share of all durations lies.
func (h *histogram) microseconds(share float64) float64 {
	if h.total == 0 {
		return 0
	}
	left := min(uint64(share*float64(h.total)), h.total-1)
	for at, count := range h.counts {
		if count > left {
			return float64(bucketStart(at)) / 1000
		}
		left -= count
	}
	return 0
}

func bucketOf(value uint64) int {
	if value < 1<<subBits {
		return int(value)
	}
	shift := bits.Len64(value) - 1 - subBits
	return (shift+1)<<subBits | int(value>>shift)&(1<<subBits-1)
}

func bucketStart(bucket int) uint64 {
	if bucket < 1<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	return (1<<subBits | uint64(bucket)&(1<<subBits-1)) << shift
}

// A moment of the run: clocks, and what the core of the server did.
type moment struct {
	at        time.Time
	serverCPU time.Duration
	loadCPU   time.Duration
	coreBusy  time.Duration
}

func takeMoment(serverPID, serverCore int) (moment, error) {
	now := moment{at: time.Now()}
	var err error
	if serverPID > 0 {
		if now.serverCPU, err = processCPU(serverPID); err != nil {
			return now, err
		}
	}
	if now.loadCPU, err = processCPU(os.Getpid()); err != nil {
		return now, err
	}
	if serverCore >= 0 {
		now.coreBusy, err = coreBusy(serverCore)
	}
	return now, err
}

// processCPU returns the user and system time of all threads of a process, in nanoseconds.
func processCPU(pid int) (time.Duration, error) {
	// CPUCLOCK_SCHED of the process, as clock_getcpuclockid(3) makes it.
	clock := uintptr(^pid<<3 | 2)
	var spec syscall.Timespec
	_, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&spec)), 0)
	if errno != 0 {
		return 0, fmt.Errorf("the CPU time of process %d: %w", pid, errno)
	}
	return time.Duration(spec.Nano()), nil
}

// coreBusy returns how long a core was not idle since the machine started.
func coreBusy(core int) (time.Duration, error) {
	file, err := os.Open("/proc/stat")
	if err != nil {
		return 0, err
	}
	defer file.Close()
	prefix := fmt.Sprintf("cpu%d ", core)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if !strings.HasPrefix(lines.Text(), prefix) {
			continue
		}
		var user, nice, system, idle, wait, hard, soft, steal int64
		if _, err := fmt.Sscan(lines.Text()[len(prefix):], &user, &nice, &system, &idle, &wait, &hard, &soft, &steal); err != nil {
			return 0, err
		}
		const tick = 10 * time.Millisecond
		return time.Duration(user+nice+system+hard+soft+steal) * tick, nil
	}
	return 0, fmt.Errorf("/proc/stat has no core %d", core)
}

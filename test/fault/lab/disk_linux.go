package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SmallDisk puts a disk of so many bytes at a folder, which must be there.
func SmallDisk(dir string, size int64) (unmount func() error, err error) {
	err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size))
	return func() error { return unix.Unmount(dir, unix.MNT_DETACH) }, err
}

// Fill writes a file that leaves only so many bytes of its disk free.
func Fill(name string, leave int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &disk); err != nil {
		return err
	}
	free := int64(disk.Bavail) * disk.Bsize //nolint:unconvert // its type differs between systems
	if free <= leave {
		return nil
	}
	return unix.Fallocate(int(f.Fd()), 0, 0, free-leave)
}

// SlowDisk makes every flush of a process to its disk take so much longer. The
// returned function ends it.
func SlowDisk(pid int, longer time.Duration) (restore func() error, err error) {
	name, err := find("strace")
	if err != nil {
		return nil, err
	}
	const flushes = "fsync,fdatasync"
	tracer := exec.Command(name, "-f", "-qq", "-o", os.DevNull, "-e", "trace="+flushes, //nolint:gosec,noctx // restore ends it
		"-e", "inject="+flushes+":delay_enter="+strconv.FormatInt(longer.Microseconds(), 10), "-p", strconv.Itoa(pid))
	if err := tracer.Start(); err != nil {
		return nil, err
	}
	restore = func() error {
		if err := tracer.Process.Signal(syscall.SIGINT); err != nil {
			return errors.Join(err, tracer.Wait())
		}
		_ = tracer.Wait() // it says that it was interrupted
		return nil
	}
	if err := awaitTracer(pid); err != nil {
		return nil, errors.Join(err, restore())
	}
	return restore, nil
}

// awaitTracer waits until all threads of a process are traced.
func awaitTracer(pid int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("process %d is not there to be slowed down", pid)
		}
		if !slices.ContainsFunc(threads, untraced) {
			return nil
		}
		<-tick.C
	}
	return fmt.Errorf("strace does not get hold of process %d", pid)
}

// untraced reports whether the thread of a status file has no tracer.
func untraced(status string) bool {
	text, err := os.ReadFile(status)
	return err == nil && bytes.Contains(text, []byte("\nTracerPid:\t0\n")) // a thread that is gone needs none
}

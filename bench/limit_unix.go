//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// needFiles raises the limit of open files as far as is allowed, which children
// inherit, and fails if that is not far enough.
func needFiles(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if limit.Cur < limit.Max {
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return fmt.Errorf("raise the limit of open files to %d: %w", limit.Max, err)
		}
	}
	if uint64(n) > uint64(limit.Cur) {
		return fmt.Errorf("about %d files must be open at a time in one process, and the hard limit is %d: raise that (ulimit -Hn, or what started this shell: LimitNOFILE of systemd, --ulimit nofile of Docker), or take fewer --subscribers or --connections", n, limit.Cur)
	}
	return nil
}

// fileLimit is how many files this process may have open.
func fileLimit() (n uint64, known bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return uint64(limit.Cur), err == nil
}

//go:build linux || darwin || freebsd

package etcd

import "syscall"

// diskFree returns how many bytes of the file system that dir is on this process
// may still use.
func diskFree(dir string) (int64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // their types differ between systems
}
